//! The life of one file, from name to name.
//!
//! A rename ends a chapter in the stream of the old path and begins one in the stream of the new path. Both events carry
//! the correlation id of their commit: that is how one is found from the other.

use std::collections::{HashSet, VecDeque};
use std::io::Write;

use event_sourcery::{EventStore, WrappedEvent};
use jiff::Timestamp;
use uuid::Uuid;

use crate::Result;
use crate::events::{Commit, FileEvent, FilePath};

/// What happened to a file under one name.
struct Chapter {
    path: FilePath,
    events: Vec<WrappedEvent<FileEvent>>,
}

/// Writes the life of the file that has this path, or was the last to have it.
pub(crate) async fn write(store: &EventStore, path: &FilePath, out: &mut impl Write) -> Result<()> {
    let Some(chapter) = chapters(store, path).await?.pop() else {
        return Err(format!("no commit knows a file {path}").into());
    };
    let story = follow(store, chapter).await?;
    let events: usize = story.iter().map(|chapter| chapter.events.len()).sum();
    writeln!(out, "\nThe life of {path} (events: {events}, chapters: {})", story.len())?;
    for chapter in &story {
        writeln!(out, "  {}", chapter.path)?;
        tell(&chapter.events, out)?;
    }
    Ok(())
}

/// The chapters of a path's stream: it begins anew where a file moves to a path that another one has left.
async fn chapters(store: &EventStore, path: &FilePath) -> Result<Vec<Chapter>> {
    let mut chapters: Vec<Chapter> = Vec::new();
    for event in store.load_stream::<FileEvent>(&path.stream()?).await? {
        match chapters.last_mut() {
            Some(current) if !current.is_followed_by(&event.event) => current.events.push(event),
            _ => chapters.push(Chapter { path: path.clone(), events: vec![event] }),
        }
    }
    Ok(chapters)
}

/// The chapter with those before and after it, under other names.
async fn follow(store: &EventStore, chapter: Chapter) -> Result<VecDeque<Chapter>> {
    let mut told = HashSet::from([chapter.id()]);
    let mut story = VecDeque::from([chapter]);
    while let Some((from, commit)) = story.front().and_then(Chapter::came_from) {
        let earlier = chapters(store, from).await?.into_iter().find(|chapter| chapter.left_in(commit));
        match earlier.filter(|chapter| told.insert(chapter.id())) {
            Some(earlier) => story.push_front(earlier),
            None => break,
        }
    }
    while let Some((to, commit)) = story.back().and_then(Chapter::went_to) {
        let later = chapters(store, to).await?.into_iter().find(|chapter| chapter.arrived_in(commit));
        match later.filter(|chapter| told.insert(chapter.id())) {
            Some(later) => story.push_back(later),
            None => break,
        }
    }
    Ok(story)
}

impl Chapter {
    fn id(&self) -> Option<Uuid> {
        self.events.first().map(|first| first.uuid)
    }

    /// A file that is deleted and created again lives on; one that was renamed has left its path to others.
    fn is_followed_by(&self, event: &FileEvent) -> bool {
        let left = || self.events.iter().any(|event| matches!(event.event, FileEvent::RenamedTo { .. }));
        let gone = || self.events.last().is_some_and(|last| matches!(last.event, FileEvent::Deleted { .. }));
        match event {
            FileEvent::RenamedFrom { .. } => left() || gone(),
            FileEvent::Created { .. } | FileEvent::CopiedFrom { .. } => left(),
            _ => false,
        }
    }

    fn came_from(&self) -> Option<(&FilePath, Option<Uuid>)> {
        self.events.iter().find_map(|event| match &event.event {
            FileEvent::RenamedFrom { from, .. } => Some((from, event.context.correlation_id())),
            _ => None,
        })
    }

    fn went_to(&self) -> Option<(&FilePath, Option<Uuid>)> {
        self.events.iter().rev().find_map(|event| match &event.event {
            FileEvent::RenamedTo { to, .. } => Some((to, event.context.correlation_id())),
            _ => None,
        })
    }

    fn left_in(&self, commit: Option<Uuid>) -> bool {
        let left = |event: &FileEvent| matches!(event, FileEvent::RenamedTo { .. });
        self.events.iter().any(|event| left(&event.event) && event.context.correlation_id() == commit)
    }

    fn arrived_in(&self, commit: Option<Uuid>) -> bool {
        let arrived = |event: &FileEvent| matches!(event, FileEvent::RenamedFrom { .. });
        self.events.iter().any(|event| arrived(&event.event) && event.context.correlation_id() == commit)
    }
}

/// A line for each event, and one for all the changes in a row that a year has.
fn tell(events: &[WrappedEvent<FileEvent>], out: &mut impl Write) -> Result<()> {
    let is_change =
        |event: &WrappedEvent<_>| matches!(event.event, FileEvent::Changed { .. } | FileEvent::Merged { .. });
    let year = |event: &WrappedEvent<_>| event.created_at.strftime("%Y").to_string();
    for row in events.chunk_by(|one, next| is_change(one) && is_change(next)) {
        let mut row: Vec<_> = row.iter().collect();
        row.sort_by_key(|event| event.created_at);
        for same_year in row.chunk_by(|one, next| year(one) == year(next)) {
            let (Some(first), Some(last)) = (same_year.first(), same_year.last()) else { continue };
            let (days, what) = (days(first.created_at, last.created_at), what(&first.event, same_year.len()));
            writeln!(out, "    {days:23}  {what} by {}", people(same_year)?)?;
        }
    }
    Ok(())
}

fn days(first: Timestamp, last: Timestamp) -> String {
    let (first, last) = (first.strftime("%F").to_string(), last.strftime("%F").to_string());
    if first == last { first } else { format!("{first} - {last}") }
}

fn what(event: &FileEvent, times: usize) -> String {
    let alike = |similarity: &Option<u8>| {
        similarity.map(|percent| format!(" ({percent} % alike)")).unwrap_or_default()
    };
    match event {
        FileEvent::Created { .. } => "created".to_owned(),
        FileEvent::Changed { .. } | FileEvent::Merged { .. } if times > 1 => format!("changed {times} times"),
        FileEvent::Changed { .. } => "changed".to_owned(),
        FileEvent::Merged { .. } => "merged".to_owned(),
        FileEvent::ModeChanged { from, to, .. } => format!("mode {from} -> {to}"),
        FileEvent::RenamedTo { to, .. } => format!("renamed to {to}"),
        FileEvent::RenamedFrom { from, similarity, .. } => {
            format!("renamed from {from}{}", alike(similarity))
        }
        FileEvent::CopiedFrom { from, similarity, .. } => format!("copied from {from}{}", alike(similarity)),
        FileEvent::Deleted { .. } => "deleted".to_owned(),
    }
}

/// The authors, the first two by name.
fn people(events: &[&WrappedEvent<FileEvent>]) -> Result<String> {
    let mut names: Vec<String> = Vec::new();
    for event in events {
        if let Some(commit) = event.context.component::<Commit>()?
            && !names.contains(&commit.author.name)
        {
            names.push(commit.author.name);
        }
    }
    let more = names.len().saturating_sub(2);
    names.truncate(2);
    let named = names.join(", ");
    Ok(if more == 0 { named } else { format!("{named} and {more} more") })
}
