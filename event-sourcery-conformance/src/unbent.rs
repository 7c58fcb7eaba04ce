//! Clause 2.16: what could not be read back equal is refused before anything is written.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use event_sourcery::backend::{Backend as _, LoadRequest, Span, StoredEvent};
use event_sourcery::{
    Aggregate, Context, ContextComponent, DecodeError, Error, Event, PayloadError, RawEvent, Repository,
    SnapshotState, StreamId, TenantId,
};
use serde::{Deserialize, Serialize};

use super::ledger::{Ledgers as _, Noted, ledger, noted};
use super::ordered::Ordered;
use super::running::eventually;
use super::subject::Subject;

/// A payment, with what its payer wants to be noted of it.
#[derive(Event, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[event(name = "paid")]
struct Paid {
    cents: i64,
    #[serde(flatten)]
    notes: BTreeMap<String, i64>,
}

fn paid(key: &str) -> Paid {
    Paid { cents: 5_000, notes: BTreeMap::from([(key.to_owned(), 1)]) }
}

pub(super) async fn clause_2_16_a_key_that_stands_twice_is_refused(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.append(&stream, (noted(1), paid("euros"))).await.unwrap();
    assert_refused!(
        store.append(&stream, (noted(2), paid("cents"))).expected_version(2).await,
        Error::InvalidPayload { name, problem: PayloadError::KeyTwice { key, .. } } if name == "paid" && key == "cents",
    );
    assert_refused!(
        store.save_snapshot(&stream, 1, paid("cents")).await,
        Error::InvalidPayload { problem: PayloadError::KeyTwice { .. }, .. },
    );
    assert_refused!(
        RawEvent::new("paid", r#"{"a":[{"cents":1,"c\u0065nts":2}]}"#),
        Error::InvalidPayload { problem: PayloadError::KeyTwice { place, .. }, .. } if place == "a.0",
    );
    subject.holds(2).await;
}

pub(super) async fn clause_2_16_a_number_that_would_be_written_out_at_length_is_refused(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    for number in ["1e131071", "1e-16383", "-1e1001", "1e999999999999", &"7".repeat(1_001)] {
        assert_refused!(
            RawEvent::new("measured", format!("{{\"a\":{{\"n\":{number}}}}}")),
            Error::InvalidPayload { problem: PayloadError::NumberTooLong { place, .. }, .. } if place == "a.n",
        );
    }
    let longest =
        RawEvent::new("measured", format!("{{\"n\":[1e999,-1e-999,{}]}}", "7".repeat(1_000))).unwrap();
    store.append(&stream, longest.clone()).await.unwrap();
    assert_eq!(store.load_stream::<RawEvent>(&stream).await.unwrap()[0].event, longest);
}

#[derive(Serialize, Deserialize)]
struct Long {
    text: String,
}

impl ContextComponent for Long {
    const NAME: &'static str = "long";
}

pub(super) async fn clause_2_16_what_is_larger_than_any_backend_takes_is_refused(subject: Subject) {
    let text = "x".repeat(64 * 1_024 * 1_024);
    assert_refused!(
        RawEvent::new("large", format!("{{\"a\":\"{text}\"}}")),
        Error::InvalidPayload { problem: PayloadError::TooLarge { bytes, most: 67_108_864 }, .. } if bytes > 67_108_864,
    );
    // A text that is small, and large when PostgreSQL has written its numbers out.
    let numbers = vec!["1e999"; 80_000].join(",");
    assert_refused!(
        RawEvent::new("large", format!("{{\"a\":[{numbers}]}}")),
        Error::InvalidPayload { problem: PayloadError::TooLarge { .. }, .. },
    );
    assert_refused!(Context::new().with_component(&Long { text }), Error::InvalidContext { .. });
    subject.holds(0).await;
}

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
#[serde(untagged)]
enum Quantity {
    Pieces(i64),
    Weight(f64),
}

/// Its content comes first in JSONB, so that serde buffers it.
#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
#[serde(tag = "type", content = "data")]
enum Shelf {
    Boxes(HashMap<u32, String>),
    Big(u128),
    Plain(u64),
}

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
#[serde(tag = "kind")]
enum Tagged {
    Boxes { by_size: BTreeMap<u32, String> },
    Big { number: u128 },
    Signed { number: Option<i128> },
    Named { by_name: HashMap<String, u32> },
}

/// Keys in their order, each with a 1.
fn in_order(keys: &[&str]) -> Ordered {
    Ordered(keys.iter().map(|key| ((*key).to_owned(), 1)).collect())
}

#[derive(Event, Serialize, Deserialize, Debug, PartialEq, Clone)]
enum Stocked {
    Measured {
        quantity: Quantity,
    },
    Free {
        value: serde_json::Value,
    },
    Shelved {
        shelf: Shelf,
        tagged: Option<Tagged>,
    },
    Ordered {
        steps: Ordered,
        lists: Vec<Ordered>,
    },
    Flat {
        id: u8,
        #[serde(flatten)]
        tagged: Tagged,
    },
    Sums {
        sum: f64,
        single: f32,
        wide: u128,
        signed: i128,
        keys: BTreeMap<u32, HashMap<i64, f64>>,
    },
    Sets {
        names: HashSet<String>,
        numbers: HashSet<u64>,
        maps: HashMap<String, HashMap<String, Option<u8>>>,
    },
}

fn weighing(weight: f64) -> Stocked {
    Stocked::Measured { quantity: Quantity::Weight(weight) }
}

fn shelved(shelf: Shelf) -> Stocked {
    Stocked::Shelved { shelf, tagged: None }
}

fn tagged(tagged: Tagged) -> Stocked {
    Stocked::Shelved { shelf: Shelf::Plain(1), tagged: Some(tagged) }
}

fn steps(keys: &[&str]) -> Stocked {
    Stocked::Ordered { steps: in_order(keys), lists: vec![in_order(&["a"]), in_order(keys)] }
}

/// Whether an event was stored. Then it comes back equal; otherwise it was refused without a trace.
async fn is_stored<E: Event + fmt::Debug + Clone + PartialEq>(subject: &Subject, event: E) -> bool {
    let (store, stream) = (subject.store(), StreamId::random());
    match store.append(&stream, (noted(1), event.clone())).await {
        Ok(_) => {
            let read = store.load_stream::<RawEvent>(&stream).await.unwrap().pop().unwrap().event;
            assert_eq!(E::decode(read.name(), read.data().get()).unwrap(), event);
            true
        }
        Err(Error::InvalidPayload { name, problem: PayloadError::NotReadBack { .. } }) => {
            assert_eq!(name, event.event_name());
            assert!(store.load_stream::<RawEvent>(&stream).await.unwrap().is_empty());
            false
        }
        Err(other) => panic!("neither stored nor refused with a typed error: {other}"),
    }
}

pub(super) async fn clause_2_16_what_jsonb_changes_comes_back_equal_or_is_refused(subject: Subject) {
    // An integer of JSON that does not fit an `i64` is read as a float.
    for weight in [1.0, 1e15, 1e-20, 1e19, 1e20, -1e20] {
        assert!(is_stored(&subject, weighing(weight)).await, "{weight:e}");
    }
    for weight in [1e16, 9e18, -1e16] {
        assert!(!is_stored(&subject, weighing(weight)).await, "{weight:e}");
    }
    assert!(is_stored(&subject, Stocked::Free { value: serde_json::json!({"b": [1.5], "aa": 1e15}) }).await);
    assert!(!is_stored(&subject, Stocked::Free { value: serde_json::json!({"n": 1e16}) }).await);
    assert!(is_stored(&subject, shelved(Shelf::Plain(u64::MAX))).await);
    assert!(!is_stored(&subject, shelved(Shelf::Boxes(HashMap::from([(7, "a".into())])))).await);
    assert!(!is_stored(&subject, shelved(Shelf::Big(5))).await);
    assert!(is_stored(&subject, steps(&["dry", "wash"])).await);
    assert!(!is_stored(&subject, steps(&["wash", "dry"])).await);
    assert!(!is_stored(&subject, steps(&["a", "b", "aa", "c"])).await);
}

pub(super) async fn clause_2_16_what_serde_buffers_comes_back_equal_or_is_refused(subject: Subject) {
    let boxes = || Tagged::Boxes { by_size: BTreeMap::from([(1, "a".to_owned())]) };
    let named = || Tagged::Named { by_name: HashMap::from([("b".to_owned(), 1), ("a".to_owned(), 2)]) };
    assert!(!is_stored(&subject, tagged(boxes())).await);
    assert!(is_stored(&subject, tagged(Tagged::Boxes { by_size: BTreeMap::new() })).await);
    assert!(!is_stored(&subject, tagged(Tagged::Big { number: 5 })).await);
    assert!(!is_stored(&subject, tagged(Tagged::Signed { number: Some(-5) })).await);
    assert!(is_stored(&subject, tagged(Tagged::Signed { number: None })).await);
    assert!(is_stored(&subject, tagged(named())).await);
    assert!(!is_stored(&subject, Stocked::Flat { id: 1, tagged: boxes() }).await);
    assert!(is_stored(&subject, Stocked::Flat { id: 1, tagged: named() }).await);
}

/// What is remembered of one value must not let another one through.
pub(super) async fn clause_2_16_one_value_of_a_type_does_not_vouch_for_another(subject: Subject) {
    for _ in 0..3 {
        assert!(is_stored(&subject, weighing(1.5)).await);
        assert!(is_stored(&subject, weighing(1e20)).await);
        assert!(!is_stored(&subject, weighing(1e16)).await);
        assert!(is_stored(&subject, shelved(Shelf::Plain(5))).await);
        assert!(!is_stored(&subject, shelved(Shelf::Big(5))).await);
        assert!(is_stored(&subject, steps(&[])).await);
        assert!(is_stored(&subject, steps(&["b"])).await);
        assert!(is_stored(&subject, steps(&["a", "b"])).await);
        assert!(!is_stored(&subject, steps(&["b", "a"])).await);
    }
}

pub(super) async fn clause_2_16_what_can_be_read_back_is_stored(subject: Subject) {
    for number in [0_u32, 1, 2, 30] {
        let float = f64::from(number) * 1e16;
        let keys =
            (0..number).map(|key| (key, HashMap::from([(-1, float), (7, 0.5), (100, -0.5)]))).collect();
        let sums = Stocked::Sums { sum: float, single: 1e20, wide: u128::MAX, signed: i128::MIN, keys };
        assert!(is_stored(&subject, sums).await);
        // Hashed anew each time, in every order.
        for _ in 0..10 {
            let name = |number: u32| format!("{:x}", number.wrapping_mul(0x9E37_79B9));
            let map: HashMap<_, _> = (0..number).map(|number| (name(number), None)).collect();
            let sets = Stocked::Sets {
                names: map.keys().cloned().collect(),
                numbers: (0..number.into()).collect(),
                maps: HashMap::from([("b".to_owned(), map.clone()), ("a".to_owned(), map)]),
            };
            assert!(is_stored(&subject, sets).await);
        }
    }
}

/// As an event may be that is written without the derive.
#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
struct ByHand(Stocked);

impl Event for ByHand {
    const NAMES: &'static [&'static str] = &["by hand"];

    fn event_name(&self) -> Cow<'static, str> {
        "by hand".into()
    }

    fn encode(&self) -> Result<String, PayloadError> {
        Ok(serde_json::to_string(&self.0)?)
    }

    fn decode(_: &str, data: &str) -> Result<Self, DecodeError> {
        Ok(Self(serde_json::from_str(data)?))
    }
}

pub(super) async fn clause_2_16_an_event_written_by_hand_is_read_back_each_time(subject: Subject) {
    for _ in 0..2 {
        assert!(is_stored(&subject, ByHand(shelved(Shelf::Plain(5)))).await);
        assert!(!is_stored(&subject, ByHand(shelved(Shelf::Big(5)))).await);
        assert!(!is_stored(&subject, ByHand(weighing(1e16))).await);
    }
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Scale {
    quantity: Quantity,
    steps: Ordered,
}

impl ContextComponent for Scale {
    const NAME: &'static str = "scale";
}

#[derive(Default, Debug, PartialEq, Serialize, Deserialize)]
struct Plan {
    steps: Ordered,
}

impl Aggregate for Plan {
    type Event = Noted;
    const CATEGORY: &'static str = "plan";

    fn apply(&mut self, event: &Noted) {
        self.steps.0.push((format!("{}", 100 - event.number), 1));
    }
}

impl SnapshotState for Plan {
    const FORMAT: u16 = 1;
}

pub(super) async fn clause_2_16_contexts_and_kept_states_are_read_back_too(subject: Subject) {
    let scale = |weight, keys| Scale { quantity: Quantity::Weight(weight), steps: in_order(keys) };
    let (store, stream) = (subject.store(), ledger("1"));
    let context = Context::new().with_component(&scale(1e15, &["a", "b"])).unwrap();
    store.append(&stream, noted(1).with_context(context)).await.unwrap();
    let read = store.load_stream::<Noted>(&stream).await.unwrap().pop().unwrap().context;
    assert_eq!(read.component::<Scale>().unwrap(), Some(scale(1e15, &["a", "b"])));
    for scale in [scale(1e16, &["a"]), scale(1.0, &["b", "a"])] {
        assert_refused!(
            Context::new().with_component(&scale),
            Error::InvalidContext { component, .. } if component == "scale",
        );
    }

    let (sorted, moved) = (StreamId::random(), StreamId::random());
    let plans = Repository::<Plan>::new(&store).snapshot_every(1);
    for (id, numbers) in [(&moved, [1, 2]), (&sorted, [2, 1])] {
        store.append(&stream_of(id), numbers.map(noted)).await.unwrap();
        plans.load(id).await.unwrap();
    }
    // By the time that the second one is kept, the first one would be.
    eventually("the state is kept", async || kept_state(&subject, &sorted).await.is_some()).await;
    assert!(kept_state(&subject, &moved).await.is_none());
    assert_eq!(plans.load(&sorted).await.unwrap().steps, in_order(&["98", "99"]));
    assert_eq!(plans.load(&moved).await.unwrap().steps, in_order(&["99", "98"]));
}

pub(super) async fn clause_2_16_a_dry_run_finds_what_would_be_refused(subject: Subject) {
    let store = subject.store();
    let by_others = |data: u64, form: &str| {
        let json = format!(r#"{{"shelf":{{"type":"{form}","data":{data}}},"tagged":null}}"#);
        RawEvent::new("Shelved", json).unwrap()
    };
    let appended = store.append(&ledger("1"), (by_others(5, "Plain"), by_others(5, "Big"))).await.unwrap();
    store.settled(appended.position).await;
    let found = store.verify::<Stocked>().await.unwrap();
    assert_eq!((found.read(), found.failed()), (2, 1), "{found}");
    assert_eq!(found.failures[0].version, Some(2));
}

fn stream_of(id: &StreamId) -> StreamId {
    id.clone().in_category(Plan::CATEGORY).unwrap()
}

async fn kept_state(subject: &Subject, id: &StreamId) -> Option<StoredEvent> {
    let span = Span::FromState { name: Plan::CATEGORY, format: Plan::FORMAT };
    let request = LoadRequest::new(TenantId::DEFAULT, stream_of(id), span);
    subject.backend().load(request).await.unwrap().snapshot
}
