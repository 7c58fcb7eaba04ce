CREATE TABLE {events} (
    id BIGSERIAL NOT NULL PRIMARY KEY,
    version INTEGER,
    uuid UUID,
    name VARCHAR(200) NOT NULL,
    data JSONB NOT NULL,
    event_context JSONB NOT NULL,
    created_at TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    db_stream_id BIGINT NOT NULL REFERENCES {streams} (id),
    schema_version INTEGER NOT NULL DEFAULT 1
);

CREATE UNIQUE INDEX {ix_events_stream_id_version_*events}
ON {events} (db_stream_id, version);

CREATE UNIQUE INDEX {ix_*events_uuid}
ON {events} (uuid);
