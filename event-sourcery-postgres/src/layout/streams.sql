CREATE TABLE {streams} (
    id BIGSERIAL NOT NULL PRIMARY KEY,
    uuid UUID NOT NULL,
    name VARCHAR(255),
    category VARCHAR(255) NOT NULL,
    tenant_id VARCHAR(255) NOT NULL,
    version BIGINT,
    UNIQUE (uuid, category, tenant_id),
    UNIQUE (name, category, tenant_id)
);
