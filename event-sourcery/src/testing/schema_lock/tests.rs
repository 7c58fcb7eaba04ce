//! What the lock lets pass and what it refuses, each with a type as it was and as it is.

/// A struct `Paid` with these fields, in a module of its own.
macro_rules! paid {
    ($module:ident $(#[$meta:meta])* { $($(#[$attribute:meta])* $field:ident: $type:ty),* $(,)? }) => {
        mod $module {
            #[allow(unused_imports, reason = "not every form needs all of it")]
            use super::*;

            #[derive(Event, Serialize, Deserialize)]
            #[event(crate = "crate", name = "Paid")]
            $(#[$meta])*
            pub(super) struct Paid {
                $($(#[$attribute])* pub(super) $field: $type),*
            }
        }
    };
}

mod buffered;
mod changes;
mod ends;
mod given;
mod marked;
mod panics;
mod shapes;
mod unbent;
mod unguessed;
mod written;

use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize};

use super::SchemaLock;
use crate::Event;

/// A text that nobody guesses.
#[derive(Serialize)]
struct Code(String);

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        if code == "open sesame" { Ok(Self(code)) } else { Err(serde::de::Error::custom("not the code")) }
    }
}

/// A lock file of one test.
struct Lock(PathBuf);

impl Lock {
    /// The lock of a program with these events.
    fn of<E: Event>() -> Self {
        let lock = Self::missing();
        lock.with::<E>().run(true).expect("events that can be traced are locked");
        lock.with::<E>().run(false).expect("what was locked is as it was");
        lock
    }

    /// A lock whose file is not there yet.
    fn missing() -> Self {
        Self(std::env::temp_dir().join(format!("event-sourcery-{}.lock", uuid::Uuid::new_v4())))
    }

    fn with<E: Event>(&self) -> SchemaLock {
        SchemaLock::new(&self.0).events::<E>()
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.0).unwrap()
    }

    /// Asserts that a change of the types is refused, with or without the wish to update, and what the message says.
    #[track_caller]
    fn refuses<E: Event>(&self, says: &[&str]) {
        let before = self.text();
        for updates in [false, true] {
            let message =
                self.with::<E>().run(updates).expect_err("what is stored could not be read any more");
            assert!(message.contains("does not allow"), "{message}");
            for words in says {
                assert!(message.contains(words), "{words:?} is not in: {message}");
            }
        }
        assert_eq!(self.text(), before);
    }

    /// Asserts that a change of the types is let pass once the file is updated, and what the message says before.
    #[track_caller]
    fn takes<E: Event>(&self, says: &[&str]) {
        let before = self.text();
        let message = self.with::<E>().run(false).expect_err("the file does not know the new form");
        assert!(message.contains("EVENT_SOURCERY_UPDATE_LOCK=1"), "{message}");
        for words in says {
            assert!(message.contains(words), "{words:?} is not in: {message}");
        }
        assert_eq!(self.text(), before);
        self.with::<E>().run(true).expect("the new form is added");
        self.with::<E>().run(false).expect("the file knows the new form");
    }

    /// Asserts that a change of the types needs no update.
    #[track_caller]
    fn is_kept_by<E: Event>(&self) {
        self.with::<E>().run(false).expect("nothing has changed");
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
