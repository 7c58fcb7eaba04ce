//! What a backend can do beyond the trait.

/// What a backend can do beyond the trait. The conformance kit checks what is declared, and prints what is not.
///
/// A backend begins with [`none`](Self::none) and claims what it has. So what a later version of this library adds is off until
/// the backend claims it, and the store answers [`Unsupported`](crate::Error::Unsupported) for it until then.
///
/// ```
/// use event_sourcery::backend::Capabilities;
///
/// let capabilities = Capabilities::none().several_streams().durable();
/// assert!(capabilities.durable && !capabilities.shared);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Capabilities {
    /// One append can span several streams.
    pub several_streams: bool,
    /// It implements [`TransactionalBackend`](super::TransactionalBackend) or [`JoinableBackend`](super::JoinableBackend).
    pub transactions: bool,
    /// What was acknowledged survives the process.
    pub durable: bool,
    /// Several processes can share one store.
    pub shared: bool,
    /// Listeners are called inside the transactions that append: one of the traits of transactions implements `listen`.
    pub listeners: bool,
    /// It has an outbox: what [`AppendRequest::outbox`](super::AppendRequest::outbox) names is put there, and
    /// [`Backend::outbox`](super::Backend::outbox) reads it.
    pub outbox: bool,
    /// It keeps the keys of data subjects, checks [`Requirement::Key`](super::Requirement::Key), and heeds
    /// [`AppendRequest::shreds`](super::AppendRequest::shreds).
    pub keys: bool,
    /// It keeps [presences](super::PresenceRecord): what [`RenewRequest::presence`](super::RenewRequest::presence) names, and
    /// [`SubscriptionBackend::renew_presence`](super::SubscriptionBackend::renew_presence) renews.
    pub presences: bool,
    /// It stores the [tags](super::NewRecord::tags) of events, also [later](super::Backend::tag), [reads](super::Backend::read) by them,
    /// and checks [`Requirement::Boundary`](super::Requirement::Boundary); what has transactions reads and checks in them too.
    pub tags: bool,
    /// It can be looked into: [`Backend::inspect`](super::Backend::inspect) gives what tells.
    pub inspect: bool,
    /// It gives the first event of an append a higher version than the next one, where
    /// [`StreamAppend::first_version`](super::StreamAppend::first_version) says so.
    pub version_holes: bool,
    /// An event id that is in the store is recognised whatever stream it is in; else in the streams of the append alone.
    pub ids_across_streams: bool,
}

impl Capabilities {
    /// No capability: add what is there.
    #[must_use]
    pub const fn none() -> Self {
        let (several_streams, transactions, durable, shared) = (false, false, false, false);
        let (listeners, outbox, keys, presences) = (false, false, false, false);
        let (tags, inspect, version_holes, ids_across_streams) = (false, false, false, false);
        Self {
            several_streams,
            transactions,
            durable,
            shared,
            listeners,
            outbox,
            keys,
            presences,
            tags,
            inspect,
            version_holes,
            ids_across_streams,
        }
    }

    /// One append can span several streams.
    #[must_use]
    pub const fn several_streams(self) -> Self {
        Self { several_streams: true, ..self }
    }

    /// It has transactions: one of the two traits is implemented.
    #[must_use]
    pub const fn transactions(self) -> Self {
        Self { transactions: true, ..self }
    }

    /// What was acknowledged survives the process.
    #[must_use]
    pub const fn durable(self) -> Self {
        Self { durable: true, ..self }
    }

    /// Several processes can share one store.
    #[must_use]
    pub const fn shared(self) -> Self {
        Self { shared: true, ..self }
    }

    /// Listeners are called inside the transactions that append.
    #[must_use]
    pub const fn listeners(self) -> Self {
        Self { listeners: true, ..self }
    }

    /// It has an outbox.
    #[must_use]
    pub const fn outbox(self) -> Self {
        Self { outbox: true, ..self }
    }

    /// It keeps the keys of data subjects.
    #[must_use]
    pub const fn keys(self) -> Self {
        Self { keys: true, ..self }
    }

    /// It keeps presences.
    #[must_use]
    pub const fn presences(self) -> Self {
        Self { presences: true, ..self }
    }

    /// It stores tags, and checks boundaries.
    #[must_use]
    pub const fn tags(self) -> Self {
        Self { tags: true, ..self }
    }

    /// It can be looked into.
    #[must_use]
    pub const fn inspect(self) -> Self {
        Self { inspect: true, ..self }
    }

    /// It leaves versions out where it is told to.
    #[must_use]
    pub const fn version_holes(self) -> Self {
        Self { version_holes: true, ..self }
    }

    /// An event id that is in the store is recognised whatever stream it is in.
    #[must_use]
    pub const fn ids_across_streams(self) -> Self {
        Self { ids_across_streams: true, ..self }
    }
}
