//! Repositories made for a test.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::{TempDir, tempdir};

/// A repository in a folder of its own, with a clock that ticks a day at each commit.
pub(super) struct Repository {
    folder: TempDir,
    day: u32,
}

impl Repository {
    pub(super) fn new() -> Self {
        let repository = Self { folder: tempdir().unwrap(), day: 0 };
        fs::create_dir(repository.path()).unwrap();
        repository.git(["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    /// The folder that holds the repository, and the store beside it.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    /// Writes twenty lines, of which `line` is the last: enough for git to tell that a renamed file is the same.
    pub(super) fn write(&self, path: impl AsRef<Path>, line: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let lines: String = (1..20).map(|number| format!("line {number}\n")).collect();
        fs::write(path, format!("{lines}{line}\n")).unwrap();
    }

    /// Commits all that is in the folder, by this author.
    pub(super) fn commit(&mut self, author: &str) -> String {
        self.git(["add", "--all"]);
        self.commit_staged(author)
    }

    /// Commits what is staged, be it nothing.
    pub(super) fn commit_staged(&mut self, author: &str) -> String {
        self.day += 1;
        let output = self
            .command(["commit", "--quiet", "--allow-empty", "--no-verify", "--message=a message"])
            .env("GIT_AUTHOR_NAME", author)
            .env("GIT_AUTHOR_DATE", format!("2024-01-{:02}T12:00:00Z", self.day))
            .env("GIT_COMMITTER_DATE", format!("2024-02-{:02}T12:00:00Z", self.day))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        self.git(["rev-parse", "HEAD"])
    }

    /// Runs git, which has to succeed, and gives back what it said.
    pub(super) fn git<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Runs git, which has to succeed, on this input.
    pub(super) fn feed<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>, input: &str) {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// Runs git where it may complain, as a merge with conflicts does.
    pub(super) fn try_git<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) {
        self.command(arguments).output().unwrap();
    }

    /// Git without the configuration of the machine.
    fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new("git");
        command.arg("-C").arg(self.path()).args(arguments);
        for inherited in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(inherited);
        }
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        for role in ["GIT_AUTHOR", "GIT_COMMITTER"] {
            command
                .env(format!("{role}_NAME"), "Committer")
                .env(format!("{role}_EMAIL"), "committer@example.com");
        }
        command
    }
}
