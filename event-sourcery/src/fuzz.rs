//! Whatever stands in a store, decoding it gives a value or an error that quotes little of it.

use std::collections::BTreeMap;
use std::time::Duration;

use event_sourcery_conformance::fuzz::{Random, rounds};
use serde::{Deserialize, Serialize};

use crate::backend::{
    Kept, Member, RenewRequest, Scope, SegmentRecord, Segments, StoredEvent, StoredRecord,
    SubscriptionChange, SubscriptionRecord, stored_stream_id, stored_tag, stored_tenant_id,
};
use crate::context::{Context, ContextComponent};
use crate::error::Source;
use crate::payload::equal_json;
use crate::wrapped_event::Recorded;
use crate::{Category, Event, Position, RawEvent, StoredForm, StreamId, Successor, Tag, Tags, TenantId};

#[derive(Event, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[event(crate = "crate", name = "noted", upcast(move_shade))]
struct Noted {
    number: i64,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    list: Vec<Kind>,
}

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
enum Kind {
    Card { number: u8 },
    Cash,
    More(Box<Kind>),
}

/// A step that reads, writes and takes away.
fn move_shade(event: &mut StoredForm) -> Result<(), Source> {
    let shade: i64 = event.read("shade")?;
    event.fields_mut().remove("shade");
    event.write("number", shade.checked_add(1).ok_or("too dark")?)
}

#[derive(Event, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[event(crate = "crate", name = "shaded")]
struct Shaded {
    shade: BTreeMap<String, i64>,
}

#[derive(Event, Debug, Clone, PartialEq)]
#[event(crate = "crate", upcast("split" = split))]
enum Any {
    Shaded(Shaded),
    #[event(name = "plain")]
    Plain,
    #[event(catch_all)]
    Other(RawEvent),
}

fn split(event: &mut StoredForm) -> Result<Successor, Source> {
    let is_plain: Option<bool> = event.read("kind")?;
    Ok(Successor::of(if is_plain.unwrap_or(false) { "plain" } else { "shaded" }))
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Card {
    number: i64,
}

impl ContextComponent for Card {
    const NAME: &'static str = "Card";
}

fn data(random: &mut Random) -> String {
    let fields = random.below(5);
    let data = random.object(fields, 3);
    match random.below(4) {
        0 => random.text(),
        1 => random.damaged(&data),
        _ => data,
    }
}

fn stream(random: &mut Random) -> StreamId {
    let name = random.once_in(2).then(|| random.text());
    stored_stream_id(random.uuid(), name.as_deref(), &random.text())
}

/// Tags that an event may have.
fn tags(random: &mut Random) -> Vec<Tag> {
    let mut tags = Tags::default();
    for _ in 0..random.below(3) {
        if let Ok(tag) = Tag::new("course", random.text()) {
            tags.push(tag);
        }
    }
    tags.into_tags().expect("they are few, and each is one")
}

/// An event with its place, whatever stands there.
pub(crate) fn record(random: &mut Random) -> StoredRecord {
    let (stream, tenant) = (stream(random), stored_tenant_id(&random.text()));
    let name = random.one_of(&["noted", "shaded", "plain", "split", "other", ""]).into();
    let schema_version = random.integer() as u32;
    let event = StoredEvent {
        position: Position::from_i64(random.integer()),
        version: random.once_in(2).then(|| random.bits()),
        id: random.uuid(),
        name,
        data: data(random).into(),
        context: if random.once_in(2) { "{}".into() } else { data(random).into() },
        created_at: random.time(),
        schema_version,
        tags: tags(random),
        unreadable: random.once_in(8).then(|| "it has no id".into()),
        opening: None,
    };
    StoredRecord { stream, tenant, event }
}

/// Decodes it. What can be read can be written again, in the form that its type writes, and is the same.
fn decode<E: Event + PartialEq + std::fmt::Debug>(record: &StoredRecord) {
    match Recorded::<E>::decode(record) {
        Ok(read) => {
            let event = &read.wrapped_event.event;
            let (name, version) = (event.event_name(), event.schema_version());
            if let Ok(text) = event.encode() {
                let again = E::decode_stored(&name, version, &text).expect("what was read is read again");
                assert!(again == *event, "{text}");
            }
        }
        Err(problem) => {
            let names = record.stream.to_string().len() + record.event.name.len();
            let told = format!("{problem:?}");
            assert!(told.len() < 5_000 + 8 * names, "{} bytes: {told}", told.len());
        }
    }
}

#[test]
fn stored_events_of_any_payload_and_form() {
    rounds(|random| {
        let record = record(random);
        decode::<Noted>(&record);
        decode::<Any>(&record);
        decode::<RawEvent>(&record);
        drop(format!("{record:?} {}", record.stream));
    });
}

#[test]
fn json_is_compared_both_ways_alike() {
    rounds(|random| {
        let one = data(random);
        let other = if random.once_in(2) { random.damaged(&one) } else { data(random) };
        assert_eq!(equal_json(&one, &other), equal_json(&other, &one), "{one} {other}");
        assert!(equal_json(&one, &one));
        if let (Ok(raw), Ok(other)) = (RawEvent::new("noted", one), RawEvent::new("noted", other)) {
            assert!(raw == raw.clone());
            let _ = raw == other;
        }
    });
}

#[test]
fn contexts_of_any_text() {
    rounds(|random| {
        let text = data(random);
        let Ok(context) = Context::decode(&text) else { return };
        let _ = (context.component::<Card>(), context.root::<Card>("number"), format!("{context:?}"));
        if let Ok(written) = context.encode() {
            assert_eq!(Context::decode(&written).expect("what was written is read"), context);
        }
    });
}

#[test]
fn tags_of_any_text() {
    rounds(|random| {
        let text = random.text();
        let stored = stored_tag(&text);
        let _ = (stored.name().len() + stored.value().len(), format!("{stored} {stored:?}"));
        let name = random.text();
        match Tag::new(&name, &text) {
            Ok(tag) => {
                assert_eq!((tag.name(), tag.value()), (&*name, &*text));
                assert_eq!(stored_tag(tag.as_str()), tag);
            }
            Err(problem) => assert!(problem.to_string().len() < 1_000, "{problem}"),
        }
        let mut all = Tags::default();
        for tag in [&text, &name] {
            all.add(tag, &[random.text(), text.clone()]);
        }
        if let Ok(tags) = all.into_tags() {
            assert!(tags.is_sorted() && tags.len() <= 4);
        }
    });
}

#[test]
fn stream_ids_and_names_of_any_text() {
    rounds(|random| {
        let (text, uuid) = (random.text(), random.uuid());
        let stored = stream(random);
        drop((format!("{stored} {stored:?} {}", TenantId::new(&text).is_ok()), Category::new(&text)));
        if let Ok(stream) = StreamId::from_name(&text) {
            assert_eq!(stream.name(), Some(&*text));
            assert_eq!(stored_stream_id(stream.uuid(), Some(&text), ""), stream);
        }
        drop(StreamId::from_uuid_and_name(uuid, &text));
        let of = random.integer() as u16;
        let segments = Segments::new(of, [random.integer() as u16, 0, 63]);
        let number = Segments::number_of(uuid, segments.of());
        assert!(number < segments.of());
        assert_eq!(segments.contain(uuid), segments.numbers().any(|other| other == number));
    });
}

fn kept(random: &mut Random) -> Option<Kept> {
    let mut numbers = |count| (0..count).map(|_| random.integer()).collect::<Vec<_>>();
    let (up_to, began, present) = (numbers(3), numbers(1)[0], numbers(4));
    let text = format!(
        r#"{{"scope":{{"names":["noted"]}},"began":{began},"handled":[{{"scope":{{}},"up_to":{up_to:?}}}],
           "present":[[{},{}],[{},{}]]}}"#,
        present[0], present[1], present[2], present[3]
    );
    let text = if random.once_in(4) { random.damaged(&text) } else { text };
    let kept = Kept::from_text(&text).ok()?;
    let written = kept.to_text().expect("it is JSON");
    assert_eq!(Kept::from_text(&written).expect("what was written is read"), kept);
    Some(kept)
}

fn subscription(random: &mut Random) -> SubscriptionRecord {
    let segment = |random: &mut Random| SegmentRecord {
        position: Position::from_i64(random.integer()),
        token: random.integer(),
        member: random.once_in(2).then(|| random.uuid()),
        leased_until: random.time(),
    };
    let member = |random: &mut Random| Member {
        id: random.uuid(),
        until: random.time(),
        lasting: Duration::from_millis(random.bits() >> random.below(64)),
        presence: random.once_in(2).then(|| random.integer()),
    };
    let (segments, members) = (random.below(5), random.below(3));
    SubscriptionRecord {
        segments: (0..segments).map(|_| segment(random)).collect(),
        members: (0..members).map(|_| member(random)).collect(),
        kept: kept(random),
    }
}

fn change(random: &mut Random) -> SubscriptionChange {
    let (member, position) = (random.uuid(), Position::from_i64(random.integer()));
    let scope = Scope::default();
    match random.below(5) {
        0 => SubscriptionChange::Leave { member, reached: Vec::new() },
        1 => SubscriptionChange::Reset { position, present: vec![(position, position)] },
        2 => match kept(random) {
            Some(was) => {
                let (checkpoints, waiting) = (vec![position], Vec::new());
                SubscriptionChange::Rescope { was, to: scope, after: Some(position), checkpoints, waiting }
            }
            None => SubscriptionChange::Remove,
        },
        _ => {
            let lasting = Duration::from_millis(random.bits() >> random.below(64));
            let create = (random.below(65) as u16, position);
            SubscriptionChange::Renew(RenewRequest::new(
                member,
                create,
                Kept::new(scope, position, Vec::new()),
                lasting,
            ))
        }
    }
}

/// Whoever takes a segment over gets a token that nobody holds for it.
#[test]
fn checkpoints_leases_and_members_of_any_number() {
    rounds(|random| {
        let (mut record, stream) = (subscription(random), stream(random));
        for _ in 0..4 {
            let (change, now) = (change(random), random.time());
            let Some(after) = change.apply(Some(record.clone()), now) else { return };
            assert_eq!(after.segments.len(), record.segments.len());
            for (was, is) in record.segments.iter().zip(&after.segments) {
                assert!(
                    is.member.is_none() || is.member == was.member || is.token != was.token,
                    "{was:?} {is:?}"
                );
            }
            if let Some(kept) = &after.kept {
                let position = Position::from_i64(random.integer());
                let _ = (kept.was_present(position), kept.handled_above(1, position), kept.handled_up_to(2));
                let (id, at) = (random.uuid(), random.time());
                let event = StoredEvent::new(position, None, id, "noted".into(), "{}".into(), at);
                let _ = kept.was_handled(0, &TenantId::DEFAULT, &stream, &event);
            }
            record = after.as_of(now);
        }
    });
}
