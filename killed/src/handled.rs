//! What handlers of several processes tell of the events that they handle, in a file: it outlives whoever is killed.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::id;

use event_sourcery::backend::{Segments, SubscriptionRecord};
use event_sourcery::{RawEvent, Recorded, StreamId};
use uuid::Uuid;

/// The file.
pub struct HandledEvents(PathBuf);

/// A line of it: who handled which event, and where the event's segment stood then.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// The number of the process.
    pub process: u32,
    /// The event's stream.
    pub stream: Uuid,
    /// The event's version.
    pub version: u64,
    position: i64,
    checkpoint: i64,
    /// The member that the segment belonged to.
    holder: Uuid,
}

impl HandledEvents {
    /// The file in this folder.
    pub fn within(folder: &Path) -> Self {
        Self(folder.join("handled"))
    }

    /// Notes an event, with where its segment stands.
    pub fn note(&self, event: &Recorded<RawEvent>, record: &SubscriptionRecord) {
        let (stream, count) = (event.stream_id.uuid(), u16::try_from(record.segments.len()).unwrap());
        let segment = record.segments[usize::from(Segments::number_of(stream, count))];
        self.write(event, segment.position.to_i64(), segment.member.unwrap_or_default());
    }

    /// Notes an event, by whoever does not ask the store: only [`check_order`](Self::check_order) is about such lines.
    pub fn note_alone(&self, event: &Recorded<RawEvent>) {
        self.write(event, -1, Uuid::nil());
    }

    /// A line is written by one call.
    fn write(&self, event: &Recorded<RawEvent>, checkpoint: i64, holder: Uuid) {
        let (stream, version) = (event.stream_id.uuid(), event.wrapped_event.version.unwrap());
        let position = event.position.to_i64();
        let line = format!("{} {stream} {version} {position} {checkpoint} {holder}\n", id());
        let file = OpenOptions::new().create(true).append(true).open(&self.0);
        file.unwrap().write_all(line.as_bytes()).unwrap();
    }

    /// Lets whoever asks [`is_held`](Self::is_held) wait until [`let_go`](Self::let_go).
    pub fn hold(&self) {
        std::fs::create_dir(self.holding()).unwrap();
    }

    /// Nobody is to wait any more.
    pub fn let_go(&self) {
        std::fs::remove_dir(self.holding()).unwrap();
    }

    /// Whether it is to be waited, in every process.
    pub fn is_held(&self) -> bool {
        self.holding().exists()
    }

    fn holding(&self) -> PathBuf {
        self.0.with_file_name("held")
    }

    /// All its lines. One that is being written is none yet: of a line over two pages, a reader may see the first part.
    pub fn read(&self) -> Vec<Line> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(Line::parse).collect()
    }

    /// All events of the streams, of this length each, were handled: none was left out when a later one of its stream was
    /// handled, and none came again that was behind a checkpoint. Tells how many came again.
    pub fn check(&self, lengths: &[(StreamId, u64)]) -> usize {
        let lines = self.read();
        let mut members: HashMap<u32, HashMap<Uuid, usize>> = HashMap::new();
        for line in &lines {
            *members.entry(line.process).or_default().entry(line.holder).or_default() += 1;
        }
        let member = |process| members[&process].iter().max_by_key(|(_, lines)| **lines).map(|(id, _)| *id);
        for line in &lines {
            // One that was too slow may have lost its lease to another.
            if member(line.process) == Some(line.holder) {
                assert!(line.checkpoint < line.position, "{line:?} is behind its checkpoint");
            }
        }
        self.check_order(lengths)
    }

    /// All events of the streams, of this length each, were handled, and none was left out when a later one of its stream was
    /// handled. Tells how many came again.
    pub fn check_order(&self, lengths: &[(StreamId, u64)]) -> usize {
        let lines = self.read();
        let mut last: HashMap<Uuid, u64> = HashMap::new();
        for line in &lines {
            let last = last.entry(line.stream).or_default();
            assert!(line.version <= *last + 1, "{line:?} leaves out what follows {last}");
            *last = line.version.max(*last);
        }
        for (stream, length) in lengths {
            assert_eq!(last.get(&stream.uuid()), Some(length), "all of {stream} is handled");
        }
        lines.len() - usize::try_from(lengths.iter().map(|(_, length)| length).sum::<u64>()).unwrap()
    }
}

impl Line {
    fn parse(line: &str) -> Self {
        let words: Vec<_> = line.split(' ').collect();
        let number = |at: usize| words[at].parse().unwrap();
        Self {
            process: words[0].parse().unwrap(),
            stream: words[1].parse().unwrap(),
            version: words[2].parse().unwrap(),
            position: number(3),
            checkpoint: number(4),
            holder: words[5].parse().unwrap(),
        }
    }
}
