CREATE TABLE {layout} (
    version INTEGER NOT NULL
);
