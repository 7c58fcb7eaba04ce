//! Whatever stands in a message, reading it gives a value or an error that quotes little of it.

use event_sourcery::backend::{Filter, Names, NewRecord};
use event_sourcery::{StreamId, TenantId};
use event_sourcery_conformance::fuzz::{Random, rounds};

use crate::known::Known;
use crate::message::{Chunk, Head, Kind, text, unreadable};
use crate::numbers;
use crate::sheet::{Row, Sheet};
use crate::subjects::{Subjects, place};

fn head(random: &mut Random) -> Head {
    let kind = [Kind::Events, Kind::Events, Kind::Ending, Kind::Ended, Kind::Named][random.below(5)];
    let name = random.once_in(2).then(|| random.text());
    let (life, first, follow) =
        (random.bits() >> random.below(64), random.bits() >> random.below(64), random.bits());
    let (born, versioned, holder) =
        (random.integer(), random.once_in(2), random.once_in(2).then(|| random.uuid()));
    let of = Head::of(kind, &TenantId::DEFAULT, &StreamId::from_uuid(random.uuid()));
    let (tenant, category) = (random.text(), random.text());
    Head { tenant, category, name, life, born, first, versioned, follow, holder, ..of }
}

/// A message as it was written, or with bytes of it exchanged, left out, or put in.
fn message(random: &mut Random) -> Vec<u8> {
    let count = random.below(4);
    let events: Vec<_> = (0..count)
        .map(|_| {
            let (id, name, data, at) = (random.uuid(), random.text(), random.json(2), random.time());
            NewRecord::new(id, name, data, at)
                .with_context(random.text())
                .with_schema_version(random.integer() as u32)
        })
        .collect();
    let mut message = head(random).message(&events).unwrap().to_vec();
    for _ in 0..random.below(4) {
        let place = random.below(message.len() + 1);
        match random.below(4) {
            0 => message.truncate(place),
            1 => message.insert(place, random.bits() as u8),
            2 => drop(message.splice(place..place, random.text().into_bytes())),
            _ => {
                if let Some(byte) = message.get_mut(place) {
                    *byte = random.bits() as u8;
                }
            }
        }
    }
    message
}

#[test]
fn messages_of_any_bytes() {
    rounds(|random| {
        let (sequence, message) = (random.bits() >> random.below(64), message(random));
        let chunk = match Chunk::read(sequence, &message, &mut Names::default()) {
            Ok(chunk) => chunk,
            Err(problem) => {
                assert!(problem.len() < 1_000, "{} bytes: {problem}", problem.len());
                let lost = unreadable(sequence, problem);
                assert_eq!(lost.position, numbers::last_of(sequence));
                return;
            }
        };
        for event in &chunk.events {
            let told = event.unreadable.as_deref().unwrap_or_default();
            assert!(told.len() < 1_000, "{} bytes: {told}", told.len());
        }
        let _ = (chunk.last_number(), chunk.head.stream_id().to_string());
        let mut known = Known::begun(sequence, &chunk.head);
        if known.take(sequence, &chunk) {
            let _ = (known.state(), known.message_of(0), known.named(None));
        }
    });
}

#[test]
fn subscriptions_and_rows_of_any_text() {
    rounds(|random| {
        let number = random.integer();
        let text_of = format!(
            r#"{{"round":{},"record":{{"segments":[{{"position":{number},"token":{},"member":null,"leased_until":{:?}}}],
                "members":[],"kept":{}}}}}"#,
            random.bits() >> random.below(64),
            random.integer(),
            random.time().to_string(),
            serde_json::Value::from(random.text()),
        );
        let text_of = if random.once_in(2) { random.damaged(&text_of) } else { text_of };
        if let Ok(sheet) = serde_json::from_str::<Sheet>(&text_of)
            && let Ok(record) = sheet.record()
        {
            let written = text(&Sheet::of(sheet.round, record.as_ref()).unwrap()).unwrap();
            let again: Sheet = serde_json::from_slice(&written).expect("what was written is read");
            assert_eq!(again.record().expect("it was read before"), record);
        }
        let row = format!(
            r#"{{"round":1,"tenant":{},"category":"","stream":"{}","name":null,"segment":{},"after":{number},"position":{},
                "attempts":1,"error":"no","retry_at":null,"since":{:?}}}"#,
            serde_json::Value::from(random.text()),
            random.uuid(),
            random.below(70_000),
            random.integer(),
            random.time().to_string(),
        );
        let row = if random.once_in(2) { random.damaged(&row) } else { row };
        if let Ok(row) = serde_json::from_str::<Row>(&row) {
            let (round, at, blocked) = (row.round, row.at(), row.blocked());
            assert_eq!(blocked.at(), at);
            assert_eq!(Row::of(round, &blocked).blocked(), blocked);
        }
    });
}

#[test]
fn subjects_of_any_names() {
    rounds(|random| {
        let (subjects, any) = (Subjects::of("SHOP"), random.text());
        let _ = subjects.whose(&any, &Filter::new());
        let _ = subjects.whose(&format!("SHOP.e.{any}.{any}.{}", random.uuid()), &Filter::new());
        let Ok(tenant) = TenantId::new(random.text()) else { return };
        let stream = StreamId::from_uuid(random.uuid());
        let Ok(stream) = stream.in_category(random.text()) else { return };
        let subject = subjects.stream(&place(&tenant, &stream));
        let asked = Filter::new().with_tenant(tenant.clone());
        let (uuid, own, category) = subjects.whose(&subject, &asked).expect("it was made of them");
        assert_eq!((uuid, own.as_deref()), (stream.uuid(), Some(tenant.as_str())));
        assert!(category.is_none_or(|category| category == stream.stored_category()));
    });
}
