//! What types write, which may change while what they read stays.

use serde::{Deserialize, Serialize};

use super::Lock;
use crate::Event;

/// A struct `Noted`, in a module of its own.
macro_rules! noted {
    ($module:ident { $($fields:tt)* }) => {
        mod $module {
            #[allow(unused_imports, reason = "not every form needs all of it")]
            use super::*;

            #[derive(Event, Serialize, Deserialize)]
            #[event(crate = "crate", name = "Noted")]
            pub(super) struct Noted { $($fields)* }
        }
    };
}

noted!(always { note: Option<String>, pages: Vec<u8> });
noted!(when_there {
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    pages: Vec<u8>
});

#[test]
fn a_field_that_is_left_out_now_is_a_new_form() {
    let lock = Lock::of::<always::Noted>();
    lock.takes::<when_there::Noted>(&["\"Noted\", form 1: it is written in another way", r#"+ {"pages":["#]);
    let added = lock.text();
    assert_eq!(added.matches("schema_version").count(), 1, "its fields are as they were: {added}");
    // It is no other form than before when the change is taken back.
    lock.is_kept_by::<always::Noted>();

    noted!(later {
        #[serde(deserialize_with = "an_option")]
        note: Option<String>,
        pages: Vec<u8>
    });
    lock.refuses::<later::Noted>(&["missing field `note`"]);
    // It reads all that was written before the change.
    Lock::of::<always::Noted>().takes::<later::Noted>(&["- note?"]);
}

fn an_option<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}

#[test]
fn a_value_that_is_written_as_another_kind_is_a_new_form() {
    noted!(before { pages: Flexible });
    noted!(now {
        #[serde(serialize_with = "as_text")]
        pages: Flexible
    });
    Lock::of::<before::Noted>().takes::<now::Noted>(&["written in another way", r#"+ {"pages":"1"}"#]);
}

fn as_text<S: serde::Serializer>(number: &Flexible, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&number.0)
}

/// A number that is read from a text, too.
#[derive(Serialize)]
struct Flexible(u8);

impl<'de> Deserialize<'de> for Flexible {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
        let number = number.and_then(|number| u8::try_from(number).ok());
        number.map(Self).ok_or_else(|| serde::de::Error::custom("no number"))
    }
}

#[test]
fn other_values_of_the_same_kinds_are_no_new_form() {
    noted!(now {
        #[serde(default = "this_moment")]
        at: jiff::Timestamp
    });
    Lock::of::<now::Noted>().is_kept_by::<now::Noted>();
}

fn this_moment() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

#[test]
fn what_a_type_does_not_read_back_is_refused() {
    noted!(now {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pages: Vec<u8>
    });
    noted!(before { pages: Vec<u8> });
    Lock::of::<before::Noted>().refuses::<now::Noted>(&[
        "\"Noted\" in form 1 is written by",
        "does not read it back",
        "missing field `pages`",
        "serde(default)",
    ]);
}
