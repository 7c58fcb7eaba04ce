//! Reading what `git diff-tree` prints: commit by commit, in bounded memory.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout};

use jiff::Timestamp;

use crate::Result;
use crate::change::{Change, Side};
use crate::events::{Commit, FilePath, Lines, Person};

/// A commit and what it did.
#[derive(Debug)]
pub(crate) struct CommitRead {
    pub(crate) commit: Commit,
    pub(crate) authored_at: Timestamp,
    pub(crate) changes: Vec<Change>,
}

/// The commits of a repository, parents before children.
///
/// Everything that git prints ends with a NUL: the fields of a commit, then for each file a record that begins with one
/// colon for each parent (`:100644 100644 <object> <object> M`), and its paths. The counts of lines are records with tabs
/// (`3<tab>1<tab>path`).
#[derive(Debug)]
pub(crate) struct History {
    output: BufReader<ChildStdout>,
    /// The two processes whose success makes the end a real one.
    children: [Child; 2],
    /// The hash of the next commit: read to find the end of the one before.
    next_hash: Option<Vec<u8>>,
}

impl History {
    /// The fields of a commit, in the order in which they are read.
    pub(crate) const FORMAT: &str = "--format=%H%x00%at%x00%an%x00%ae%x00%ct%x00%cn%x00%ce";

    pub(crate) fn new(order: Child, mut diff: Child) -> Result<Self> {
        let output = diff.stdout.take().ok_or("git diff-tree has no output")?;
        let mut history = Self {
            output: BufReader::with_capacity(1 << 16, output),
            children: [order, diff],
            next_hash: None,
        };
        history.next_hash = history.token()?;
        Ok(history)
    }

    fn read_commit(&mut self, hash: &[u8]) -> Result<CommitRead> {
        let authored_at = self.time()?;
        let author = self.person()?;
        let committed_at = self.time()?;
        let committer = self.person()?;
        let mut changes = Vec::new();
        let mut lines = HashMap::new();
        self.next_hash = loop {
            match self.token()? {
                // Between commit and files there is an empty line, or an empty field.
                Some(token) if token.is_empty() => {}
                Some(token) if token.starts_with(b":") => changes.push(self.read_change(&token)?),
                Some(token) if token.contains(&b'\t') => lines.extend(self.read_lines(&token)?),
                hash_or_end => break hash_or_end,
            }
        };
        for change in changes.iter_mut().filter(|change: &&mut Change| change.sides.len() == 1) {
            change.lines = lines.get(&change.path).copied();
        }
        let commit = Commit { hash: text(hash), author, committer, committed_at };
        Ok(CommitRead { commit, authored_at, changes })
    }

    /// A record: the parents' modes and the own, the parents' objects and the own, a status for each parent. Then the
    /// paths: of a merge all of them, else two where they differ.
    fn read_change(&mut self, record: &[u8]) -> Result<Change> {
        let record = text(record);
        let fields: Vec<&str> = record.trim_start_matches(':').split(' ').collect();
        let parents = record.len() - record.trim_start_matches(':').len();
        let cut = || format!("git printed a record that cannot be read: {record}");
        let (modes, rest) = fields.split_at_checked(parents + 1).ok_or_else(cut)?;
        let (objects, status) = rest.split_at_checked(parents + 1).ok_or_else(cut)?;
        let [status] = status else { return Err(cut().into()) };
        let (letters, similarity) = status.split_at_checked(parents).ok_or_else(cut)?;

        let mut sides = Vec::with_capacity(parents);
        for ((status, mode), object) in letters.chars().zip(modes).zip(objects) {
            let path = self.path()?;
            sides.push(Side { status, mode: (*mode).to_owned(), object: (*object).to_owned(), path });
        }
        let path = match sides.as_slice() {
            [one] if !matches!(one.status, 'R' | 'C') => one.path.clone(),
            _ => self.path()?,
        };
        let last = |values: &[&str]| values.last().map(ToString::to_string).unwrap_or_default();
        Ok(Change {
            sides,
            path,
            mode: last(modes),
            object: last(objects),
            similarity: similarity.parse().ok(),
            lines: None,
        })
    }

    /// Lines added, lines removed, and the path; of a renamed file none, and its two paths follow. None of a binary file.
    fn read_lines(&mut self, record: &[u8]) -> Result<Option<(FilePath, Lines)>> {
        let mut fields = record.splitn(3, |byte| *byte == b'\t');
        let (added, removed) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let path = match fields.next().unwrap_or_default() {
            b"" => {
                self.field()?;
                self.path()?
            }
            path => FilePath::from_bytes(path),
        };
        let count = |field| text(field).parse().ok();
        Ok(count(added).zip(count(removed)).map(|(added, removed)| (path, Lines { added, removed })))
    }

    fn path(&mut self) -> Result<FilePath> {
        Ok(FilePath::from_bytes(&self.field()?))
    }

    fn person(&mut self) -> Result<Person> {
        Ok(Person { name: text(&self.field()?), email: text(&self.field()?) })
    }

    /// A commit's time; the epoch for one that no calendar has, as some old tools wrote.
    fn time(&mut self) -> Result<Timestamp> {
        let seconds = text(&self.field()?).parse().ok();
        Ok(seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or(Timestamp::UNIX_EPOCH))
    }

    fn field(&mut self) -> Result<Vec<u8>> {
        Ok(self.read_to_nul()?.ok_or("git ended in the middle of a commit")?)
    }

    /// A field without the line break that may stand before it.
    fn token(&mut self) -> Result<Option<Vec<u8>>> {
        Ok(self.read_to_nul()?.map(|mut token| {
            if token.first() == Some(&b'\n') {
                token.remove(0);
            }
            token
        }))
    }

    fn read_to_nul(&mut self) -> Result<Option<Vec<u8>>> {
        let mut field = Vec::new();
        self.output.read_until(0, &mut field)?;
        Ok((field.pop() == Some(0)).then_some(field))
    }

    /// The end of the output is the end of the history only where git succeeded.
    fn end(&mut self) -> Result<()> {
        for child in &mut self.children {
            let status = child.wait()?;
            if !status.success() {
                return Err(format!("git failed while it read the history: {status}").into());
            }
        }
        Ok(())
    }
}

impl Iterator for History {
    type Item = Result<CommitRead>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_hash.take() {
            Some(hash) => Some(self.read_commit(&hash)),
            None => self.end().err().map(Err),
        }
    }
}

/// Whoever stops reading early leaves no process behind.
impl Drop for History {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Text for people: without what is not UTF-8, and without control characters, which a terminal would obey.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace(char::is_control, "\u{fffd}")
}
