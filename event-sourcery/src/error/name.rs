//! Why a name is refused.

/// What a refused name was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameKind {
    /// A stream's name.
    StreamName,
    /// A category.
    Category,
    /// A tenant.
    Tenant,
    /// An event's stored name.
    EventName,
    /// A durable subscription's name.
    Subscription,
    /// A projector's name.
    Projector,
    /// A data subject.
    Subject,
    /// A tag: its name and its value.
    Tag,
}

impl std::fmt::Display for NameKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::StreamName => "the stream name",
            Self::Category => "the category",
            Self::Tenant => "the tenant",
            Self::EventName => "the event name",
            Self::Subscription => "the subscription's name",
            Self::Projector => "the projector's name",
            Self::Subject => "the data subject",
            Self::Tag => "the tag",
        })
    }
}

/// Which limit a name breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameProblem {
    /// It has no characters.
    #[error("it is empty")]
    Empty,
    /// It has too many characters.
    #[error("it has {actual} characters, and {allowed} are allowed")]
    TooManyCharacters {
        /// The characters it has.
        actual: usize,
        /// The characters it may have.
        allowed: usize,
    },
    /// It has too many bytes in UTF-8.
    #[error("it has {actual} bytes in UTF-8, and {allowed} are allowed")]
    TooManyBytes {
        /// The bytes it has.
        actual: usize,
        /// The bytes it may have.
        allowed: usize,
    },
    /// It holds the character NUL, which PostgreSQL cannot store.
    #[error("it holds a NUL character")]
    Nul,
    /// The name of a tag holds a colon.
    #[error("it holds a colon, which stands between a tag's name and its value")]
    Colon,
}
