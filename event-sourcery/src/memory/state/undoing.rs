//! Taking back what was done.

use std::sync::Arc;

use super::{State, Stream, StreamKey, stored_name};
use crate::memory::journal::Done;

impl State {
    /// Takes back one thing; things are taken back in reverse order.
    pub(in crate::memory) fn undo(&mut self, done: Done) {
        match done {
            Done::Appended { stream, count } => self.undo_append(&stream, count),
            Done::Created { stream } => {
                self.streams.remove(&stream);
                self.places.leave(&stream);
            }
            Done::Named { stream } => {
                if let Some(stream) = self.streams.get_mut(&stream) {
                    if let Some(name) = stored_name(stream.key.tenant(), &stream.id) {
                        self.names.remove(&name);
                    }
                    stream.id = stream.id.without_name();
                }
            }
            Done::Deleted { stream } => self.undo_delete(stream),
            Done::DeletionCounted { tenant, before } => self.tags.put_deletions(tenant, before),
            Done::GivenUp { id, position } => {
                self.ids.insert(id, position);
            }
            Done::Subscription { id, before } => drop(self.subscriptions.put(&id, before)),
            Done::Blocked { id, stream, before } => {
                drop(self.subscriptions.put_blocked(&id, &stream, before));
            }
            Done::Cursor { id, before } => drop(self.replace_cursor(&id, before)),
            Done::Entry { position, before } => drop(self.outbox.put(position, before)),
            Done::Key { tenant, subject, before } => drop(self.keys.put(tenant, subject, before)),
            Done::Snapshot { stream } => {
                let stream = self.streams.get_mut(&stream);
                if let Some(snapshot) = stream.and_then(|stream| stream.snapshots.pop()) {
                    self.snapshot_ids.remove(&snapshot.id);
                }
            }
        }
    }

    fn undo_append(&mut self, stream: &StreamKey, count: usize) {
        let Some(stream) = self.streams.get_mut(stream) else { return };
        for _ in 0..count {
            let entry = stream.positions.pop().and_then(|position| self.log.take(position));
            if let Some(entry) = entry {
                self.ids.remove(&entry.event.id);
                self.tags.leave(entry.stream.tenant(), &entry.event.tags, entry.event.position);
            }
        }
    }

    fn undo_delete(&mut self, stream: Stream) {
        stream.key.set_deleted(false);
        self.places.enter(&stream.key);
        for snapshot in &stream.snapshots {
            self.snapshot_ids.insert(snapshot.id, ());
        }
        if let Some(name) = stored_name(stream.key.tenant(), &stream.id) {
            self.names.insert(name, stream.id.uuid());
        }
        self.streams.insert(Arc::clone(&stream.key), stream);
    }
}
