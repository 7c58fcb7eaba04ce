CREATE TABLE {event_blocks} (
    name VARCHAR(200) NOT NULL,
    block INTEGER NOT NULL,
    PRIMARY KEY (name, block)
) WITHOUT ROWID;
