CREATE TABLE {subscription_members} (
    tenant_id VARCHAR(255) NOT NULL,
    name VARCHAR(255) NOT NULL,
    member CHAR(32) NOT NULL,
    until DATETIME NOT NULL,
    lasting_ms INTEGER NOT NULL DEFAULT 0,
    presence INTEGER,
    PRIMARY KEY (tenant_id, name, member)
) WITHOUT ROWID;

CREATE INDEX ix_{subscription_members}_presence
ON {subscription_members} (presence) WHERE presence <> 0;
