CREATE TABLE {events} (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    version INTEGER,
    uuid CHAR(32),
    name VARCHAR(200) NOT NULL,
    data TEXT NOT NULL,
    event_context TEXT NOT NULL,
    created_at DATETIME NOT NULL,
    db_stream_id INTEGER NOT NULL REFERENCES {streams} (id),
    schema_version INTEGER NOT NULL DEFAULT 1
);

CREATE UNIQUE INDEX ix_events_stream_id_version_{events}
ON {events} (db_stream_id, version);

CREATE UNIQUE INDEX ix_{events}_uuid
ON {events} (uuid);
