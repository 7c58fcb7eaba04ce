CREATE TABLE {snapshots} (
    uuid CHAR(32) NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    name VARCHAR(50) NOT NULL,
    data TEXT NOT NULL,
    event_context TEXT NOT NULL,
    created_at DATETIME NOT NULL,
    db_stream_id INTEGER NOT NULL REFERENCES {streams} (id),
    schema_version INTEGER NOT NULL DEFAULT 1
);

CREATE INDEX ix_{snapshots}_db_stream_id
ON {snapshots} (db_stream_id);
