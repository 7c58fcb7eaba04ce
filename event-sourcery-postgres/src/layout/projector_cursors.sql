CREATE TABLE {projector_cursors} (
    id BIGSERIAL NOT NULL PRIMARY KEY,
    name VARCHAR(255) NOT NULL,
    stream_id UUID NOT NULL,
    category VARCHAR(255),
    version BIGINT NOT NULL
);

CREATE UNIQUE INDEX {ix_name_stream_id_*projector_cursors}
ON {projector_cursors} (name, stream_id, category);

CREATE INDEX {ix_*projector_cursors_stream_id}
ON {projector_cursors} (stream_id);
