CREATE TABLE {subscription_presences} (
    presence BIGINT PRIMARY KEY,
    renewed TIMESTAMP WITHOUT TIME ZONE NOT NULL
) WITH (fillfactor = 50);
