CREATE TABLE IF NOT EXISTS event_sourcery_inbox (
    consumer TEXT NOT NULL,
    message_id TEXT NOT NULL,
    handled_at INTEGER NOT NULL,
    PRIMARY KEY (consumer, message_id)
);

CREATE INDEX IF NOT EXISTS ix_event_sourcery_inbox_handled_at
ON event_sourcery_inbox (consumer, handled_at);
