CREATE TABLE {outbox_of_deleted} (
    position BIGINT NOT NULL PRIMARY KEY,
    category VARCHAR(255) NOT NULL,
    dropped BOOLEAN NOT NULL
);
