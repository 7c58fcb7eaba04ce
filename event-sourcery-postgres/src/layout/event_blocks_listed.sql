CREATE TABLE {event_blocks_listed} (
    only_row BOOLEAN NOT NULL PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    below BIGINT NOT NULL
);

INSERT INTO {event_blocks_listed} (below) VALUES (0);
