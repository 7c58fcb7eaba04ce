CREATE TABLE {subscription_presences} (
    presence INTEGER PRIMARY KEY,
    renewed DATETIME NOT NULL
);
