//! From what git says about a file to the events of its stream.

use crate::events::{FileEvent, FilePath, Lines};

/// What git calls the mode of a file that is not there.
const ABSENT: &str = "000000";

/// What a commit did to a file, against each of its parents.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) sides: Vec<Side>,
    pub(crate) path: FilePath,
    pub(crate) mode: String,
    pub(crate) object: String,
    pub(crate) similarity: Option<u8>,
    /// None for a merge: its lines were counted by the commits that it merges.
    pub(crate) lines: Option<Lines>,
}

/// The file in one of the parents, and how the commit differs from it: `A`dded, `D`eleted, `M`odified, `T`ype changed,
/// `R`enamed, `C`opied.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) status: char,
    pub(crate) mode: String,
    pub(crate) object: String,
    pub(crate) path: FilePath,
}

impl Change {
    /// The events, each for the stream of its own path.
    pub(crate) fn into_events(self) -> Vec<FileEvent> {
        let Self { sides, path, mode, object, similarity, lines } = self;
        let against_all = |status| sides.iter().all(|side| side.status == status);
        if against_all('D') {
            return vec![FileEvent::Deleted { path, lines }];
        }
        if against_all('A') {
            return vec![FileEvent::Created { path, mode, object, lines }];
        }

        let mode_changes = sides.iter().all(|side| side.mode != mode && side.mode != ABSENT);
        let object_changes = sides.iter().all(|side| side.object != object);
        let mode_changed = sides.first().filter(|_| mode_changes).map(|side| FileEvent::ModeChanged {
            path: path.clone(),
            from: side.mode.clone(),
            to: mode.clone(),
        });

        let from = sides.first().map_or_else(|| path.clone(), |side| side.path.clone());
        let mut events = Vec::new();
        if against_all('R') {
            events.extend(old_names(&sides).map(|old| FileEvent::RenamedTo { path: old, to: path.clone() }));
            events.push(FileEvent::RenamedFrom { path, from, similarity, mode, object, lines });
        } else if against_all('C') {
            events.push(FileEvent::CopiedFrom { path, from, similarity, mode, object, lines });
        } else if sides.len() > 1 {
            events.push(FileEvent::Merged { path, mode, object });
            return events;
        } else if object_changes {
            events.push(FileEvent::Changed { path, object, lines });
        }
        events.extend(mode_changed);
        events
    }
}

/// The names that the parents had for the file: one, or several where branches had renamed it apart.
fn old_names(sides: &[Side]) -> impl Iterator<Item = FilePath> {
    let is_first =
        |(number, side): &(usize, &Side)| !sides.iter().take(*number).any(|seen| seen.path == side.path);
    sides.iter().enumerate().filter(is_first).map(|(_, side)| side.path.clone())
}
