CREATE TABLE {projected_streams} (
    stream_uuid UUID NOT NULL,
    category VARCHAR(255) NOT NULL,
    tenant_id VARCHAR(255) NOT NULL,
    projector VARCHAR(255) NOT NULL,
    version BIGINT,
    position BIGINT,
    PRIMARY KEY (stream_uuid, category, tenant_id, projector)
) WITH (fillfactor = 70);
