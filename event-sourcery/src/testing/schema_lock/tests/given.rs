//! Samples that are given where nothing can be traced.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Code, Lock};
use crate::error::{DecodeError, PayloadError, Source};
use crate::testing::SchemaLock;
use crate::upcast::StoredForm;
use crate::{Event, RawEvent};

/// A check with samples, each a name, a version and a payload.
fn check<E: Event>(lock: &Lock, samples: &[(&str, u32, &str)], updates: bool) -> Result<(), String> {
    let with =
        |lock: SchemaLock, (name, version, json): &(&str, u32, &str)| lock.sample(name, *version, json);
    samples.iter().fold(lock.with::<E>(), with).run(updates)
}

#[derive(Event, Serialize, Deserialize)]
#[event(crate = "crate")]
struct Guarded {
    code: Code,
    note: String,
}

#[test]
fn what_cannot_be_traced_is_named_and_takes_samples() {
    let lock = Lock::missing();
    let message = lock.with::<Guarded>().run(true).unwrap_err();
    assert!(message.contains("\"Guarded\"") && message.contains("could not be traced at code"), "{message}");
    assert!(!lock.0.exists());

    let with = |sample: &str| SchemaLock::new(&lock.0).events::<Guarded>().sample("Guarded", 1, sample);
    let message = with(r#"{"code":"sesame","note":""}"#).run(true).unwrap_err();
    assert!(message.contains("not the code"), "{message}");
    with(r#"{"code":"open sesame","note":""}"#).run(true).unwrap();
    with(r#"{"code":"open sesame","note":""}"#).run(false).unwrap();
    assert!(lock.text().contains(r#""note": "text""#), "one field hides no other: {}", lock.text());
}

/// An empty list of them, or none, would say nothing of what they look like.
#[test]
fn what_cannot_be_traced_asks_for_samples_wherever_it_stands() {
    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Line {
        Item { sku: String, pieces: u32 },
        Discount { percent: u8 },
    }

    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    struct Ordered {
        lines: Vec<Line>,
    }

    let lock = Lock::missing();
    let message = lock.with::<Ordered>().run(true).unwrap_err();
    assert!(message.contains("could not be traced at lines"), "{message}");
    let sample = r#"{"lines":[{"sku":"1","pieces":2},{"percent":3}]}"#;
    lock.with::<Ordered>().sample("Ordered", 1, sample).run(true).unwrap();
    assert!(lock.text().contains("percent"), "{}", lock.text());

    // Another sample is another thing to be kept readable.
    let more = r#"{"lines":[{"percent":255}]}"#;
    let with_more = || lock.with::<Ordered>().sample("Ordered", 1, sample).sample("Ordered", 1, more);
    assert!(with_more().run(false).is_err());
    with_more().run(true).unwrap();
    with_more().run(false).unwrap();
    assert!(lock.text().contains("255"), "{}", lock.text());
}

/// Every place of its own: a sample of one says nothing of another.
#[test]
fn a_sample_stands_for_the_places_that_it_reaches() {
    #[derive(Serialize, Deserialize)]
    enum Method {
        Cash,
        Card(Code),
        Transfer { from: Code, note: Option<Code> },
    }

    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    struct Paid {
        by: Vec<Method>,
        #[serde(default, rename = "voucher", alias = "coupon")]
        voucher: Option<Code>,
    }

    let lock = Lock::missing();
    let refuses = |samples: &[&str], places: &str| {
        let samples: Vec<_> = samples.iter().map(|sample| ("Paid", 1, *sample)).collect();
        let message = check::<Paid>(&lock, &samples, true).unwrap_err();
        assert!(message.contains(&format!("traced at {places}: give samples")), "{message}");
    };
    refuses(&[], "by.Card, by.Transfer.from, by.Transfer.note, voucher");
    let nothing = r#"{"by":["Cash"],"voucher":null}"#;
    refuses(&[nothing], "by.Card, by.Transfer.from, by.Transfer.note, voucher");
    let card = r#"{"by":["Cash",{"Card":"open sesame"}]}"#;
    refuses(&[card, nothing], "by.Transfer.from, by.Transfer.note, voucher");
    // It is written under its own name.
    let coupon = r#"{"by":[],"coupon":"open sesame"}"#;
    refuses(&[card, coupon], "by.Transfer.from, by.Transfer.note");
    let transfer = r#"{"by":[{"Transfer":{"from":"open sesame","note":null}}]}"#;
    refuses(&[card, coupon, transfer], "by.Transfer.note");
    let noted = r#"{"by":[{"Transfer":{"from":"open sesame","note":"open sesame"}}]}"#;
    let all = [card, coupon, noted].map(|sample| ("Paid", 1, sample));
    check::<Paid>(&lock, &all, true).unwrap();
    check::<Paid>(&lock, &all, false).unwrap();
}

/// What is given for one place is stored with all that the others may hold.
#[test]
fn what_is_given_for_a_place_goes_with_every_value_of_the_others() {
    #[derive(Serialize, Deserialize)]
    enum Till {
        Left,
        Right { drawer: u8 },
    }
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    struct Opened {
        code: Code,
        till: Till,
    }
    let lock = Lock::missing();
    check::<Opened>(&lock, &[("Opened", 1, r#"{"code":"open sesame","till":"Left"}"#)], true).unwrap();
    for sample in [r#""till":"Left"}"#, r#""till":{"Right":{"drawer":255}}}"#] {
        assert!(lock.text().contains(sample), "{sample} is not in {}", lock.text());
    }
}

/// Such a type takes each value where it stands, and refuses most of what is made of them.
#[test]
fn a_variant_that_was_never_taken_asks_for_a_sample() {
    #[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
    enum Currency {
        Euro,
        Franc,
        Krone,
    }
    #[derive(Serialize, Deserialize)]
    struct Amounts {
        number: u8,
        currency: Currency,
    }
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    #[serde(try_from = "Amounts")]
    struct Paid {
        number: u8,
        currency: Currency,
    }
    impl TryFrom<Amounts> for Paid {
        type Error = &'static str;

        fn try_from(Amounts { number, currency }: Amounts) -> Result<Self, Self::Error> {
            let takes = currency != Currency::Krone || number == 7;
            takes.then_some(Self { number, currency }).ok_or("seven kroner, or none")
        }
    }
    let lock = Lock::missing();
    let message = check::<Paid>(&lock, &[], true).unwrap_err();
    assert!(message.contains("traced at currency.Krone: give samples"), "{message}");
    check::<Paid>(&lock, &[("Paid", 1, r#"{"number":7,"currency":"Krone"}"#)], true).unwrap();
}

/// Nothing stores it any more, and it may be stored.
#[test]
fn a_variant_that_is_only_read_takes_a_sample_that_has_to_stay_readable() {
    #[derive(Serialize, Deserialize)]
    enum Method {
        Card,
        #[serde(skip_serializing)]
        Cheque,
    }
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    struct Paid {
        method: Method,
    }
    mod now {
        use super::*;

        #[derive(Serialize, Deserialize)]
        pub(super) enum Method {
            Card,
        }
        #[derive(Event, Serialize, Deserialize)]
        #[event(crate = "crate")]
        pub(super) struct Paid {
            pub(super) method: Method,
        }
    }
    let lock = Lock::missing();
    let message = check::<Paid>(&lock, &[], true).unwrap_err();
    assert!(message.contains("traced at method.Cheque: give samples"), "{message}");
    check::<Paid>(&lock, &[("Paid", 1, r#"{"method":"Cheque"}"#)], true).unwrap();
    check::<Paid>(&lock, &[("Paid", 1, r#"{"method":"Cheque"}"#)], false).unwrap();
    let message = check::<now::Paid>(&lock, &[], true).unwrap_err();
    assert!(message.contains("unknown variant `Cheque`"), "{message}");
}

/// An event written by hand, with a form that `READS` may leave out.
#[derive(Debug)]
struct ByHand<const READS: u32, const WRITES: u32>;

impl<const READS: u32, const WRITES: u32> Event for ByHand<READS, WRITES> {
    const NAMES: &'static [&'static str] = &["ByHand", "Former"];

    fn event_name(&self) -> Cow<'static, str> {
        "ByHand".into()
    }

    fn encode(&self) -> Result<String, PayloadError> {
        Ok(format!("{{\"form\":{WRITES}}}"))
    }

    fn decode(name: &str, data: &str) -> Result<Self, DecodeError> {
        Self::decode_stored(name, WRITES, data)
    }

    fn schema_version(&self) -> u32 {
        WRITES
    }

    fn decode_stored(_: &str, schema_version: u32, _: &str) -> Result<Self, DecodeError> {
        if schema_version < READS {
            let problem = Source::from("too old");
            return Err(DecodeError::UpcastFailed { from: schema_version, problem });
        }
        if schema_version > WRITES {
            return Err(DecodeError::NewerForm { found: schema_version, known: WRITES });
        }
        Ok(Self)
    }
}

#[test]
fn an_event_written_by_hand_asks_for_samples_of_each_name() {
    let lock = Lock::missing();
    let message = check::<ByHand<1, 1>>(&lock, &[("ByHand", 1, "{}")], true).unwrap_err();
    assert!(
        message.contains("\"Former\"") && message.contains("could not be traced: give samples"),
        "{message}"
    );
    assert!(!message.contains("\"ByHand\" ("), "{message}");
    check::<ByHand<1, 1>>(&lock, &[("ByHand", 1, "{}"), ("Former", 1, "{}")], true).unwrap();
}

#[test]
fn samples_of_an_event_written_by_hand_have_its_versions() {
    let lock = Lock::missing();
    let first = [("ByHand", 2, r#"{"a":1}"#), ("Former", 1, r#"{"b":1}"#)];
    check::<ByHand<1, 2>>(&lock, &first, true).unwrap();
    check::<ByHand<1, 2>>(&lock, &first, false).unwrap();
    for part in [r#"{"a":1}"#, r#"{"b":1}"#, r#"{"form":2}"#] {
        assert!(lock.text().contains(part), "{part} is not in {}", lock.text());
    }

    // The new form is told by what the type writes.
    let message = check::<ByHand<1, 3>>(&lock, &first, false).unwrap_err();
    assert!(message.contains("\"ByHand\", form 3"), "{message}");
    check::<ByHand<1, 3>>(&lock, &first, true).unwrap();
    check::<ByHand<1, 3>>(&lock, &first, false).unwrap();

    let message = check::<ByHand<2, 3>>(&lock, &[first[0]], true).unwrap_err();
    assert!(message.contains("\"Former\" in form 1 is not read"), "{message}");
    let message = check::<ByHand<1, 2>>(&lock, &first, true).unwrap_err();
    assert!(message.contains("\"ByHand\" in form 3 is not read"), "{message}");
}

#[test]
fn what_an_event_written_by_hand_writes_has_to_be_read_back() {
    let samples = [("ByHand", 5, "{}"), ("Former", 5, "{}")];
    let message = check::<Forgetful>(&Lock::missing(), &samples[..1], true).unwrap_err();
    assert!(message.contains("\"ByHand\" in form 5"), "{message}");
    let message = check::<Forgetful>(&Lock::missing(), &[("ByHand", 1, "{}")], true).unwrap_err();
    assert!(message.contains("\"ByHand\" in form 2 is written by"), "{message}");
    assert!(message.contains("does not read it back"), "{message}");
}

/// Its version is not the one that it reads.
struct Forgetful;

impl Event for Forgetful {
    const NAMES: &'static [&'static str] = &["ByHand"];

    fn event_name(&self) -> Cow<'static, str> {
        "ByHand".into()
    }

    fn encode(&self) -> Result<String, PayloadError> {
        Ok("{}".to_owned())
    }

    fn decode(_: &str, _: &str) -> Result<Self, DecodeError> {
        Ok(Self)
    }

    fn schema_version(&self) -> u32 {
        2
    }
}

fn euros_to_cents(event: &mut StoredForm) -> Result<(), Source> {
    let euros: u64 = event.read("euros")?;
    event.write("cents", euros * 100)
}

fn with_currency(event: &mut StoredForm) -> Result<(), Source> {
    let cents = event.read::<u64>("cents")?;
    event.write("cents", cents)
}

/// What an older program has stored, before there was a lock.
#[test]
fn samples_of_former_forms_and_names_are_kept() {
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate", name = "Paid", alias = "Settled", upcast(euros_to_cents))]
    struct Paid {
        cents: u64,
    }
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate", name = "Paid", alias = "Settled", upcast(with_currency))]
    struct Forgotten {
        cents: u64,
    }
    let lock = Lock::missing();
    let former = [("Paid", 1, r#"{"euros":7}"#), ("Settled", 1, r#"{"euros":8}"#)];
    check::<Paid>(&lock, &former, true).unwrap();
    check::<Paid>(&lock, &former, false).unwrap();
    check::<Paid>(&lock, &[], false).unwrap();
    let message = check::<Forgotten>(&lock, &[], true).unwrap_err();
    for name in ["Paid", "Settled"] {
        assert!(message.contains(&format!("{name:?} in form 1 is not read")), "{message}");
    }
}

#[test]
fn a_sample_of_a_name_that_only_a_catch_all_takes_is_refused() {
    let message = check::<RawEvent>(&Lock::missing(), &[("Paid", 1, "{}")], true).unwrap_err();
    assert!(message.contains("no type that was given decodes events of this name"), "{message}");
}
