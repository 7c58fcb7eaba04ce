//! Counts the calls of one kind, and says which of them are to fail.

use std::{ffi::c_int, ops::Range};

#[derive(Debug, Default)]
pub(crate) struct Calls {
    seen: u64,
    failing: Option<(Range<u64>, c_int)>,
}

impl Calls {
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// The number that the `n`-th call from now will have.
    pub(crate) fn nth_from_now(&self, n: u64) -> u64 {
        assert!(n > 0, "calls are counted from 1");
        self.seen + n
    }

    pub(crate) fn fail_from(&mut self, n: u64, code: c_int) {
        self.failing = Some((self.nth_from_now(n)..u64::MAX, code));
    }

    pub(crate) fn fail_once(&mut self, n: u64, code: c_int) {
        let call = self.nth_from_now(n);
        self.failing = Some((call..call + 1, code));
    }

    pub(crate) fn heal(&mut self) {
        self.failing = None;
    }

    /// Counts a call; the SQLite result code it is to fail with is the error.
    pub(crate) fn count(&mut self) -> Result<(), c_int> {
        self.seen += 1;
        match &self.failing {
            Some((calls, code)) if calls.contains(&self.seen) => Err(*code),
            _ => Ok(()),
        }
    }
}
