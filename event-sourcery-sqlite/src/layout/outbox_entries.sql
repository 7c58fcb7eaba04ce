CREATE TABLE {outbox_entries} (
    id INTEGER NOT NULL PRIMARY KEY,
    created_at DATETIME NOT NULL,
    data TEXT NOT NULL,
    stream_name VARCHAR(255),
    position INTEGER,
    tries_left INTEGER NOT NULL,
    published_at DATETIME,
    stream_uuid CHAR(32)
);

CREATE INDEX ix_{outbox_entries}_created_at
ON {outbox_entries} (created_at);

CREATE INDEX ix_{outbox_entries}_position
ON {outbox_entries} (position);

CREATE INDEX ix_{outbox_entries}_of_others
ON {outbox_entries} (position) WHERE stream_uuid IS NULL;

CREATE INDEX ix_{outbox_entries}_published_at
ON {outbox_entries} (published_at) WHERE published_at IS NOT NULL;
