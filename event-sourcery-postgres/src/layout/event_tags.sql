CREATE TABLE {event_tags} (
    tag_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    name VARCHAR(200) NOT NULL,
    PRIMARY KEY (tag_id, position) INCLUDE (name)
);
