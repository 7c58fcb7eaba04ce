//! What an inbox remembers of the messages that it has handled.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::error::{Error, Result};

/// How long ids are kept where nothing else is said.
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How many bytes an id or a name may have: a column for them holds 255 characters.
const LONGEST: usize = 255;

/// How long an inbox keeps the ids of messages, and how many of them at most. By default a week, and any number. The inboxes of the
/// database crates decide by it what they forget. Its clones share one count.
///
/// To count ids means to go through them. So a bound on their number is enforced only once in a sixteenth of it, and never on the id at
/// hand, which a clock that was set back would have forgotten at once.
#[derive(Debug, Clone)]
pub struct InboxMemory {
    window: Duration,
    most: Option<Most>,
}

/// How many ids are kept at most, whatever the window says.
#[derive(Debug, Clone)]
struct Most {
    ids: u64,
    /// How many were taken down since, by all clones.
    taken: Arc<AtomicU64>,
}

impl Most {
    /// After how many ids it is looked whether there are too many: that takes the longer, the more there are.
    fn every(&self) -> u64 {
        (self.ids / 16).max(1)
    }
}

impl Default for InboxMemory {
    fn default() -> Self {
        Self { window: WEEK, most: None }
    }
}

impl InboxMemory {
    /// Checks a consumer's name, or a message's id.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] outside of 1 to 255 bytes, or with a NUL.
    pub fn check(option: &'static str, value: &str) -> Result<()> {
        if (1..=LONGEST).contains(&value.len()) && !value.contains('\0') {
            return Ok(());
        }
        let problem = format!("it has {} bytes: give 1 to {LONGEST}, and no NUL", value.len());
        Err(Error::InvalidOption { option, problem })
    }

    /// Keeps ids for this long.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] below one second.
    pub fn keep_for(self, window: Duration) -> Result<Self> {
        if window < Duration::from_secs(1) {
            let problem =
                format!("{window:?} is no time for a message to come again: give a second at least");
            return Err(Error::InvalidOption { option: "keep_for", problem });
        }
        Ok(Self { window, ..self })
    }

    /// Keeps this many ids at most, the newest.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] for none.
    pub fn keep_at_most(self, ids: u64) -> Result<Self> {
        if ids == 0 {
            let problem = "without a memory, every message is handled again: give one id at least".to_owned();
            return Err(Error::InvalidOption { option: "keep_at_most", problem });
        }
        Ok(Self { most: Some(Most { ids, taken: Arc::default() }), ..self })
    }

    /// For how long ids are kept.
    #[must_use]
    pub const fn window(&self) -> Duration {
        self.window
    }

    /// Call it with each id that was just taken down. Where it is time to look whether there are too many: how many others stay beside
    /// that one, and how many go at once, which is more than come until it is time again.
    #[must_use]
    pub fn due(&self) -> Option<(i64, i64)> {
        let most = self.most.as_ref()?;
        let is_due = most.taken.fetch_add(1, Ordering::Relaxed).is_multiple_of(most.every());
        let saturated = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        is_due.then(|| (saturated(most.ids - 1), saturated(2 * most.every())))
    }

    /// Takes note of how many went. Where these are more than came since the last look, that was rolled back, or there have been too
    /// many from the beginning: the next message looks again. Otherwise one that fails each time that it is due, and is rolled back
    /// with it, could let the others pile up.
    pub fn forgot(&self, ids: u64) {
        if let Some(most) = self.most.as_ref().filter(|most| ids > most.every()) {
            most.taken.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many messages come until it is looked next.
    fn until_due(memory: &InboxMemory) -> usize {
        (1..1_000).find(|_| memory.due().is_some()).unwrap()
    }

    #[test]
    fn it_is_looked_once_in_a_sixteenth_and_again_at_once_where_a_look_was_rolled_back() {
        let memory = InboxMemory::default().keep_at_most(320).unwrap();
        assert_eq!(memory.due(), Some((319, 40)));
        memory.forgot(20);
        assert_eq!(until_due(&memory.clone()), 20);
        memory.forgot(21);
        assert_eq!(until_due(&memory), 1);
        assert_eq!(InboxMemory::default().due(), None);
    }
}
