CREATE TABLE {event_blocks_mark} (
    block INTEGER NOT NULL
);
