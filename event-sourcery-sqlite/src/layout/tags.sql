CREATE TABLE {tags} (
    id INTEGER NOT NULL PRIMARY KEY,
    tenant_id VARCHAR(255) NOT NULL,
    value VARCHAR(255) NOT NULL,
    UNIQUE (value, tenant_id)
);
