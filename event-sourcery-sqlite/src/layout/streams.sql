CREATE TABLE {streams} (
    id INTEGER NOT NULL PRIMARY KEY,
    uuid CHAR(32) NOT NULL,
    name VARCHAR(255),
    category VARCHAR(255) NOT NULL,
    tenant_id VARCHAR(255) NOT NULL,
    version BIGINT,
    UNIQUE (uuid, category, tenant_id),
    UNIQUE (name, category, tenant_id)
);

CREATE INDEX ix_{streams}_of_category
ON {streams} (category, tenant_id);

CREATE INDEX ix_{streams}_by_name
ON {streams} (tenant_id, category, name);
