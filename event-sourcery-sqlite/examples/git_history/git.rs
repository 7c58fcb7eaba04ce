//! Asking `git`: what is to be read, and the stream of commits.

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;
use crate::history::History;

/// A repository on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    path: PathBuf,
    name: String,
}

/// Commits to be read: all that lead to these tips, but not those that lead to commits known already.
#[derive(Debug, Clone)]
pub(crate) struct Span(String);

impl Span {
    pub(crate) fn new(tips: &[String], known: &[String]) -> Self {
        let tips = tips.iter().map(|tip| format!("{tip}\n"));
        Self(tips.chain(known.iter().map(|known| format!("^{known}\n"))).collect())
    }
}

impl Repository {
    /// Finds the repository that this path lies in, and refuses one whose history is cut off.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut repository = Self { path: path.to_owned(), name: String::new() };
        let folder = repository
            .ask(&["rev-parse", "--path-format=absolute", "--git-common-dir"], "")
            .map_err(|problem| format!("{} cannot be read as a git repository: {problem}", path.display()))?;
        if repository.ask(&["rev-parse", "--is-shallow-repository"], "")? == "true" {
            return Err(format!(
                "{} is a shallow clone, its history is cut off: complete it with `git fetch --unshallow`",
                path.display()
            )
            .into());
        }
        repository.name = name_of(Path::new(&folder));
        Ok(repository)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The newest commits: those of all branches and tags, and the one that is checked out.
    pub(crate) fn tips(&self) -> Result<Vec<String>> {
        let every_ref = ["--branches", "--tags", "--remotes", "HEAD"];
        self.commits(&[&["rev-list", "--no-walk", "--ignore-missing"], every_ref.as_slice()].concat(), "")
    }

    /// Those of these commits that the repository still has: a rewritten history may have lost some.
    pub(crate) fn present(&self, commits: &[String]) -> Result<Vec<String>> {
        self.commits(&["rev-list", "--no-walk", "--ignore-missing", "--stdin"], &Span::new(commits, &[]).0)
    }

    pub(crate) fn count(&self, span: &Span) -> Result<u64> {
        Ok(self.ask(&["rev-list", "--count", "--stdin"], &span.0)?.parse()?)
    }

    /// Reads the commits one by one.
    ///
    /// Two plumbing commands, whose output no configuration changes: `rev-list` orders (parents first, otherwise by
    /// time), `diff-tree` compares.
    ///
    /// - Every commit is read, not only the first parents' line: the events are those of the people who made them.
    /// - A merge is compared with all its parents (`-c`), and says what differs from each of them: conflicts that it
    ///   resolved, files that both sides had changed, and what was slipped in. All else has been told by the commits
    ///   that it merges. `-m` would tell it once more for each parent.
    ///   Taking one side as it is counts as no change, so the last event of such a file may be the other side's.
    /// - Lines are counted (`--numstat`), but not those of merges, as `git log --numstat` does it.
    /// - Renames are found (`-M`) at a fixed similarity and up to a fixed number of candidates, because the events' ids
    ///   depend on them: two imports have to agree.
    pub(crate) fn history(&self, span: &Span) -> Result<History> {
        let mut order = self
            .command(&["rev-list", "--date-order", "--reverse", "--stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(start_failure)?;
        let commits = order.stdout.take().ok_or("git rev-list has no output")?;
        let diff = self
            .command(&["diff-tree", "--stdin", "--always", "--root", "-r", "-c", "--combined-all-paths"])
            .args([
                "-M50%",
                "-l1000",
                "--raw",
                "--numstat",
                "--no-abbrev",
                "-z",
                "--encoding=UTF-8",
                History::FORMAT,
            ])
            .stdin(commits)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(start_failure)?;
        // `rev-list` reads all of it before it answers, so this cannot get stuck.
        feed(order.stdin.take(), &span.0)?;
        History::new(order, diff)
    }

    fn commits(&self, arguments: &[&str], input: &str) -> Result<Vec<String>> {
        let mut commits: Vec<_> = self.ask(arguments, input)?.lines().map(str::to_owned).collect();
        commits.sort_unstable();
        Ok(commits)
    }

    /// Runs git to its end, and gives its answer, or its complaint.
    fn ask(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(start_failure)?;
        feed(child.stdin.take(), input)?;
        let output = child.wait_with_output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
        }
        Err(String::from_utf8_lossy(&output.stderr).trim().into())
    }

    /// Git in this repository, whatever the environment and replaced objects say.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").env("LC_ALL", "C");
        command.arg("--no-replace-objects").arg("-C").arg(&self.path).args(arguments);
        command
    }
}

/// Writes all of it. Git may have ended before: then its exit code tells more than a broken pipe.
fn feed(input: Option<impl io::Write>, text: &str) -> io::Result<()> {
    match input.map_or(Ok(()), |mut input| input.write_all(text.as_bytes())) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

fn start_failure(error: io::Error) -> crate::Failure {
    match error.kind() {
        ErrorKind::NotFound => "git is needed, and was not found in the PATH".into(),
        _ => format!("git cannot be started: {error}").into(),
    }
}

/// `project` for `/home/me/project/.git` as for `/srv/project.git`.
fn name_of(folder: &Path) -> String {
    let own = if folder.file_name() == Some(OsStr::new(".git")) { folder.parent() } else { Some(folder) };
    let name = own.and_then(Path::file_name).unwrap_or(OsStr::new("repository")).to_string_lossy();
    name.strip_suffix(".git").unwrap_or(&name).to_owned()
}
