//! Rows of any values: SQLite holds any of them in any column.

use event_sourcery::backend::Segments;
use event_sourcery_conformance::fuzz::{Random, rounds};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::*;

fn value(random: &mut Random) -> Value {
    match random.below(8) {
        0 => Value::Null,
        1 => Value::Integer(random.integer()),
        2 => Value::Real(f64::from_bits(random.bits())),
        3 => Value::Blob(random.text().into_bytes()),
        _ => Value::Text(random.text()),
    }
}

/// What a column is for; now and then, something else.
fn columns(random: &mut Random) -> Vec<Value> {
    let text = Value::Text;
    let (id, stream) = (random.uuid().simple().to_string(), random.uuid().simple().to_string());
    let plain = [
        Value::Integer(random.integer()),
        Value::Integer(random.integer()),
        text(id),
        text("noted".to_owned()),
        text(random.json(2)),
        text("{}".to_owned()),
        text(time::to_text(random.time())),
        Value::Integer(random.integer()),
        text(stream),
        Value::Null,
        text(random.text()),
        text(random.text()),
    ];
    plain.into_iter().map(|plain| if random.once_in(8) { value(random) } else { plain }).collect()
}

#[test]
fn rows_of_any_values() {
    let connection = Connection::open_in_memory().unwrap();
    // Text that is no UTF-8 comes about so, and no other way.
    let mut plain = connection.prepare("SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12").unwrap();
    let mut cast = connection
        .prepare(
            "SELECT ?1, ?2, CAST(?3 AS TEXT), CAST(?4 AS TEXT), CAST(?5 AS TEXT), CAST(?6 AS TEXT), CAST(?7 AS TEXT), ?8,
                    CAST(?9 AS TEXT), CAST(?10 AS TEXT), CAST(?11 AS TEXT), CAST(?12 AS TEXT)",
        )
        .unwrap();
    rounds(|random| {
        let mut columns = columns(random);
        let statement = if random.once_in(4) {
            let damaged = random.below(12);
            columns[damaged] = Value::Blob(random.bits().to_le_bytes().to_vec());
            &mut cast
        } else {
            &mut plain
        };
        let mut rows = statement.query(params_from_iter(columns)).unwrap();
        let row = rows.next().unwrap().unwrap();
        let of_event = EventReader::default().record(row).event.unreadable.map(String::from);
        let told = [of_event, segment(row).err(), member(row).err(), blocked_stream(row, 8).err()];
        for problem in told.into_iter().flatten() {
            assert!(problem.len() < 1_000, "{problem}");
        }
        is_outside(row, 8, Some(Segments::new(8, [1])));
    });
}

/// The beginning of the year 1: what is before it is not stored.
const FIRST: Timestamp = Timestamp::constant(-62_135_596_800, 0);

#[test]
fn times_of_any_text() {
    rounds(|random| {
        let kept = time::as_stored(random.time().max(FIRST));
        assert_eq!(time::from_text(&time::to_text(kept)).ok(), Some(kept));
        let text = if random.once_in(2) { random.text() } else { random.damaged(&time::to_text(kept)) };
        if let Ok(read) = timestamp(&text)
            && read >= FIRST
        {
            let stored = time::as_stored(read);
            assert_eq!(timestamp(&time::to_text(stored)), Ok(stored), "{text}");
        }
    });
}
