//! What your own tests need. Behind the feature `testing`, for `dev-dependencies`:
//!
//! ```toml
//! [dev-dependencies]
//! event-sourcery = { version = "0.1", features = ["testing"] }
//! ```
//!
//! [`SchemaLock`] fails a test when a change of your event types could not read what is stored.

mod schema_lock;

pub use self::schema_lock::SchemaLock;
#[doc(hidden)]
pub use self::schema_lock::{Forms, NotTraced, ReadBySerde, Traced};
