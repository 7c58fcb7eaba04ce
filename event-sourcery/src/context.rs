//! What is known about an event besides its payload: correlation, causation, and named typed components.

mod handed_down;

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

pub(crate) use self::handed_down::HandedDown;
use crate::error::{Error, PayloadError, Result, without_values};
use crate::payload;
use crate::privacy::is_envelope;

/// A named part of a context, as a type of the caller's.
///
/// It is stored as a JSON object under its name; give the type named fields.
pub trait ContextComponent: Serialize + DeserializeOwned {
    /// The name it is stored under.
    const NAME: &'static str;
}

/// What is known about an event besides its payload.
///
/// A correlation id ties together all that one request caused; a causation id names the event or command that caused
/// this one. Components are named and typed. Keys that other writers put at the root are kept and written back.
///
/// ```
/// use event_sourcery::{Context, ContextComponent};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, Debug, PartialEq)]
/// struct Request { id: String }
///
/// impl ContextComponent for Request {
///     const NAME: &'static str = "request";
/// }
///
/// let context = Context::new().with_component(&Request { id: "r-17".into() })?;
/// assert_eq!(context.component::<Request>()?, Some(Request { id: "r-17".into() }));
/// # Ok::<(), event_sourcery::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Context {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correlation_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    causation_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Map::is_empty", deserialize_with = "null_as_empty")]
    components: Map<String, Value>,
    /// The root keys that are none of the above.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Context {
    /// An empty context.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The id that ties together all that one request caused.
    #[must_use]
    pub const fn correlation_id(&self) -> Option<Uuid> {
        self.correlation_id
    }

    /// The id of the event or command that caused this one.
    #[must_use]
    pub const fn causation_id(&self) -> Option<Uuid> {
        self.causation_id
    }

    /// This context with a correlation id.
    #[must_use]
    pub fn with_correlation_id(self, id: Uuid) -> Self {
        Self { correlation_id: Some(id), ..self }
    }

    /// This context with a causation id.
    #[must_use]
    pub fn with_causation_id(self, id: Uuid) -> Self {
        Self { causation_id: Some(id), ..self }
    }

    /// This context with a component, in place of one of the same name.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidContext`] when the component does not serialise to a JSON object, or to one that its type could not
    /// read back equal.
    pub fn with_component<C: ContextComponent>(mut self, component: &C) -> Result<Self> {
        self.components.insert(C::NAME.to_owned(), component_value(component)?);
        Ok(self)
    }

    /// The component of this type, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidContext`] when what is stored under its name does not fit the type.
    pub fn component<C: ContextComponent>(&self) -> Result<Option<C>> {
        read(C::NAME, self.components.get(C::NAME))
    }

    /// The value that another writer put under a key at the root, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidContext`] when what is stored there does not fit the type.
    pub fn root<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        read(key, self.rest.get(key))
    }

    pub(crate) fn has_component(&self, name: &str) -> bool {
        self.components.contains_key(name)
    }

    pub(crate) fn insert_component(&mut self, name: &str, value: Value) {
        self.components.insert(name.to_owned(), value);
    }

    /// The text to store.
    pub(crate) fn encode(&self) -> Result<String> {
        if *self == Self::default() {
            return Ok("{}".to_owned());
        }
        if self.rest.get("").is_some_and(is_envelope) {
            let problem = "under the empty key at the root stands what could be taken for encrypted fields: leave it out";
            return Err(invalid("", &problem));
        }
        let text = serde_json::to_string(self).map_err(|error| invalid("context", &without_values(error)))?;
        payload::check(text).map_err(|error| invalid("context", &error))
    }

    /// Refuses a stored text that has something of its own where encrypted fields are to stand.
    pub(crate) fn refuse_empty_key(text: &str) -> Result<()> {
        let has_it = || Self::decode(text).is_ok_and(|context| context.rest.contains_key(""));
        if text.contains(r#""":"#) && has_it() {
            return Err(invalid(
                "",
                &"the event's encrypted fields are to stand under the empty key at the root: leave it out",
            ));
        }
        Ok(())
    }

    /// The context from its stored text.
    pub(crate) fn decode(text: &str) -> Result<Self, serde_json::Error> {
        // What most events carry, as we write it and as the reference does.
        if matches!(text, "{}" | r#"{"correlation_id": null, "causation_id": null}"#) {
            return Ok(Self::default());
        }
        serde_json::from_str(text)
    }
}

/// What is set, and nothing else; of components, the names.
impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Context");
        let ids = [("correlation_id", self.correlation_id), ("causation_id", self.causation_id)];
        for (name, id) in ids {
            if let Some(id) = id {
                shown.field(name, &id);
            }
        }
        let names: Vec<_> = self.components.keys().chain(self.rest.keys()).collect();
        if !names.is_empty() {
            shown.field("components", &names);
        }
        shown.finish()
    }
}

/// A component as it is stored.
pub(crate) fn component_value<C: ContextComponent>(component: &C) -> Result<Value> {
    payload::encode(component).map_err(|error| invalid(C::NAME, &error))?;
    match serde_json::to_value(component).map_err(|error| invalid(C::NAME, &without_values(error)))? {
        object @ Value::Object(_) => Ok(object),
        _ => Err(invalid(C::NAME, &PayloadError::NotAnObject)),
    }
}

fn null_as_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn read<T: DeserializeOwned>(name: &str, value: Option<&Value>) -> Result<Option<T>> {
    value
        .map(|value| T::deserialize(value).map_err(|error| invalid(name, &without_values(error))))
        .transpose()
}

fn invalid(component: &str, problem: &dyn fmt::Display) -> Error {
    Error::InvalidContext { component: component.to_owned(), problem: problem.to_string() }
}
