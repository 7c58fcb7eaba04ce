CREATE TABLE {blocked_streams} (
    stream_uuid UUID NOT NULL,
    id BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY,
    category VARCHAR(255) NOT NULL,
    tenant_id VARCHAR(255) NOT NULL,
    subscription_tenant_id VARCHAR(255) NOT NULL,
    subscription_name VARCHAR(255) NOT NULL,
    segment INTEGER NOT NULL,
    stream_name VARCHAR(255),
    after_position BIGINT NOT NULL,
    position BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    error TEXT NOT NULL,
    retry_at TIMESTAMP WITHOUT TIME ZONE,
    since TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    PRIMARY KEY (stream_uuid, id),
    -- Unique, as four names of 850 bytes can be: an entry of a B-tree holds three of them, one of a hash index their hash.
    CONSTRAINT {ix_*blocked_streams_names} EXCLUDE USING hash (
        (ARRAY[stream_uuid::text, category, tenant_id, subscription_tenant_id, subscription_name]) WITH =
    )
);

CREATE INDEX {ix_*blocked_streams_position}
ON {blocked_streams} (subscription_tenant_id, subscription_name, position);

CREATE INDEX {ix_*blocked_streams_retry_at}
ON {blocked_streams} (subscription_tenant_id, subscription_name, retry_at) WHERE retry_at IS NOT NULL;
