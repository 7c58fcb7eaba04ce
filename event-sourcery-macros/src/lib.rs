//! `#[derive(Event)]` for the [event-sourcery](https://docs.rs/event-sourcery) crate, which re-exports it.

mod attributes;
mod errors;
mod expand;
mod expand_enum;
mod expand_forms;
mod expand_marks;
mod expand_tags;
mod marks;
mod model;
mod serde_attributes;
mod serde_names;
mod tags;
mod upcasts;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a type an event.
///
/// An event has a stored name and a JSON object as its payload. The derive settles both while the program compiles:
/// there is no registry to fill, and a name that stands for two events is a compile error. It covers three forms, and
/// enums that mix them.
///
/// # A struct with named fields
///
/// Its name is the stored name, its fields are the payload, written and read by its own `Serialize` and `Deserialize`.
/// All of serde's attributes work. A struct without fields needs no serde; its payload is `{}`.
///
/// ```
/// use event_sourcery::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
/// struct InvoicePaid {
///     number: String,
/// }
///
/// let paid = InvoicePaid { number: "1003".into() };
/// assert_eq!(paid.event_name(), "InvoicePaid");
/// assert_eq!(paid.encode()?, r#"{"number":"1003"}"#);
/// assert_eq!(InvoicePaid::decode("InvoicePaid", r#"{"number":"1003"}"#)?, paid);
///
/// #[derive(Event)]
/// struct LedgerClosed;
///
/// assert_eq!(LedgerClosed.encode()?, "{}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # An enum whose variants are events
///
/// A variant's name is the stored name. Its fields are the payload, without a tag: stored, it cannot be told from a
/// struct of that name. The enum derives `Serialize` and `Deserialize`; if no variant has fields, it needs neither.
///
/// ```
/// use event_sourcery::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
/// enum LightEvent {
///     Dimmed { percent: u8 },
///     TurnedOff,
/// }
///
/// assert_eq!(LightEvent::NAMES, ["Dimmed", "TurnedOff"]);
/// assert_eq!(LightEvent::Dimmed { percent: 40 }.encode()?, r#"{"percent":40}"#);
/// assert_eq!(LightEvent::TurnedOff.encode()?, "{}");
/// assert_eq!(LightEvent::decode("Dimmed", r#"{"percent":40}"#)?, LightEvent::Dimmed { percent: 40 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// serde's attributes work on the fields, and on the enum `rename_all_fields`, `deny_unknown_fields` and the like. Its
/// names for variants (`rename`, `alias`, `rename_all`) have no part in what is stored, and its other forms of an enum
/// (`tag`, `content`, `untagged`) are refused.
///
/// # An enum that gathers event structs
///
/// A variant with one unnamed field holds an event of a type of its own: a struct, or another enum. Names, payloads and
/// aliases are that type's. The enum needs no serde, and the event converts into it with `into()`.
///
/// ```
/// use event_sourcery::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// struct InvoiceIssued { number: String, cents: u64 }
///
/// #[derive(Event, Serialize, Deserialize)]
/// struct InvoicePaid { number: String }
///
/// #[derive(Event)]
/// enum InvoiceEvent {
///     Issued(InvoiceIssued),
///     Paid(InvoicePaid),
/// }
///
/// assert_eq!(InvoiceEvent::NAMES, ["InvoiceIssued", "InvoicePaid"]);
/// let event = InvoiceEvent::from(InvoicePaid { number: "1003".into() });
/// assert_eq!(event.event_name(), "InvoicePaid");
/// ```
///
/// # `name` and `alias`
///
/// On a struct, or on a variant that is an event: `name` is what it is stored under, each `alias` a former name that is
/// still read. A name has 1 to 200 characters and no NUL.
///
/// ```
/// use event_sourcery::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
/// #[event(name = "invoicing.Paid", alias = "InvoicePaid", alias = "InvoiceSettled")]
/// struct Paid {
///     number: String,
/// }
///
/// assert_eq!(Paid::NAMES, ["invoicing.Paid", "InvoicePaid", "InvoiceSettled"]);
/// assert_eq!(Paid::decode("InvoiceSettled", r#"{"number":"1003"}"#)?.event_name(), "invoicing.Paid");
///
/// #[derive(Event)]
/// enum LightEvent {
///     #[event(name = "light.on")]
///     TurnedOn,
///     #[event(alias = "SwitchedOff")]
///     TurnedOff,
/// }
///
/// assert_eq!(LightEvent::NAMES, ["light.on", "TurnedOff", "SwitchedOff"]);
/// # Ok::<(), event_sourcery::DecodeError>(())
/// ```
///
/// # `catch_all`
///
/// On one variant of an enum, which holds a `RawEvent`: it decodes every name that no other variant has, and keeps the
/// payload as it stands in the store. Where other variants have named fields, and the enum therefore derives serde's
/// traits, it is `#[serde(skip)]` as well.
///
/// ```
/// use event_sourcery::{Event, RawEvent};
///
/// #[derive(Event)]
/// enum LightEvent {
///     TurnedOn,
///     #[event(catch_all)]
///     Other(RawEvent),
/// }
///
/// let LightEvent::Other(raw) = LightEvent::decode("Exploded", r#"{ "at" : 1 }"#)? else { panic!() };
/// assert_eq!(raw.name(), "Exploded");
/// assert_eq!(raw.data().get(), r#"{ "at" : 1 }"#);
/// # Ok::<(), event_sourcery::DecodeError>(())
/// ```
///
/// # `crate`
///
/// On a type: where the library is found, for a crate that re-exports it.
///
/// ```
/// mod company {
///     pub use event_sourcery as events;
/// }
///
/// #[derive(company::events::Event)]
/// #[event(crate = "company::events")]
/// struct LedgerClosed;
/// ```
///
/// # Adding and renaming fields
///
/// Unknown fields of older events are ignored. A new field reads them with `#[serde(default)]`, a renamed one with
/// `#[serde(alias = "..")]`.
///
/// ```
/// use event_sourcery::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
/// struct InvoicePaid {
///     #[serde(alias = "invoice")]
///     number: String,
///     #[serde(default)]
///     note: Option<String>,
/// }
///
/// let paid = InvoicePaid::decode("InvoicePaid", r#"{"invoice":"1003","till":7}"#)?;
/// assert_eq!(paid, InvoicePaid { number: "1003".into(), note: None });
/// # Ok::<(), event_sourcery::DecodeError>(())
/// ```
///
/// # `upcast`
///
/// Where a default and an alias are not enough, functions turn the older stored form into the current one, on every read.
/// On a struct, or on a variant that is an event, it lists the steps in order: the first one turns form 1 into form 2. What
/// is stored carries the version of its form, which is one more than there are steps.
///
/// ```
/// use event_sourcery::{Event, Source, StoredForm};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
/// #[event(upcast(euros_to_cents, with_currency))]
/// struct InvoicePaid {
///     cents: u64,
///     currency: String,
/// }
///
/// fn euros_to_cents(event: &mut StoredForm) -> Result<(), Source> {
///     let euros: u64 = event.read("euros")?;
///     event.write("cents", euros.checked_mul(100).ok_or("too many euros")?)
/// }
///
/// fn with_currency(event: &mut StoredForm) -> Result<(), Source> {
///     event.write("currency", "EUR")
/// }
///
/// let current = InvoicePaid { cents: 700, currency: "EUR".into() };
/// assert_eq!(InvoicePaid::decode_stored("InvoicePaid", 1, r#"{"euros":7}"#)?, current);
/// assert_eq!(InvoicePaid::decode_stored("InvoicePaid", 2, r#"{"cents":700}"#)?, current);
/// assert_eq!(current.schema_version(), 3);
/// # Ok::<(), event_sourcery::DecodeError>(())
/// ```
///
/// Aliases share the list: each step runs for every name, by the version alone. Where two events with steps of their own
/// become one, a step asks `event.name()` and does what that name's step of this version did, or nothing. The step that merges
/// them stands behind as many as the longest of their lists had.
///
/// On an enum, it splits a former name: the function picks the event that it has become. Where the name had steps, they stand
/// before the function, which then sees the last form that the name had: `"Name" = (first, second, split)`. The former name is
/// one of the enum's `NAMES`. Several names may follow each other, and what one is split into, a later one may split again.
///
/// ```
/// use event_sourcery::{DecodeError, Event, Source, StoredForm, Successor};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
/// #[event(upcast("InvoiceClosed" = (settled_to_paid, split_closed), "InvoiceDropped" = to_voided))]
/// enum InvoiceEvent {
///     InvoicePaid { number: String },
///     InvoiceVoided { number: String },
/// }
///
/// fn settled_to_paid(event: &mut StoredForm) -> Result<(), Source> {
///     let settled: bool = event.read("settled")?;
///     event.write("paid", settled)
/// }
///
/// fn split_closed(event: &mut StoredForm) -> Result<Successor, Source> {
///     let paid: bool = event.read("paid")?;
///     Ok(Successor::of(if paid { "InvoicePaid" } else { "InvoiceVoided" }))
/// }
///
/// fn to_voided(_: &mut StoredForm) -> Result<Successor, Source> {
///     Ok(Successor::of("InvoiceVoided"))
/// }
///
/// assert_eq!(InvoiceEvent::NAMES, ["InvoicePaid", "InvoiceVoided", "InvoiceClosed", "InvoiceDropped"]);
/// let paid = InvoiceEvent::InvoicePaid { number: "1003".into() };
/// for (version, data) in [(1, r#"{"number":"1003","settled":true}"#), (2, r#"{"number":"1003","paid":true}"#)] {
///     assert_eq!(InvoiceEvent::decode_stored("InvoiceClosed", version, data)?, paid);
/// }
/// let newer = InvoiceEvent::decode_stored("InvoiceClosed", 3, "{}");
/// assert!(matches!(newer, Err(DecodeError::NewerForm { found: 3, known: 2 })));
/// # Ok::<(), DecodeError>(())
/// ```
///
/// # `encrypted`, `mask` and `subject`
///
/// On fields: `encrypted` ones are stored under the key of the data subject, and read as their `mask` once that key was shredded:
/// a value of the field's own type, or for a text a text in quotes; without one, the type's `Default`. `subject`, on another field,
/// is whom they are about, in the form in which serde writes it, a text or a number. A single mark can name another field,
/// `subject = ".."`. `stream_is_subject`, on a struct, a variant or an enum, says that the name of the stream tells. Fields of types
/// that derive `Personal` are looked into. The guide page *data privacy* has more.
///
/// ```
/// use event_sourcery::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// struct CustomerRegistered {
///     #[event(subject)]
///     customer: u64,
///     #[event(encrypted, mask = "forgotten")]
///     email: String,
///     #[event(encrypted)]
///     born_in: Option<u16>,
///     advertised_by: Option<u64>,
///     #[event(encrypted, mask = vec![], subject = "advertised_by")]
///     friends: Vec<String>,
/// }
/// ```
///
/// A mask of another type does not compile, nor a field without a mask whose type has no default, nor a type with marks in an event
/// that names nobody:
///
/// ```compile_fail,E0308
/// # use event_sourcery::Event;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Event, Serialize, Deserialize)]
/// struct CustomerRegistered {
///     #[event(subject)]
///     customer: u64,
///     #[event(encrypted, mask = 7)]
///     email: String,
/// }
/// ```
///
/// ```compile_fail,E0277
/// # use event_sourcery::{Event, uuid::Uuid};
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize)]
/// struct Email(String);
///
/// #[derive(Event, Serialize, Deserialize)]
/// struct CustomerRegistered {
///     #[event(subject)]
///     customer: Uuid,
///     #[event(encrypted)]
///     email: Email,
/// }
/// ```
///
/// ```compile_fail,E0080
/// # use event_sourcery::{Event, privacy::Personal};
/// # use serde::{Deserialize, Serialize};
/// #[derive(Personal, Serialize, Deserialize)]
/// struct Address {
///     #[event(encrypted)]
///     street: String,
/// }
///
/// #[derive(Event, Serialize, Deserialize)]
/// struct CustomerMoved {
///     customer: u64,
///     to: Option<Address>,
/// }
/// ```
///
/// # `tags`
///
/// On a struct, or on a variant that is an event: the fields whose values are its tags, by which it is found across streams. A value is a
/// text or a number as serde writes it; a list is a tag for each of its items, and `None` is none. A tag can have another name than its
/// field. The guide page *decide across streams* has more.
///
/// ```
/// use event_sourcery::{Event, Tags};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(tags(course, student_number = "student"))]
/// struct StudentSubscribed {
///     course: String,
///     student_number: u64,
/// }
///
/// let mut tags = Tags::default();
/// StudentSubscribed { course: "c1".into(), student_number: 7 }.tags(&mut tags);
/// let tags: Vec<_> = tags.into_tags()?.iter().map(ToString::to_string).collect();
/// assert_eq!(tags, ["course:c1", "student:7"]);
/// # Ok::<(), event_sourcery::Error>(())
/// ```
///
/// # What is refused
///
/// While the program compiles: encrypted fields without a subject, and those that serde leaves out or that are tags; a name that stands for two events, tuple structs and tuple variants of several fields
/// (a payload is an object, so its fields have names), type and lifetime parameters, a second catch-all, a gathered type
/// with a catch-all of its own, a split name that an event has, and serde attributes that would keep a variant from being read back.
#[proc_macro_derive(Event, attributes(event))]
pub fn derive_event(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    model::Declaration::read(&input)
        .map_or_else(syn::Error::into_compile_error, |declaration| expand::expand(&declaration))
        .into()
}

/// Marks a type within events: `event_sourcery::privacy::Personal`.
///
/// On a struct with named fields that is no event itself. Its fields are marked as those of an event. Where none of them is the
/// `subject`, it is that of the event, or of the type, that holds it.
///
/// ```
/// use event_sourcery::privacy::Personal;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Personal, Serialize, Deserialize)]
/// struct Address {
///     #[event(encrypted, mask = "somewhere")]
///     street: String,
///     country: String,
/// }
/// ```
#[proc_macro_derive(Personal, attributes(event))]
pub fn derive_personal(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    model::PersonalDeclaration::read(&input)
        .map_or_else(syn::Error::into_compile_error, |declaration| expand::expand_personal(&declaration))
        .into()
}
