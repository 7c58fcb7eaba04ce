CREATE TABLE {event_tags} (
    tenant_id VARCHAR(255) NOT NULL,
    tag VARCHAR(255) NOT NULL,
    position INTEGER NOT NULL,
    name VARCHAR(200) NOT NULL,
    PRIMARY KEY (tag, tenant_id, position)
) WITHOUT ROWID;

CREATE INDEX ix_{event_tags}_position
ON {event_tags} (position);
