//! Copies of a server: standbys that follow it, backups that are restored, and snapshots of its files.

use std::fs;
use std::process::Command;
use std::time::Instant;

use crate::cluster::Cluster;
use crate::postmaster::{PATIENCE, pause};
use crate::programs;

/// The settings of a server whose log is kept for [`Backup::restored_to`].
pub const ARCHIVING: [(&str, &str); 3] = [
    ("wal_level", "replica"),
    ("archive_mode", "on"),
    // A file has its name once it is complete: a server that is killed meanwhile leaves no part of one.
    (
        "archive_command",
        "mkdir -p ../archive && cp %p ../archive/%f.part && mv ../archive/%f.part ../archive/%f",
    ),
];

/// A copy of a server's files, made while it ran.
#[derive(Debug)]
pub struct Backup {
    copy: Cluster,
    archive: String,
}

impl Cluster {
    /// A hot standby of this server: it follows by streaming, and answers queries.
    ///
    /// # Panics
    ///
    /// When the copy fails or the standby does not start, with what it says.
    pub fn standby(&self) -> Self {
        self.copied(&["-R"]).launched_on_a_free_port()
    }

    /// Makes a standby a server of its own, on a timeline of its own. It takes writes when this returns.
    ///
    /// # Panics
    ///
    /// When it is no standby that runs.
    pub fn promote(&self) {
        let mut pg_ctl = self.command("pg_ctl");
        pg_ctl.args(["promote", "--silent", "-w", "-D"]).arg(self.data());
        programs::run(pg_ctl).unwrap_or_else(|failure| panic!("{failure}"));
        self.wait_until_it_leads();
    }

    /// A backup of the server as it runs.
    ///
    /// # Panics
    ///
    /// When it fails, with what it says.
    pub fn backup(&self) -> Backup {
        Backup { copy: self.copied(&[]), archive: self.path.join("archive").display().to_string() }
    }

    /// Another server on the files as they are at this moment, as a snapshot of the volume has them. It recovers as after a crash,
    /// and stays on the timeline.
    ///
    /// # Panics
    ///
    /// When this one does not run, when the copy fails, or when the copy does not start, with its log.
    pub fn set_back_to_now(&self) -> Self {
        let copy = Self::in_new_folder();
        let mut cp = Command::new("cp");
        cp.arg("-a").arg(self.data()).arg(copy.data());
        self.freeze();
        let copied = programs::run(cp);
        self.thaw();
        copied.unwrap_or_else(|failure| panic!("{failure}"));
        fs::remove_file(copy.data().join("postmaster.pid")).expect("a server that runs has one");
        copy.launched_on_a_free_port()
    }

    fn copied(&self, options: &[&str]) -> Self {
        let copy = Self::in_new_folder();
        let mut pg_basebackup = copy.command("pg_basebackup");
        pg_basebackup.args(["-d", &self.url("postgres"), "-X", "stream", "-c", "fast", "--no-sync"]);
        pg_basebackup.args(options).arg("-D").arg(copy.data());
        programs::run(pg_basebackup).unwrap_or_else(|failure| panic!("{failure}"));
        copy
    }

    fn wait_until_it_leads(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.psql("postgres", "SELECT pg_is_in_recovery()") != "f" {
            assert!(Instant::now() < deadline, "it goes on to follow");
            pause();
        }
    }
}

impl Backup {
    /// The server as it was at a restore point (`pg_create_restore_point`) of the one that was copied, which has to be
    /// [`ARCHIVING`]; it takes writes.
    ///
    /// # Panics
    ///
    /// When it does not start, with its log.
    pub fn restored_to(self, point: &str) -> Cluster {
        let Self { copy, archive } = self;
        copy.configure(&[
            ("archive_mode", "off"),
            ("restore_command", &format!("cp {archive}/%f %p")),
            ("recovery_target_name", point),
            ("recovery_target_action", "promote"),
        ]);
        fs::write(copy.data().join("recovery.signal"), "").expect("a folder of ours");
        let restored = copy.launched_on_a_free_port();
        restored.wait_until_it_leads();
        restored
    }
}
