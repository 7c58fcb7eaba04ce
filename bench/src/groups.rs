//! The groups of figures.

pub mod aggregate;
pub mod batch;
pub mod closures;
pub mod concurrent;
pub mod deleting;
pub mod held;
pub mod in_memory;
pub mod large;
pub mod listening;
pub mod load;
pub mod nats_store;
pub mod outbox;
pub mod pages;
pub mod postgres;
pub mod privacy;
pub mod sequential;
pub mod subscribe;
pub mod tags;

/// The groups in their order, by what the names of their figures begin with, and what stands above their tables.
pub const GROUPS: [(&str, &str); 34] = [
    ("sequential", "One event an append, one after the other"),
    ("concurrent", "64 tasks, one event an append"),
    ("closures", "Closures with one event each, by 1, 8 and 64 tasks, beside plain appends"),
    ("batch", "100 events in one append"),
    ("load", "Loading a stream into a typed enum"),
    ("memory", "The memory backend, on one core"),
    ("large", "Appending to a store of 10 million events"),
    ("pages", "Every page of the browser, over SQLite stores of 10 million events"),
    ("listening", "Appends with a listener that does nothing, and with one that listens to something else"),
    (
        "outbox",
        "Appends with an outbox, and draining 100,000 entries of 10,000 streams into a publisher that does nothing, also with one stream parked",
    ),
    (
        "nats/store",
        "The store on NATS JetStream, on servers that sync what they acknowledge, beside a bare client",
    ),
    (
        "nats",
        "NATS JetStream: draining an outbox, and the way of one event from its commit to a subscriber in another process",
    ),
    ("subscribe", "Subscriptions"),
    ("aggregate", "Aggregates"),
    ("tags", "Tags, beside appends without tags, and decisions across streams, beside streams"),
    (
        "privacy",
        "Encrypted fields: what three of them add to an event in memory, and SQLite with such events beside the same in the clear",
    ),
    ("held", "What a slow reader of 1,600 events of 1 MB holds, and how soon it has the first"),
    ("deleting", "While a stream of a million events is deleted"),
    ("postgres/sequential", "PostgreSQL: one event an append, one after the other"),
    ("postgres/concurrent", "PostgreSQL: 8 and 32 tasks, one event an append"),
    ("postgres/batch", "PostgreSQL: 100 events in one append"),
    ("postgres/load", "PostgreSQL: loading a stream into a typed enum"),
    ("postgres/lone", "PostgreSQL: while a caller's transaction sits on another stream"),
    (
        "postgres/listening",
        "PostgreSQL: appends with a listener that does nothing, and with one that listens to something else",
    ),
    (
        "postgres/outbox",
        "PostgreSQL: appends with an outbox, draining 100,000 entries of 10,000 streams into a publisher that does nothing, also with one stream parked, and what a million entries leave of the table",
    ),
    ("postgres/pages", "PostgreSQL: every page of the browser, over a store of 10 million events"),
    ("postgres/read", "PostgreSQL: reading all events"),
    ("postgres/subscribe", "PostgreSQL: subscriptions"),
    ("postgres/aggregate", "PostgreSQL: aggregates"),
    (
        "postgres/tags",
        "PostgreSQL: tags, beside appends without tags, and decisions across streams, beside streams",
    ),
    ("postgres/privacy", "PostgreSQL: events with encrypted fields, beside the same in the clear"),
    (
        "postgres/held",
        "PostgreSQL: what a slow reader of 1,600 events of 1 MB holds, and how soon it has the first",
    ),
    ("postgres/deleting", "PostgreSQL: while a stream of a million events is deleted"),
    ("postgres/driver", "PostgreSQL: what the driver costs"),
];
