//! Numbers at the ends of their types, and upcasters that refuse them.

use serde::{Deserialize, Serialize};

use super::Lock;
use crate::Event;
use crate::error::Source;
use crate::upcast::StoredForm;

paid!(in_euros { euros: u64, points: u16 });
paid!(checked #[event(upcast(euros_to_cents))] { cents: u64, points: u16 });

fn euros_to_cents(event: &mut StoredForm) -> Result<(), Source> {
    let euros: u64 = event.read("euros")?;
    event.write("cents", euros.checked_mul(100).ok_or("too many euros")?)
}

#[test]
fn an_upcaster_may_refuse_the_end_of_a_type() {
    Lock::of::<in_euros::Paid>().takes::<checked::Paid>(&["\"Paid\", form 2"]);
}

#[test]
fn what_it_lets_through_has_to_be_read() {
    paid!(narrower #[event(upcast(euros_to_cents))] { cents: u32, points: u16 });
    Lock::of::<in_euros::Paid>().refuses::<narrower::Paid>(&["\"Paid\" in form 1", "expected u32"]);
}

#[test]
fn what_it_does_not_refuse_stays_as_large_as_it_was() {
    paid!(narrower #[event(upcast(euros_to_cents))] { cents: u64, points: u8 });
    Lock::of::<in_euros::Paid>().refuses::<narrower::Paid>(&["65535", "expected u8"]);
}

#[test]
fn what_it_reads_is_as_wide_as_it_was_stored() {
    fn few_euros_to_cents(event: &mut StoredForm) -> Result<(), Source> {
        let euros: u32 = event.read("euros")?;
        event.write("cents", u64::from(euros) * 100)
    }
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate", upcast(few_euros_to_cents))]
    struct Paid {
        cents: u64,
    }
    Lock::of::<in_euros::Paid>().refuses::<Paid>(&[
        "18446744073709551615",
        "expected u32",
        "mend the upcaster",
    ]);
}

#[test]
fn what_it_reads_through_serde_is_as_wide_as_it_was_stored() {
    #[derive(Deserialize)]
    struct Former {
        euros: u32,
    }
    fn few_euros_to_cents(event: &mut StoredForm) -> Result<(), Source> {
        let Former { euros } = serde_json::from_value(event.fields().clone().into())?;
        event.write("cents", u64::from(euros) * 100)
    }
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate", upcast(few_euros_to_cents))]
    struct Paid {
        cents: u64,
    }
    Lock::of::<in_euros::Paid>().refuses::<Paid>(&["expected u32", "mend the upcaster"]);
}

paid!(with_balance { balance: i64 });
paid!(without_debts #[event(upcast(balance_to_cents))] { cents: u64 });

fn balance_to_cents(event: &mut StoredForm) -> Result<(), Source> {
    let balance: i64 = event.read("balance")?;
    event.write("cents", u64::try_from(balance)?)
}

#[test]
fn what_it_refuses_at_every_size_is_not_let_pass() {
    Lock::of::<with_balance::Paid>()
        .refuses::<without_debts::Paid>(&["-9223372036854775808", "mend the upcaster"]);
}

/// It says that no store holds such an event.
#[test]
fn a_sample_that_was_deleted_from_the_file_stays_away() {
    let lock = Lock::of::<with_balance::Paid>();
    let without = lock.text().replace(",\n          {\"balance\":-9223372036854775808}", "");
    assert_ne!(without, lock.text());
    std::fs::write(&lock.0, &without).unwrap();
    lock.is_kept_by::<with_balance::Paid>();
    lock.takes::<without_debts::Paid>(&["\"Paid\", form 2"]);
    assert!(!lock.text().contains("-9223372036854775808"), "{}", lock.text());
}

mod as_text {
    use super::*;

    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate")]
    pub(super) struct Paid {
        #[serde(serialize_with = "text", deserialize_with = "number")]
        euros: i64,
        lines: Vec<f64>,
    }

    fn text<S: serde::Serializer>(euros: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(euros)
    }

    fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

paid!(from_text #[event(upcast(text_to_cents))] { cents: i64, lines: Vec<i64> });

fn text_to_cents(event: &mut StoredForm) -> Result<(), Source> {
    let euros: String = event.read("euros")?;
    event.write("cents", euros.parse::<i64>()?.checked_mul(100).ok_or("too far out")?)?;
    let in_cents = |euros: f64| {
        let cents = (euros * 100.0).round();
        if cents.abs() < 9e15 { Ok(cents as i64) } else { Err("too far out") }
    };
    let lines: Vec<f64> = event.read("lines")?;
    event.write("lines", lines.into_iter().map(in_cents).collect::<Result<Vec<_>, _>>()?)
}

#[test]
fn it_may_refuse_either_end_floats_and_numbers_in_texts() {
    let lock = Lock::of::<as_text::Paid>();
    for end in [r#""9223372036854775807""#, r#""-9223372036854775808""#, "1e+30"] {
        assert!(lock.text().contains(end), "{}", lock.text());
    }
    lock.takes::<from_text::Paid>(&["\"Paid\", form 2"]);
}

/// Who gives a sample says that it is stored.
#[test]
fn what_a_caller_gives_is_not_let_pass() {
    let lock = Lock::missing();
    let given = r#"{"euros":18446744073709551615,"points":1}"#;
    let message = lock.with::<checked::Paid>().sample("Paid", 1, given).run(true).unwrap_err();
    assert!(message.contains("too many euros"), "{message}");
}
