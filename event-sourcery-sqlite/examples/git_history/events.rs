//! What can happen to a file, and where it is kept: a stream for each path, in the category `file`.

use std::fmt::{self, Write as _};

use event_sourcery::{Category, Context, ContextComponent, Event, NewEvent, Result, StreamId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Where streams whose path is too long for a name get their UUID from.
const LONG_PATHS: Uuid = Uuid::from_u128(0x5ac0_99be_4a53_4c8e_9b1e_2d6d_7a4e_0f11);
/// Where event ids come from.
const EVENT_IDS: Uuid = Uuid::from_u128(0x0d2f_6a0a_95c5_43f2_8a9b_7f7e_51f3_c6d4);

/// Something that happened to a file. Every event says the path, because a stream may have no name.
///
/// A rename is two events, one at the end of the old path's stream, one at the beginning of the new one's: in the same
/// append, with the same correlation id.
#[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
pub(crate) enum FileEvent {
    #[event(name = "FileCreated")]
    Created { path: FilePath, mode: String, object: String, lines: Option<Lines> },
    #[event(name = "FileChanged")]
    Changed { path: FilePath, object: String, lines: Option<Lines> },
    #[event(name = "FileModeChanged")]
    ModeChanged { path: FilePath, from: String, to: String },
    /// Both sides of a merge had changed the file, and the merge made one of the two.
    #[event(name = "FileMerged")]
    Merged { path: FilePath, mode: String, object: String },
    #[event(name = "FileRenamedTo")]
    RenamedTo { path: FilePath, to: FilePath },
    #[event(name = "FileRenamedFrom")]
    RenamedFrom {
        path: FilePath,
        from: FilePath,
        similarity: Option<u8>,
        mode: String,
        object: String,
        lines: Option<Lines>,
    },
    #[event(name = "FileCopiedFrom")]
    CopiedFrom {
        path: FilePath,
        from: FilePath,
        similarity: Option<u8>,
        mode: String,
        object: String,
        lines: Option<Lines>,
    },
    #[event(name = "FileDeleted")]
    Deleted { path: FilePath, lines: Option<Lines> },
}

/// How many lines came and went, as git counts them. A binary file has none.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq)]
pub(crate) struct Lines {
    pub(crate) added: u32,
    pub(crate) removed: u32,
}

impl FileEvent {
    pub(crate) const fn path(&self) -> &FilePath {
        match self {
            Self::Created { path, .. }
            | Self::Changed { path, .. }
            | Self::ModeChanged { path, .. }
            | Self::Merged { path, .. }
            | Self::RenamedTo { path, .. }
            | Self::RenamedFrom { path, .. }
            | Self::CopiedFrom { path, .. }
            | Self::Deleted { path, .. } => path,
        }
    }

    pub(crate) const fn lines(&self) -> Option<Lines> {
        match self {
            Self::Created { lines, .. }
            | Self::Changed { lines, .. }
            | Self::RenamedFrom { lines, .. }
            | Self::CopiedFrom { lines, .. }
            | Self::Deleted { lines, .. } => *lines,
            Self::ModeChanged { .. } | Self::Merged { .. } | Self::RenamedTo { .. } => None,
        }
    }

    const fn other_path(&self) -> Option<&FilePath> {
        match self {
            Self::RenamedTo { to: other, .. }
            | Self::RenamedFrom { from: other, .. }
            | Self::CopiedFrom { from: other, .. } => Some(other),
            _ => None,
        }
    }

    /// This event as this commit's: at the author's time, with an id that is the same whenever it is imported.
    pub(crate) fn of(self, commit: &Commit, time: Timestamp) -> Result<NewEvent<Self>> {
        let name = self.event_name();
        let other = self.other_path().map_or("", FilePath::as_str);
        let id = [&commit.hash, &*name, self.path().as_str(), other].join("\0");
        let context = Context::new().with_correlation_id(commit.correlation_id()).with_component(commit)?;
        Ok(self.with_id(Uuid::new_v5(&EVENT_IDS, id.as_bytes())).with_created_at(time).with_context(context))
    }
}

/// The commit that an event belongs to: a component of its context.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(crate) struct Commit {
    pub(crate) hash: String,
    pub(crate) author: Person,
    pub(crate) committer: Person,
    pub(crate) committed_at: Timestamp,
}

impl ContextComponent for Commit {
    const NAME: &'static str = "commit";
}

impl Commit {
    /// Ties together all that the commit did.
    fn correlation_id(&self) -> Uuid {
        Uuid::new_v5(&EVENT_IDS, self.hash.as_bytes())
    }
}

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) email: String,
}

/// The history was imported up to these commits; the next import goes on behind them.
#[derive(Event, Serialize, Deserialize, Debug)]
pub(crate) struct HistoryImported {
    pub(crate) tips: Vec<String>,
    pub(crate) commits: u64,
}

impl HistoryImported {
    pub(crate) fn stream() -> Result<StreamId> {
        StreamId::from_name("imports")
    }
}

/// A path as text. Git's paths are bytes: those that are not UTF-8, control characters and the backslash are escaped,
/// so that a terminal can show every path, and no two share a text.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
#[serde(transparent)]
pub(crate) struct FilePath(String);

impl FilePath {
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '\\' => text.push_str(r"\\"),
                    control if control.is_control() => text.extend(control.escape_unicode()),
                    plain => text.push(plain),
                }
            }
            for byte in chunk.invalid() {
                // Writing to a string cannot fail.
                let _ = write!(text, r"\x{byte:02x}");
            }
        }
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn category() -> Result<Category> {
        Category::new("file")
    }

    /// The stream of this path: by name, or where the path is longer than a name may be, by a UUID made from all of it.
    pub(crate) fn stream(&self) -> Result<StreamId> {
        let stream = StreamId::from_name(self.as_str())
            .unwrap_or_else(|_| StreamId::from_uuid(Uuid::new_v5(&LONG_PATHS, self.0.as_bytes())));
        Ok(stream.with_category(Self::category()?))
    }
}

impl AsRef<str> for FilePath {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
