CREATE TABLE {event_blocks} (
    name VARCHAR(200) NOT NULL,
    block BIGINT NOT NULL,
    PRIMARY KEY (name, block)
);
