CREATE TABLE {subject_key_bytes} (
    id INTEGER NOT NULL PRIMARY KEY,
    wrapped BLOB NOT NULL
);
