//! A server whose clock is wrong.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::cluster::Cluster;

impl Cluster {
    /// Sets the server's clock off by so much, such as `-2h`: at once if it was set before the server started, otherwise from
    /// its next start on. Needs libfaketime, which `scripts/test` brings.
    ///
    /// # Panics
    ///
    /// When the file that holds it cannot be written.
    pub fn set_clock(&self, off_by: &str) {
        fs::write(self.path.join("clock"), off_by).expect("a folder of ours");
    }

    pub(crate) fn with_its_clock(&self, postgres: &mut Command) {
        let clock = self.path.join("clock");
        if clock.exists() {
            postgres
                .env("LD_PRELOAD", library())
                .env("FAKETIME_TIMESTAMP_FILE", clock)
                .env("FAKETIME_NO_CACHE", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
    }
}

/// Debian keeps it in a folder of the machine's architecture.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut found =
        folders.map(|folder| folder.path().join("faketime/libfaketime.so.1")).filter(|path| path.exists());
    found.next().expect("libfaketime is missing: `scripts/test` brings it (apt-get install libfaketime)")
}
