CREATE TABLE {outbox_entries} (
    id BIGSERIAL NOT NULL PRIMARY KEY,
    created_at TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    data JSONB NOT NULL,
    stream_name VARCHAR(255),
    position BIGINT,
    tries_left INTEGER NOT NULL,
    published_at TIMESTAMP WITHOUT TIME ZONE
);

CREATE INDEX {ix_*outbox_entries_created_at}
ON {outbox_entries} (created_at);
