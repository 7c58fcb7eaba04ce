//! Ids as text, and in serde's formats: what an HTTP API, a command line and a message take them as. What comes in is checked as it
//! is where an id is made.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};
use uuid::Uuid;

use super::{Category, StreamId, TenantId};
use crate::error::{Error, Result};

/// A stream's id as a map. The UUID may be left out where there is a name.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename = "StreamId")]
struct Parts<'p> {
    uuid: Option<Uuid>,
    name: Option<Cow<'p, str>>,
    category: Option<Cow<'p, str>>,
}

/// A map of `uuid`, `name` and `category`, the last two of which may be null.
impl Serialize for StreamId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (name, category) = (self.name().map(Cow::Borrowed), self.category().map(Category::as_str));
        Parts { uuid: Some(self.uuid()), name, category: category.map(Cow::Borrowed) }.serialize(serializer)
    }
}

/// From a map of `uuid`, `name` and `category`: one of the first two has to be there, and they have to belong together.
impl<'de> Deserialize<'de> for StreamId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Parts { uuid, name, category } = Parts::deserialize(deserializer)?;
        let stream = match (uuid, name) {
            (Some(uuid), Some(name)) => Self::from_uuid_and_name(uuid, name),
            (Some(uuid), None) => Ok(Self::from_uuid(uuid)),
            (None, Some(name)) => Self::from_name(name),
            (None, None) => return Err(de::Error::missing_field("uuid")),
        };
        let stream = stream.and_then(|stream| stream.in_category(category.unwrap_or_default()));
        stream.map_err(de::Error::custom)
    }
}

impl AsRef<str> for Category {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

/// As [`Category::new`].
impl FromStr for Category {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::new(name)
    }
}

/// As [`Category::new`].
impl TryFrom<&str> for Category {
    type Error = Error;

    fn try_from(name: &str) -> Result<Self> {
        Self::new(name)
    }
}

/// Its name.
impl Serialize for Category {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// From its name, as [`Category::new`].
impl<'de> Deserialize<'de> for Category {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Cow::<'_, str>::deserialize(deserializer)?;
        Self::new(name).map_err(de::Error::custom)
    }
}

/// As [`TenantId::new`]: no text stands for the default tenant.
impl FromStr for TenantId {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::new(name)
    }
}

/// As [`TenantId::new`]: no text stands for the default tenant.
impl TryFrom<&str> for TenantId {
    type Error = Error;

    fn try_from(name: &str) -> Result<Self> {
        Self::new(name)
    }
}

/// Its name; none (`null`) for the default tenant.
impl Serialize for TenantId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.is_default() {
            true => serializer.serialize_none(),
            false => serializer.serialize_some(self.as_str()),
        }
    }
}

/// From its name, as [`TenantId::new`], or from none (`null`), which is the default tenant. In JSON and its like, a field that is not
/// there is an error, as an empty name is: what was forgotten does not read the data that belongs to no tenant.
impl<'de> Deserialize<'de> for TenantId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // To serde, what asks for an option may be left out.
        match deserializer.is_human_readable() {
            true => deserializer.deserialize_any(OfTenant),
            false => deserializer.deserialize_option(OfTenant),
        }
    }
}

struct OfTenant;

impl<'de> Visitor<'de> for OfTenant {
    type Value = TenantId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a tenant, or null for the default tenant")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<TenantId, E> {
        TenantId::new(name).map_err(E::custom)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<TenantId, D::Error> {
        deserializer.deserialize_str(self)
    }

    fn visit_none<E: de::Error>(self) -> Result<TenantId, E> {
        Ok(TenantId::DEFAULT)
    }

    fn visit_unit<E: de::Error>(self) -> Result<TenantId, E> {
        Ok(TenantId::DEFAULT)
    }
}
