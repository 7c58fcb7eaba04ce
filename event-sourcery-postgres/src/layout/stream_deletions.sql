CREATE TABLE {stream_deletions} (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    tenant_id VARCHAR(255) NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
