//! Whatever another store holds, it becomes an event of ours, or is left out with words that quote little of it.

use std::sync::Arc;

use event_sourcery::backend::StoredEvent;
use event_sourcery::jiff::Timestamp;
use event_sourcery::{Position, TenantId};
use event_sourcery_conformance::fuzz::{Random, rounds};

use crate::mapped::{Mapper, origin};
use crate::mapping::{Mapping, PayloadRule, StreamRule, TimeRule, TypeRule};
use crate::source::{ForeignEvent, ForeignStream, ForeignTime};

fn some(random: &mut Random) -> Option<String> {
    (!random.once_in(3)).then(|| random.text())
}

fn event(random: &mut Random) -> ForeignEvent {
    let (category, partition) = (some(random), some(random));
    let stream = ForeignStream { category, id: random.text(), partition };
    let time = match random.below(3) {
        0 => ForeignTime::Unknown,
        1 => ForeignTime::At(random.time()),
        _ => ForeignTime::InPayload("number"),
    };
    let payload = match random.below(4) {
        0 => random.text().into_bytes(),
        1 => random.bits().to_le_bytes().to_vec(),
        _ => random.object(3, 3).into_bytes(),
    };
    ForeignEvent {
        stream,
        version: random.integer(),
        position: random.once_in(2).then(|| random.integer()),
        id: some(random),
        event_type: some(random),
        payload: (!random.once_in(8)).then_some(payload),
        metadata: random.once_in(2).then(|| random.object(3, 2)),
        form: some(random),
        time,
    }
}

fn mapping(random: &mut Random) -> Mapping {
    let mut mapping =
        Mapping::new("shop").correlation("correlation_id").first_version(random.below(2) as i64);
    if random.once_in(2) {
        mapping = mapping.payload(PayloadRule::Tagged).type_names(TypeRule::LastPart);
    }
    if random.once_in(2) {
        mapping = mapping.stream(StreamRule::WithoutCategory).tenants_by_partition();
    }
    if random.once_in(2) {
        mapping = mapping.wrap("value").time(TimeRule::Metadata("text".to_owned()));
    }
    if random.once_in(2) { mapping.time_otherwise(Timestamp::UNIX_EPOCH) } else { mapping }
}

#[test]
fn events_of_any_other_store() {
    rounds(|random| {
        let mapping = Arc::new(mapping(random));
        let mapper = Mapper { mapping, tenant: TenantId::DEFAULT, decode: None };
        let mapped = match mapper.event(&event(random)) {
            Ok(mapped) => mapped,
            Err(problem) => return assert!(problem.len() < 4_000, "{} bytes: {problem}", problem.len()),
        };
        let record = &mapped.record;
        let stored = StoredEvent::new(
            Position::START,
            None,
            record.id,
            Arc::from(&*record.name),
            record.data.as_str().into(),
            record.created_at,
        )
        .with_context(record.context.clone());
        assert!(mapped.is_equal(&stored), "it is what was stored");
        assert_eq!(origin(&stored).map(|origin| origin.version), Some(mapped.version));
    });
}
