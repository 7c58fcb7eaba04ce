//! Why a payload cannot be stored, or was not decoded.

/// Why a payload cannot be stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// It is a scalar or an array.
    #[error("it has to be a JSON object: give the type named fields")]
    NotAnObject,
    /// It holds NaN or an infinity, which JSON cannot hold.
    #[error("it holds a number that is not finite (NaN or an infinity), which JSON cannot hold")]
    NotFinite,
    /// It is nested too deeply to be read back.
    #[error("it is nested deeper than {deepest} levels")]
    TooDeep {
        /// The deepest nesting that can be stored.
        deepest: usize,
    },
    /// It holds something that this backend's database cannot hold.
    #[error("the database cannot hold it: {problem}")]
    NotStorable {
        /// What it is.
        problem: String,
    },
    /// The type's own serialisation failed.
    #[error("{0}")]
    Serialize(#[from] serde_json::Error),
}

/// Why a stored payload was not decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The type does not decode events of this name.
    #[error("the type does not decode events of this name")]
    UnknownName,
    /// The payload is not a JSON object.
    #[error("the payload is not a JSON object")]
    NotAnObject,
    /// The payload does not fit the type, or is not JSON.
    #[error("{0}")]
    Invalid(#[from] serde_json::Error),
}
