//! What is left of shredded keys in the log: pages as they were before, until the log is emptied.
//!
//! The log is emptied (`TRUNCATE`) once all of it is in the file and nobody reads there any more. While somebody does, it is tried
//! again. A key says in its row that this is still to be done (`operations::keys`): so it is, whoever was killed meanwhile, by the
//! next one to open the file.

use std::time::{Duration, Instant};

use event_sourcery::{Error, Result};

use super::group::COMMIT;
use super::lines::Receiver;
use super::{WriterThread, roll_back};
use crate::operations::TRACES;

/// How often it is tried, while somebody reads in the log.
const AGAIN: Duration = Duration::from_millis(100);

impl WriterThread {
    /// Clears the log as soon as it can be, while nobody comes; and in between, when somebody always does.
    pub(super) fn clear_traces_now_and_then(&self, queue: &Receiver) {
        while self.traces.get() {
            let since = self.cleared.get().map_or(AGAIN, |cleared| cleared.elapsed());
            if since < AGAIN {
                if queue.has_news() {
                    return;
                }
                queue.sleep(AGAIN.saturating_sub(since));
            } else if !self.clear_traces() {
                return;
            }
        }
    }

    /// Tells whether it could, or will once nobody reads in the log any more.
    fn clear_traces(&self) -> bool {
        let cleared = self.try_to_clear_traces();
        roll_back(&self.connection);
        self.cleared.set(Some(Instant::now()));
        match cleared {
            Ok(may_be_left) => self.traces.set(may_be_left),
            Err(Error::Busy { .. }) => {}
            Err(error) => {
                tracing::warn!(
                    error = error.in_full(),
                    "traces of shredded keys are left in the log, which could not be emptied: it is tried again after the next call"
                );
                return false;
            }
        }
        true
    }

    /// Tells whether there may be more. Nobody is waited for. What is shredded after the traces were looked for is not forgotten.
    fn try_to_clear_traces(&self) -> Result<bool> {
        let operations = self.operations();
        self.connection.busy_timeout(Duration::ZERO).map_err(|error| operations.failed(error))?;
        let traces = operations.traces()?;
        if traces.is_empty() {
            return Ok(false);
        }
        let empty_log = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
        let is_busy: bool = empty_log.map_err(|error| operations.failed(error))?;
        if is_busy {
            return Ok(true);
        }
        operations.run("BEGIN IMMEDIATE")?;
        operations.forget_traces(&traces)?;
        operations.run(COMMIT)?;
        Ok(traces.len() == TRACES)
    }
}
