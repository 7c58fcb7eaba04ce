CREATE TABLE {outbox_entries} (
    id INTEGER NOT NULL PRIMARY KEY,
    created_at DATETIME NOT NULL,
    data TEXT NOT NULL,
    stream_name VARCHAR(255),
    position INTEGER,
    tries_left INTEGER NOT NULL
);

CREATE INDEX ix_{outbox_entries}_created_at
ON {outbox_entries} (created_at);
