CREATE TABLE IF NOT EXISTS event_sourcery_inbox (
    consumer VARCHAR(255) NOT NULL,
    message_id VARCHAR(255) NOT NULL,
    handled_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (consumer, message_id)
);

CREATE INDEX IF NOT EXISTS ix_event_sourcery_inbox_handled_at
ON event_sourcery_inbox (consumer, handled_at);
