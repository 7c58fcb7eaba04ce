//! How far something long has come.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How often it is said how far it has come.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// Takes away what stands in the line.
const CLEARED: &str = "\r\u{1b}[K";

/// How far it has come, on a terminal.
pub(crate) struct Progress {
    told: Option<Instant>,
    is_shown: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { told: None, is_shown: io::stderr().is_terminal() }
    }

    /// Of how many events it has been, and at which position of which last one it is, where that is known.
    pub(crate) fn tell(&mut self, events: u64, way: Option<(i64, i64)>) {
        if !self.is_shown || self.told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
            return;
        }
        self.told = Some(Instant::now());
        let bar = way.map(|(at, end)| bar(at, end)).unwrap_or_default();
        // Where it cannot be shown, nothing is lost.
        let _ = write!(io::stderr(), "\r{bar}{events} events");
    }

    /// Says something that stays, whoever sits there.
    pub(crate) fn say(&mut self, line: &str) {
        let cleared = if self.told.take().is_some() { CLEARED } else { "" };
        // The exit code of what ends tells, too.
        let _ = writeln!(io::stderr(), "{cleared}{line}");
    }
}

fn bar(at: i64, end: i64) -> String {
    let percent = at.saturating_mul(100).checked_div(end).unwrap_or(100).clamp(0, 100);
    let filled = usize::try_from(percent / 5).unwrap_or_default();
    format!("{:<20} {percent:>3} %  ", "#".repeat(filled))
}

/// The line is cleared, however it ends.
impl Drop for Progress {
    fn drop(&mut self) {
        if self.told.is_some() {
            let _ = write!(io::stderr(), "{CLEARED}");
        }
    }
}
