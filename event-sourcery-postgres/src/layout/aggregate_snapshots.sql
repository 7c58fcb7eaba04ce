CREATE TABLE {aggregate_snapshots} (
    db_stream_id BIGINT NOT NULL,
    name VARCHAR(255) NOT NULL,
    format INTEGER NOT NULL,
    version INTEGER NOT NULL,
    event_uuid UUID NOT NULL,
    created_at TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    data JSONB NOT NULL,
    PRIMARY KEY (db_stream_id, name, format)
);
