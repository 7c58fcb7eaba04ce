//! Upcasting: from the form that an event was stored in to the current one, step by step.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Source, without_values};

/// A step from one form of an event to the next. The guide page
/// [*evolving events*](crate::guide::evolving_events) shows how a type declares its steps.
///
/// An error of a step is an error of reading that event: nothing is skipped.
pub type Upcaster = fn(&mut StoredForm) -> Result<(), Source>;

/// What decides, from the payload, which event a former one has become. It gets the last form that the name had.
pub type Split = fn(&mut StoredForm) -> Result<Successor, Source>;

/// An event in the form it was stored in, on its way to the current one.
///
/// Its fields are JSON values. Integers beyond 64 bits do not survive that: they come out as floats. Events in the current
/// form are never turned into values.
///
/// ```
/// use event_sourcery::{Event, Source, StoredForm};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
/// #[event(upcast(euros_to_cents))]
/// struct InvoicePaid {
///     cents: u64,
/// }
///
/// fn euros_to_cents(event: &mut StoredForm) -> Result<(), Source> {
///     let euros: u64 = event.read("euros")?;
///     event.fields_mut().remove("euros");
///     event.write("cents", euros.checked_mul(100).ok_or("too many euros")?)
/// }
///
/// let paid = InvoicePaid::decode_stored("InvoicePaid", 1, r#"{"euros":7}"#)?;
/// assert_eq!(paid, InvoicePaid { cents: 700 });
/// # Ok::<(), event_sourcery::DecodeError>(())
/// ```
///
/// `Debug` shows the names of its fields, and none of their values.
#[derive(Clone, PartialEq)]
pub struct StoredForm {
    name: Cow<'static, str>,
    schema_version: u32,
    fields: Map<String, Value>,
}

impl StoredForm {
    pub(crate) fn new(name: Cow<'static, str>, schema_version: u32, fields: Map<String, Value>) -> Self {
        Self { name, schema_version, fields }
    }

    /// The name it was stored under: of several events that have become one, it tells which this was.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version of the form that it is in now: in a step, the version that the step starts from.
    #[must_use]
    pub fn schema_version(&self) -> u32 {
        self.schema_version
    }

    /// The fields of the payload.
    #[must_use]
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// The fields of the payload, to be changed.
    #[must_use]
    pub fn fields_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.fields
    }

    /// A field, as a type. A field that is missing reads as `null` does: it suits an `Option`.
    ///
    /// # Errors
    ///
    /// Where the field does not fit the type. The message names it.
    pub fn read<T: DeserializeOwned>(&self, field: &str) -> Result<T, Source> {
        let value = self.fields.get(field);
        T::deserialize(value.unwrap_or(&Value::Null)).map_err(|problem| match value {
            Some(_) => UnfitField { field: field.to_owned(), problem: without_values(problem) }.into(),
            None => format!("it has no field {field:?}").into(),
        })
    }

    /// Sets a field, whether it was there or not.
    ///
    /// # Errors
    ///
    /// Where the value cannot be written as JSON. The message names the field.
    pub fn write(&mut self, field: &str, value: impl Serialize) -> Result<(), Source> {
        let value = serde_json::to_value(value)
            .map_err(|problem| format!("its field {field:?} cannot be written: {problem}"))?;
        self.fields.insert(field.to_owned(), value);
        Ok(())
    }

    /// The version of the form after a step.
    pub(crate) fn advance(&mut self) {
        self.schema_version = self.schema_version.saturating_add(1);
    }

    pub(crate) fn become_successor(&mut self, Successor { name, schema_version }: Successor) {
        self.name = Cow::Borrowed(name);
        self.schema_version = schema_version;
    }

    pub(crate) fn into_parts(self) -> (Cow<'static, str>, u32, String) {
        (self.name, self.schema_version, Value::Object(self.fields).to_string())
    }
}

impl fmt::Debug for StoredForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, schema_version, fields } = self;
        f.debug_struct("StoredForm")
            .field("name", name)
            .field("schema_version", schema_version)
            .field("fields", &fields.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// A field that does not fit the type that a step reads it as.
#[derive(Debug, thiserror::Error)]
#[error("its field {field:?} is not as expected: {problem}")]
pub(crate) struct UnfitField {
    field: String,
    problem: serde_json::Error,
}

/// The event that a former one has become, where one name was split into several.
///
/// ```
/// use event_sourcery::{Event, Source, StoredForm, Successor};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
/// #[event(upcast("InvoiceClosed" = split_closed))]
/// enum InvoiceEvent {
///     InvoicePaid { number: String },
///     InvoiceVoided { number: String },
/// }
///
/// fn split_closed(event: &mut StoredForm) -> Result<Successor, Source> {
///     let paid: bool = event.read("paid")?;
///     Ok(Successor::of(if paid { "InvoicePaid" } else { "InvoiceVoided" }))
/// }
///
/// let event = InvoiceEvent::decode_stored("InvoiceClosed", 1, r#"{"number":"1003","paid":false}"#)?;
/// assert_eq!(event, InvoiceEvent::InvoiceVoided { number: "1003".into() });
/// # Ok::<(), event_sourcery::DecodeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Successor {
    name: &'static str,
    schema_version: u32,
}

impl Successor {
    /// The event of this stored name, in its first form: its upcasters run next.
    #[must_use]
    pub const fn of(name: &'static str) -> Self {
        Self { name, schema_version: 1 }
    }

    /// In the form of another version.
    #[must_use]
    pub const fn in_form(self, schema_version: u32) -> Self {
        Self { schema_version, ..self }
    }
}
