CREATE TABLE {snapshots} (
    uuid UUID NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    name VARCHAR(200) NOT NULL,
    data JSONB NOT NULL,
    event_context JSONB NOT NULL,
    created_at TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    db_stream_id BIGINT NOT NULL REFERENCES {streams} (id),
    schema_version INTEGER NOT NULL DEFAULT 1
);

CREATE INDEX {ix_*snapshots_db_stream_id}
ON {snapshots} (db_stream_id);
