//! Fields that are encrypted, or not any more, or otherwise.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Lock;
use crate::Event;
use crate::privacy::Personal;

paid!(clear { by: u64, to: u64, note: String });
paid!(sealed {
    #[event(subject)]
    by: u64,
    to: u64,
    #[event(encrypted, mask = "forgotten")]
    note: String
});

#[test]
fn a_field_that_becomes_encrypted_or_stops_being_so_is_named() {
    let lock = Lock::of::<clear::Paid>();
    assert!(!lock.text().contains("encrypted"), "{}", lock.text());
    let says = "what is encrypted has changed";
    lock.takes::<sealed::Paid>(&["\"Paid\", form 1", says, "+ note: for by, reads as \"forgotten\""]);
    assert!(lock.text().contains(r#""note": "for by, reads as \"forgotten\"""#), "{}", lock.text());
    // It was so before, and is told all the same: whoever lost the mark would store in the clear again.
    lock.takes::<clear::Paid>(&[says, "- note: for by"]);
    lock.takes::<sealed::Paid>(&[says, "+ note: for by"]);
}

#[test]
fn another_subject_or_mask_is_named() {
    paid!(for_another {
        by: u64,
        #[event(subject)]
        to: u64,
        #[event(encrypted, mask = "forgotten")]
        note: String
    });
    let lock = Lock::of::<sealed::Paid>();
    lock.takes::<for_another::Paid>(&["- note: for by, reads", "+ note: for to, reads"]);
    paid!(with_another_mask {
        by: u64,
        to: u64,
        #[event(encrypted, subject = "to")]
        note: String
    });
    lock.takes::<with_another_mask::Paid>(&["reads as \"forgotten\"", "+ note: for to, reads as \"\""]);
    paid!(for_the_stream #[event(stream_is_subject)] {
        by: u64,
        to: u64,
        #[event(encrypted)]
        note: String
    });
    lock.takes::<for_the_stream::Paid>(&["+ note: for the stream's name, reads as \"\""]);
}

#[test]
fn a_mark_that_is_lost_with_a_change_of_the_fields_is_named() {
    paid!(renamed {
        by: u64,
        to: u64,
        #[serde(alias = "note")]
        remark: String
    });
    let says =
        ["its fields have changed", "+ remark: text", "what is encrypted has changed", "- note: for by"];
    Lock::of::<sealed::Paid>().takes::<renamed::Paid>(&says);
}

#[test]
fn a_mark_that_is_lost_with_a_change_of_the_name_is_named() {
    #[derive(Event, Serialize, Deserialize)]
    #[event(crate = "crate", name = "Settled", alias = "Paid")]
    struct Settled {
        by: u64,
        to: u64,
        note: String,
    }
    let says = ["\"Settled\", form 1: new", "what is encrypted has changed", "- note: for by"];
    Lock::of::<sealed::Paid>().takes::<Settled>(&says);
}

#[derive(Personal, Serialize, Deserialize)]
#[event(crate = "crate")]
struct Address {
    #[event(encrypted, mask = "somewhere")]
    #[serde(rename = "streetAndNumber")]
    street: String,
    city: String,
}

#[derive(Serialize, Deserialize)]
struct ClearAddress {
    #[serde(rename = "streetAndNumber")]
    street: String,
    city: String,
}

#[derive(Personal, Serialize, Deserialize)]
#[event(crate = "crate")]
struct Friend {
    #[event(subject)]
    id: u64,
    #[event(encrypted, mask = "a friend")]
    email: String,
    friends: Vec<Self>,
}

#[derive(Event, Serialize, Deserialize)]
#[event(crate = "crate", stream_is_subject)]
enum Moved {
    Here { to: Vec<Option<Address>>, by_purpose: BTreeMap<String, Address> },
}

#[derive(Event, Serialize, Deserialize)]
#[event(crate = "crate")]
enum MovedInTheClear {
    Here { to: Vec<Option<ClearAddress>>, by_purpose: BTreeMap<String, ClearAddress> },
}

#[test]
fn marks_within_are_named_by_their_places() {
    let lock = Lock::of::<MovedInTheClear>();
    lock.takes::<Moved>(&[
        "+ to.[].streetAndNumber: for the stream's name, reads as \"somewhere\"",
        "+ by_purpose.{}.streetAndNumber: for the stream's name",
    ]);
}

#[test]
fn a_type_within_itself_is_told_once() {
    paid!(by_friend { friend: Option<Friend> });
    let lock = Lock::of::<by_friend::Paid>();
    let told = r#""friend.email": "for friend.id, reads as \"a friend\"""#;
    assert!(lock.text().contains(told), "{}", lock.text());
    assert_eq!(lock.text().matches("reads as").count(), 1, "{}", lock.text());
}
