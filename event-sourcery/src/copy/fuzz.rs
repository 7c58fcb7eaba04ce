//! Whatever stands in a line of a file, reading it gives an event or an error that quotes little of it.

use event_sourcery_conformance::fuzz::rounds;
use jiff::Timestamp;

use super::carried;
use super::line::{self, Line};
use crate::backend::StoredRecord;
use crate::fuzz::record;

/// The beginning of the year 1: what is before it is not stored.
const FIRST: Timestamp = Timestamp::constant(-62_135_596_800, 0);

/// What is carried in a line. `Debug` shows neither payload nor context.
fn parts(record: &StoredRecord) -> String {
    let StoredRecord { stream, tenant, event } = record;
    format!("{tenant:?} {stream:?} {:?} {:?} {event:?}", event.data, event.context)
}

#[test]
fn lines_of_any_text() {
    rounds(|random| {
        let mut record = record(random);
        record.event.unreadable = None;
        record.event.created_at = record.event.created_at.max(FIRST);
        let _ = carried::check(&record);
        let written = line::of_event(&record).expect("it can be written");
        let text = String::from_utf8(written).expect("it is text");
        let text = text.strip_suffix('\n').expect("it is a line");
        assert!(!text.contains('\n'), "{text}");
        match line::read(text.as_bytes()) {
            Ok(Line::Event(read)) => assert_eq!(parts(&read), parts(&record)),
            Ok(Line::End(_)) => panic!("an event is no end: {text}"),
            // Others have given a stream a name that stands for another one.
            Err(problem) => assert!(problem.contains("stands for the UUID"), "{problem}: {text}"),
        }
        let mut damaged = random.damaged(text).into_bytes();
        if random.once_in(4) && !damaged.is_empty() {
            let place = random.below(damaged.len());
            damaged[place] = random.bits() as u8;
        }
        match line::read(&damaged) {
            Ok(Line::Event(read)) => drop(carried::check(&read)),
            Ok(Line::End(_)) => {}
            Err(problem) => assert!(problem.len() < 2_000, "{} bytes: {problem}", problem.len()),
        }
        let _ = line::check_first(&damaged);
    });
}
