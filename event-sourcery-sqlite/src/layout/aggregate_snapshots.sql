CREATE TABLE {aggregate_snapshots} (
    db_stream_id INTEGER NOT NULL,
    name VARCHAR(255) NOT NULL,
    format INTEGER NOT NULL,
    version INTEGER NOT NULL,
    event_uuid CHAR(32) NOT NULL,
    created_at DATETIME NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (db_stream_id, name, format)
);
