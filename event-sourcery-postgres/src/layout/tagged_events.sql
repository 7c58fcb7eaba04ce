CREATE TABLE {tagged_events} (
    position BIGINT NOT NULL PRIMARY KEY,
    tags TEXT[] NOT NULL
);
