//! Which stream: a UUID, perhaps with a name that stands for it, perhaps in a category; and whose: a tenant.

mod text;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use uuid::Uuid;

use crate::error::{Error, NameKind, Result};
use crate::limits;

/// The namespace in which a stream's name becomes its UUID (version 5); shared with Event Sourcery for Python.
const NAMESPACE: Uuid = Uuid::from_u128(0x3a24a3ee_d33d_4266_93ab_7d8e256a6d44);

/// Identifies a stream within a tenant: a UUID and an optional category. A name may stand for the UUID.
///
/// Two ids are equal when UUID and category are. The same UUID in another category is another stream.
///
/// Names have 1 to 255 characters, at most 850 bytes, and no NUL: the same on every backend, checked here.
///
/// ```
/// use event_sourcery::StreamId;
///
/// let by_name = StreamId::from_name("invoices/1003")?;
/// let by_uuid = StreamId::from_uuid(by_name.uuid());
/// assert_eq!(by_name, by_uuid);
/// assert_ne!(by_name, by_uuid.in_category("archive")?);
/// # Ok::<(), event_sourcery::Error>(())
/// ```
#[derive(Clone)]
pub struct StreamId {
    uuid: Uuid,
    name: Option<Arc<str>>,
    category: Option<Category>,
}

impl StreamId {
    /// The stream of this name: its UUID is the version 5 UUID of the name.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`] outside the limits.
    pub fn from_name(name: impl AsRef<str>) -> Result<Self> {
        let name = name.as_ref();
        limits::check_name(NameKind::StreamName, name)?;
        Ok(Self { uuid: uuid_of(name), name: Some(name.into()), category: None })
    }

    /// The stream of this UUID. It reaches the same stream as the name that stands for the UUID.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self { uuid, name: None, category: None }
    }

    /// The stream of this UUID and this name, checked against each other.
    ///
    /// # Errors
    ///
    /// [`Error::IncompatibleUuidAndName`] when the name stands for another UUID, [`Error::InvalidName`] outside the
    /// limits.
    pub fn from_uuid_and_name(uuid: Uuid, name: impl AsRef<str>) -> Result<Self> {
        let named = Self::from_name(name)?;
        if named.uuid == uuid {
            return Ok(named);
        }
        Err(Error::IncompatibleUuidAndName {
            given: uuid,
            expected: named.uuid,
            name: named.name.as_deref().unwrap_or_default().to_owned(),
        })
    }

    /// A new stream of its own: a random UUID (version 4), no name.
    #[must_use]
    pub fn random() -> Self {
        Self::from_uuid(Uuid::new_v4())
    }

    /// See [`stored_stream_id`](crate::backend::stored_stream_id).
    pub(crate) fn stored(uuid: Uuid, name: Option<&str>, category: &str) -> Self {
        Self { uuid, name: name.map(Arc::from), category: Category::stored(category) }
    }

    /// See [`Names::stream_id`](crate::backend::Names::stream_id).
    pub(crate) fn of_copies(uuid: Uuid, name: Option<Arc<str>>, category: Option<Arc<str>>) -> Self {
        Self { uuid, name, category: category.map(Category) }
    }

    /// This stream in a category. An empty category is none.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`] outside the limits.
    pub fn in_category(self, category: impl AsRef<str>) -> Result<Self> {
        let category = match category.as_ref() {
            "" => None,
            category => Some(Category::new(category)?),
        };
        Ok(Self { category, ..self })
    }

    /// This stream in a category that was made before.
    #[must_use]
    pub fn with_category(self, category: Category) -> Self {
        Self { category: Some(category), ..self }
    }

    /// The UUID.
    #[must_use]
    pub const fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// The name, if this id was made with one or read from a store that knows it.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The category, if there is one.
    #[must_use]
    pub const fn category(&self) -> Option<&Category> {
        self.category.as_ref()
    }

    /// The name, shared.
    pub(crate) fn shared_name(&self) -> Option<Arc<str>> {
        self.name.clone()
    }

    /// The same stream, its name unknown.
    pub(crate) fn without_name(&self) -> Self {
        Self { uuid: self.uuid, name: None, category: self.category.clone() }
    }

    /// The category as it is stored: the empty string where there is none.
    #[must_use]
    pub fn stored_category(&self) -> &str {
        self.category.as_ref().map_or("", Category::as_str)
    }
}

fn uuid_of(name: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}

impl PartialEq for StreamId {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid && self.category == other.category
    }
}

impl Eq for StreamId {}

/// By category, and by UUID within it: an order to sort by, which means nothing else.
impl Ord for StreamId {
    fn cmp(&self, other: &Self) -> Ordering {
        (&self.category, self.uuid).cmp(&(&other.category, other.uuid))
    }
}

impl PartialOrd for StreamId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for StreamId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
        self.category.hash(state);
    }
}

/// `category:name`, or the UUID where there is no name: for people. It cannot be read back, because a category or a name may have
/// colons in it.
impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(category) = &self.category {
            write!(f, "{category}:")?;
        }
        match &self.name {
            Some(name) => f.write_str(name),
            None => self.uuid.fmt(f),
        }
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamId({self}")?;
        if self.name.is_some() {
            write!(f, ", {}", self.uuid)?;
        }
        f.write_str(")")
    }
}

/// A group of streams, such as all invoices: 1 to 255 characters, at most 850 bytes, no NUL.
///
/// ```
/// use event_sourcery::Category;
///
/// assert_eq!(Category::new("invoices")?.as_str(), "invoices");
/// assert!(Category::new("").is_err());
/// # Ok::<(), event_sourcery::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Category(Arc<str>);

impl Category {
    /// A category of this name.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`] outside the limits; an empty category is spelled by leaving it out.
    pub fn new(name: impl AsRef<str>) -> Result<Self> {
        limits::check_name(NameKind::Category, name.as_ref())?;
        Ok(Self(name.as_ref().into()))
    }

    /// The category's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn stored(name: &str) -> Option<Self> {
        (!name.is_empty()).then(|| Self(name.into()))
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Category({:?})", self.0)
    }
}

/// Whose streams: a tenant of an application that serves several, or the default one.
///
/// 1 to 255 characters, at most 850 bytes, no NUL. An empty tenant is refused, so that a blank header does not read
/// the data that belongs to no tenant; that data has a name of its own, [`TenantId::DEFAULT`].
///
/// ```
/// use event_sourcery::TenantId;
///
/// assert_eq!(TenantId::new("acme")?.as_str(), "acme");
/// assert!(TenantId::new("").is_err());
/// assert!(TenantId::DEFAULT.is_default());
/// # Ok::<(), event_sourcery::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(Option<Arc<str>>);

impl TenantId {
    /// The tenant of everything that belongs to none.
    pub const DEFAULT: Self = Self(None);

    /// A tenant of this name.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`] for an empty name and outside the limits.
    pub fn new(name: impl AsRef<str>) -> Result<Self> {
        limits::check_name(NameKind::Tenant, name.as_ref())?;
        Ok(Self::stored(name.as_ref()))
    }

    /// See [`stored_tenant_id`](crate::backend::stored_tenant_id).
    pub(crate) fn stored(name: &str) -> Self {
        Self((!name.is_empty()).then(|| name.into()))
    }

    /// See [`Names::tenant_id`](crate::backend::Names::tenant_id).
    pub(crate) const fn of_copy(name: Option<Arc<str>>) -> Self {
        Self(name)
    }

    /// Whether this is the default tenant.
    #[must_use]
    pub const fn is_default(&self) -> bool {
        self.0.is_none()
    }

    /// The tenant's name as it is stored: the empty string for the default tenant.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("the default tenant"))
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(name) => write!(f, "TenantId({name:?})"),
            None => f.write_str("TenantId::DEFAULT"),
        }
    }
}
