//! Code of the user's that panics while the lock looks at it.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Lock;
use crate::Event;
use crate::error::Source;
use crate::upcast::StoredForm;

#[derive(Event, Serialize, Deserialize)]
#[event(crate = "crate")]
struct Voided {
    reason: String,
}

/// An event beside one that panics: it is looked at all the same.
mod now {
    use super::*;

    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    pub(super) struct Voided {
        pub(super) reason: String,
        pub(super) by: u8,
    }
}

/// Asserts that an event that panics is named, and that another is looked at all the same.
#[track_caller]
fn names<E: Event>(lock: &Lock, says: &[&str]) {
    for updates in [false, true] {
        let message = lock.with::<E>().events::<now::Voided>().run(updates).unwrap_err();
        for words in says.iter().chain(&["\"Voided\" in form 1", "missing field `by`"]) {
            assert!(message.contains(words), "{words:?} is not in: {message}");
        }
    }
}

mod in_euros {
    use super::*;

    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    pub(super) struct Paid {
        euros: u64,
    }
}

#[test]
fn an_upcaster_that_panics_is_named_with_its_sample() {
    fn euros_to_cents(event: &mut StoredForm) -> Result<(), Source> {
        let euros: u64 = event.read("euros")?;
        let cents = euros.checked_mul(100).expect("few euros");
        event.write("cents", cents)
    }
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate", upcast(euros_to_cents))]
    struct Paid {
        cents: u64,
    }
    let lock = Lock::missing();
    lock.with::<in_euros::Paid>().events::<Voided>().run(true).unwrap();
    names::<Paid>(
        &lock,
        &[
            "\"Paid\" in form 1 is not read by",
            "it panics: few euros",
            r#"{"euros":18446744073709551615}"#,
            "return an error",
        ],
    );
}

#[derive(Serialize)]
struct Even(u8);

impl<'de> Deserialize<'de> for Even {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u8::deserialize(deserializer)?;
        assert!(number % 2 == 0, "{number} is odd");
        Ok(Self(number))
    }
}

#[test]
fn a_deserialize_that_panics_is_named_with_the_place() {
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    struct Paired {
        pairs: Vec<Even>,
    }
    let lock = Lock::of::<Voided>();
    names::<Paired>(
        &lock,
        &["\"Paired\" in form 1", "panics: 255 is odd", "given 255 at pairs", "return an error"],
    );
}

#[test]
fn a_deserialize_that_panics_on_a_whole_event_is_named_with_the_sample() {
    #[derive(Serialize, Deserialize)]
    struct Range {
        from: u8,
        to: i8,
    }
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    #[serde(from = "Range")]
    struct Ranged {
        from: u8,
        to: i8,
    }
    impl From<Range> for Ranged {
        fn from(Range { from, to }: Range) -> Self {
            assert!(i16::from(from) <= i16::from(to), "{from} to {to}");
            Self { from, to }
        }
    }
    let lock = Lock::of::<Voided>();
    names::<Ranged>(&lock, &["\"Ranged\" in form 1", "panics: 255 to 127", r#"given {"from":255,"to":127}"#]);
}

#[test]
fn a_deserialize_that_panics_on_what_is_tried_is_named() {
    #[derive(Serialize, Deserialize)]
    struct Rest {
        even: Option<Even>,
    }
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    struct Counted {
        #[serde(flatten)]
        rest: Rest,
    }
    let lock = Lock::of::<Voided>();
    names::<Counted>(&lock, &["\"Counted\" in form 1", "panics: 1 is odd", r#"given {"even":1}"#]);
}

#[test]
fn a_serialize_that_panics_is_named_with_the_sample() {
    fn small<S: Serializer>(number: &u8, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(number.checked_add(1).expect("a small number"))
    }
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    struct Counted {
        #[serde(serialize_with = "small")]
        number: u8,
    }
    let lock = Lock::of::<Voided>();
    names::<Counted>(&lock, &["\"Counted\" in form 1", "panics: a small number", r#"given {"number":255}"#]);
    let given = lock.with::<Counted>().sample("Counted", 1, r#"{"number":255}"#);
    let message = given.run(true).unwrap_err();
    assert!(message.contains("sample that was given for \"Counted\" in form 1"), "{message}");
}
