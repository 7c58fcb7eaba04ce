//! What your own tests need. Behind the feature `testing`, for `dev-dependencies`:
//!
//! ```toml
//! [dev-dependencies]
//! event-sourcery = { version = "0.1", features = ["testing"] }
//! ```

#![allow(clippy::panic, reason = "this is for tests: a panic is a failed test")]

mod schema_lock;

#[doc(hidden)]
pub use self::schema_lock::Forms;
