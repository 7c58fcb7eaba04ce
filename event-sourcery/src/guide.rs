//! The guide: a page for each task.
//!
//! A page with several pieces of code begins with its imports and a `main`. The pieces go into that `main`, in the order of
//! the page: each needs the imports, and what it uses of the pieces above it. Where two pieces define one name, the nearer
//! one counts. On the other pages each piece stands alone. Nothing is left out: the tests compile and run what is shown.
//!
//! ```sh
//! cargo add event-sourcery
//! cargo add serde --features derive
//! cargo add tokio --features fs,io-util,macros,rt-multi-thread,time,signal
//! ```
//!
//! A page on databases needs `event-sourcery-sqlite`, `event-sourcery-postgres` and `sqlx` as well, and in `DATABASE_URL` the
//! address of an empty PostgreSQL database.

#[doc = include_str!("../guide/defining-events.md")]
pub mod defining_events {}

#[doc = include_str!("../guide/evolving-events.md")]
pub mod evolving_events {}

#[doc = include_str!("../guide/save-and-read-events.md")]
pub mod save_and_read_events {}

#[doc = include_str!("../guide/event-sourcing.md")]
pub mod event_sourcing {}

#[doc = include_str!("../guide/decide-across-streams.md")]
pub mod decide_across_streams {}

#[doc = include_str!("../guide/snapshots.md")]
pub mod snapshots {}

#[doc = include_str!("../guide/testing.md")]
pub mod testing {}

#[doc = include_str!("../guide/multitenancy.md")]
pub mod multitenancy {}

#[doc = include_str!("../guide/integrate-with-your-application.md")]
pub mod integrate_with_your_application {}

#[doc = include_str!("../guide/coming-from-python.md")]
pub mod coming_from_python {}

#[doc = include_str!("../guide/coming-from-eventsourcing.md")]
pub mod coming_from_eventsourcing {}

#[doc = include_str!("../guide/coming-from-emmett.md")]
pub mod coming_from_emmett {}

#[doc = include_str!("../guide/coming-from-message-db.md")]
pub mod coming_from_message_db {}

#[doc = include_str!("../guide/coming-from-cqrs-es.md")]
pub mod coming_from_cqrs_es {}

#[doc = include_str!("../guide/coming-from-mire.md")]
pub mod coming_from_mire {}

#[doc = include_str!("../guide/react-to-events.md")]
pub mod react_to_events {}

#[doc = include_str!("../guide/read-models.md")]
pub mod read_models {}

#[doc = include_str!("../guide/listen-inside-the-transaction.md")]
pub mod listen_inside_the_transaction {}

#[doc = include_str!("../guide/publish-events.md")]
pub mod publish_events {}

#[doc = include_str!("../guide/publishers-and-inboxes.md")]
pub mod publishers_and_inboxes {}

#[doc = include_str!("../guide/data-privacy.md")]
pub mod data_privacy {}

#[doc = include_str!("../guide/look-inside.md")]
pub mod look_inside {}

#[doc = include_str!("../guide/the-command-line.md")]
pub mod the_command_line {}

#[doc = include_str!("../guide/traces-and-metrics.md")]
pub mod traces_and_metrics {}

#[doc = include_str!("../guide/move-to-another-database.md")]
pub mod move_to_another_database {}

#[doc = include_str!("../guide/when-one-machine-is-not-enough.md")]
pub mod when_one_machine_is_not_enough {}

#[doc = include_str!("../guide/write-a-backend.md")]
pub mod write_a_backend {}

#[doc = include_str!("../guide/operate.md")]
pub mod operate {}
