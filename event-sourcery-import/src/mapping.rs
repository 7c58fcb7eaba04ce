//! What the user decides about an import.

use std::collections::BTreeMap;

use event_sourcery::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{ImportError, Result};

/// What the user decides: whose events they become, in which category, under which names, at which times, and what is to become of
/// holes. A file of JSON ([`from_json`](Self::from_json)), or the methods. Keep it: every run of one import needs the same.
///
/// ```
/// use event_sourcery_import::{Holes, Mapping};
///
/// let mapping = Mapping::from_json(
///     r#"{
///         "from": "bank",
///         "category": {"fixed": "accounts"},
///         "types": {"bank.domain:Account.Opened": "AccountOpened"},
///         "holes": "renumber"
///     }"#,
/// )?;
/// let same = Mapping::new("bank")
///     .category_of("accounts")
///     .rename("bank.domain:Account.Opened", "AccountOpened")
///     .holes(Holes::Renumber);
/// assert_eq!(mapping, same);
/// # Ok::<(), event_sourcery_import::ImportError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Mapping {
    /// What the source is called: in the context of each event, and in the ids that are derived. Two sources need two names.
    pub from: String,
    /// Whose events they become.
    #[serde(default)]
    pub tenant: TenantRule,
    /// In which category their streams are.
    #[serde(default)]
    pub category: CategoryRule,
    /// How their streams are named.
    #[serde(default)]
    pub stream: StreamRule,
    /// How types are named that [`types`](Self::types) does not have.
    #[serde(default)]
    pub type_names: TypeRule,
    /// New names of types, by their names at the source.
    #[serde(default)]
    pub types: BTreeMap<String, String>,
    /// Whether payloads are the events, or wear the name of a type around them.
    #[serde(default)]
    pub payload: PayloadRule,
    /// The key under which a payload is put that is no JSON object. Without one, such an event is left out.
    #[serde(default)]
    pub wrap: Option<String>,
    /// The key of the metadata that has the correlation id, a UUID.
    #[serde(default)]
    pub correlation: Option<String>,
    /// The key of the metadata that has the causation id, a UUID.
    #[serde(default)]
    pub causation: Option<String>,
    /// Where an event's time is.
    #[serde(default)]
    pub time: TimeRule,
    /// The time of events that have none there that can be read. Without it, they are left out.
    #[serde(default)]
    pub time_otherwise: Option<Timestamp>,
    /// The version of a stream's first event at the source.
    #[serde(default = "one")]
    pub first_version: i64,
    /// What becomes of a stream in whose versions some are missing.
    #[serde(default)]
    pub holes: Holes,
}

const fn one() -> i64 {
    1
}

/// Whose events they become.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantRule {
    /// Those of the tenant of the destination's handle.
    #[default]
    Handle,
    /// Those of the tenant named like the partition of the source; its default partition is the default tenant.
    Partition,
}

/// In which category their streams are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CategoryRule {
    /// In that of the source; in none, where it has none.
    #[default]
    Source,
    /// In this one.
    Fixed(String),
    /// In none.
    None,
}

/// How their streams are named. An id that is a UUID, in small letters, becomes the stream's UUID, without a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamRule {
    /// As the source names them.
    #[default]
    Whole,
    /// Without the source's category and the dash behind it: `account-17` becomes `17`.
    WithoutCategory,
}

/// How types are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TypeRule {
    /// As the source names them.
    #[default]
    Whole,
    /// By what stands behind the last colon or dot: `bank.domain:Account.Opened` becomes `Opened`.
    LastPart,
}

/// What a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayloadRule {
    /// The event.
    #[default]
    Whole,
    /// An object with one key, the name of a type, and the event under it, as serde writes an enum; or that name alone, for an event
    /// that has nothing else. A name that is not that of the type is kept in the context.
    Tagged,
}

/// Where an event's time is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeRule {
    /// Where the source has it.
    #[default]
    Source,
    /// Under this key of the metadata, as RFC 3339 writes it.
    Metadata(String),
    /// Under this key of the payload, as RFC 3339 writes it, or as `eventsourcing` for Python does.
    Payload(String),
}

/// What becomes of a stream in whose versions some are missing at the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holes {
    /// What stands before the first hole is imported, and the rest is left out and reported.
    #[default]
    Stop,
    /// The events behind a hole move up. Their versions at the source are kept in their contexts.
    Renumber,
    /// Holes stay holes: each event has its own version, also behind one that is left out. Where the destination cannot leave versions
    /// out ([`version_holes`](event_sourcery::backend::Capabilities::version_holes)), nothing is run:
    /// [`ImportError::NoHoles`](crate::ImportError::NoHoles).
    Keep,
}

impl Mapping {
    /// A source of this name, as it is.
    #[must_use]
    pub fn new(from: impl Into<String>) -> Self {
        Self {
            from: from.into(),
            tenant: TenantRule::default(),
            category: CategoryRule::default(),
            stream: StreamRule::default(),
            type_names: TypeRule::default(),
            types: BTreeMap::new(),
            payload: PayloadRule::default(),
            wrap: None,
            correlation: None,
            causation: None,
            time: TimeRule::default(),
            time_otherwise: None,
            first_version: one(),
            holes: Holes::default(),
        }
    }

    /// The mapping that a file has.
    ///
    /// # Errors
    ///
    /// [`ImportError::Mapping`], for text that is no such JSON, too.
    pub fn from_json(text: &str) -> Result<Self> {
        let read = serde_json::from_str::<Self>(text);
        read.map_err(|problem| ImportError::Mapping { problem: problem.to_string() })
    }

    /// The events become those of the tenants named like their partitions.
    #[must_use]
    pub fn tenants_by_partition(self) -> Self {
        Self { tenant: TenantRule::Partition, ..self }
    }

    /// All streams are in this category.
    #[must_use]
    pub fn category_of(self, category: impl Into<String>) -> Self {
        Self { category: CategoryRule::Fixed(category.into()), ..self }
    }

    /// No stream is in a category.
    #[must_use]
    pub fn without_category(self) -> Self {
        Self { category: CategoryRule::None, ..self }
    }

    /// How streams are named.
    #[must_use]
    pub fn stream(self, stream: StreamRule) -> Self {
        Self { stream, ..self }
    }

    /// How types are named that get no [other name](Self::rename).
    #[must_use]
    pub fn type_names(self, type_names: TypeRule) -> Self {
        Self { type_names, ..self }
    }

    /// This type gets another name.
    #[must_use]
    pub fn rename(mut self, type_name: impl Into<String>, name: impl Into<String>) -> Self {
        self.types.insert(type_name.into(), name.into());
        self
    }

    /// What payloads are.
    #[must_use]
    pub fn payload(self, payload: PayloadRule) -> Self {
        Self { payload, ..self }
    }

    /// Payloads that are no objects are put into one, under this key.
    #[must_use]
    pub fn wrap(self, key: impl Into<String>) -> Self {
        Self { wrap: Some(key.into()), ..self }
    }

    /// Which key of the metadata has the correlation id.
    #[must_use]
    pub fn correlation(self, key: impl Into<String>) -> Self {
        Self { correlation: Some(key.into()), ..self }
    }

    /// Which key of the metadata has the causation id.
    #[must_use]
    pub fn causation(self, key: impl Into<String>) -> Self {
        Self { causation: Some(key.into()), ..self }
    }

    /// Where an event's time is.
    #[must_use]
    pub fn time(self, time: TimeRule) -> Self {
        Self { time, ..self }
    }

    /// The time of events that have none that can be read.
    #[must_use]
    pub fn time_otherwise(self, time: Timestamp) -> Self {
        Self { time_otherwise: Some(time), ..self }
    }

    /// The version of a stream's first event at the source, if that is not 1.
    #[must_use]
    pub fn first_version(self, version: i64) -> Self {
        Self { first_version: version, ..self }
    }

    /// What becomes of holes in versions.
    #[must_use]
    pub fn holes(self, holes: Holes) -> Self {
        Self { holes, ..self }
    }
}
