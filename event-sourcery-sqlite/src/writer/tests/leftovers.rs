//! What is said of what cannot be removed.

use std::fmt::{Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::*;

/// Keeps warnings, as far as they can be told.
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut said = Said(String::new());
        event.record(&mut said);
        self.0.lock().unwrap().push(said.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Said(String);

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}: {value:?}; ").unwrap();
    }
}

/// Whenever the key is looked at.
#[test]
fn who_holds_on_to_what_is_left_of_a_deleted_stream_is_named_once_in_a_round() {
    for when in ["", "DEFERRABLE INITIALLY DEFERRED"] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("events.db");
        let open = || WriterThread::open(SqliteOptions::new(&path), Shared::default()).unwrap();
        drop(open());
        let left = format!(
            "INSERT INTO event_sourcery_streams (uuid, category, tenant_id) VALUES ('00', char(0), char(0));
             INSERT INTO event_sourcery_events (uuid, name, data, event_context, created_at, db_stream_id)
             SELECT '01', 'Happened', '{{}}', '{{}}', '2024-05-01 12:00:00.000000', id FROM event_sourcery_streams;
             CREATE TABLE audited (event INTEGER REFERENCES event_sourcery_events (id) {when});
             INSERT INTO audited SELECT id FROM event_sourcery_events"
        );
        Connection::open(&path).unwrap().execute_batch(&left).unwrap();
        let (writer, warnings) = (open(), Arc::<Mutex<Vec<String>>>::default());
        tracing::subscriber::with_default(Warnings(Arc::clone(&warnings)), || {
            while writer.leftovers.get() && writer.remove_some() {}
        });
        assert!(!writer.leftovers.get(), "the round has an end");
        let warnings = warnings.lock().unwrap();
        assert!(matches!(warnings.as_slice(), [said] if said.contains("audited")), "{warnings:?}");
    }
}
