//! Why OpenBao has not done what it was asked for.

use std::time::Duration;

use event_sourcery::{Error, Source};

/// Why OpenBao has not done what it was asked for: the source of the [`Error`] that a call ends with.
///
/// What passes is in an [`Error::Unavailable`], which is [retryable](Error::is_retryable); the rest is in an [`Error::Backend`]. No
/// token and no key is in any of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenBaoError {
    /// There is no connection, or it broke. It passes.
    #[error(
        "OpenBao cannot be reached: see that it runs, and that its address and its certificate are right"
    )]
    Unreachable {
        /// What the client says.
        source: Source,
    },
    /// There was no answer in time. It passes.
    #[error("OpenBao has not answered within {waited:?}")]
    TimedOut {
        /// How long it was waited for.
        waited: Duration,
    },
    /// It is sealed. It passes.
    #[error("OpenBao is sealed: unseal it")]
    Sealed,
    /// It cannot answer for now, or has too much to do, or what stands before it says so. It passes.
    #[error("OpenBao, or what stands before it, cannot answer for now: its status is {status}")]
    Away {
        /// The status.
        status: u16,
    },
    /// What was to give the token has failed.
    #[error("the token for OpenBao could not be had")]
    NoToken {
        /// What it says.
        source: Source,
    },
    /// The token is not valid any more, or its policy lacks this.
    #[error(
        "OpenBao does not let this token use {path:?}: see that it is still valid, and that its policy has \
         `{capability}` for this path"
    )]
    Denied {
        /// The path.
        path: String,
        /// What the token's policy needs for it.
        capability: &'static str,
    },
    /// There is nothing at this path. It says nothing about any key.
    #[error("OpenBao has nothing at {path:?}: mind the path at which the transit engine is mounted")]
    WrongRoute {
        /// The path.
        path: String,
    },
    /// It leads elsewhere.
    #[error(
        "OpenBao redirects, and redirects are not followed, as the token would go along: give the address that it leads to"
    )]
    Redirected,
    /// The transit key is not there. Whether there ever was one, OpenBao does not tell.
    #[error(
        "there is no transit key {key:?}: if it is a new one, make it (`bao write -f {mount}/keys/{key}`); if it was erased, what it \
         has wrapped can be read by nobody"
    )]
    KeyNotFound {
        /// Where the engine is mounted.
        mount: String,
        /// The key's name.
        key: String,
    },
    /// The transit key was there when it was opened, and was erased since.
    #[error("the transit key {key:?} was erased: what it has wrapped can be read by nobody")]
    KeyErased {
        /// The key's name.
        key: String,
    },
    /// The transit key was erased since it was opened, and another one was made by its name.
    #[error(
        "the transit key {key:?} was erased, and another one was made by this name: what the former has wrapped can be read by nobody"
    )]
    KeyReplaced {
        /// The key's name.
        key: String,
    },
    /// The transit key has a setting with which what was shredded could come back, or everything be lost.
    #[error("the transit key {key:?} is refused: {problem}")]
    KeyRefused {
        /// The key's name.
        key: String,
        /// What is wrong with it, and what there is to do.
        problem: &'static str,
    },
    /// Whoever encrypts after the transit key was erased would make another one by its name.
    #[error(
        "the transit key {key:?} would be made anew by whoever encrypts after it was erased: switch that off \
         (`bao write {mount}/config/keys disable_upsert=true`), or take `create` for {mount}/encrypt/{key} from the token's policy; \
         and let the token read one of the two (`update` for sys/capabilities-self, `read` for {mount}/config/keys)"
    )]
    WouldBeMadeAnew {
        /// Where the engine is mounted.
        mount: String,
        /// The key's name.
        key: String,
    },
    /// Any other answer.
    #[error("OpenBao refuses this, with the status {status}: {said}")]
    Refused {
        /// The status.
        status: u16,
        /// Its words, cut to 200 characters.
        said: String,
    },
    /// It is no answer of OpenBao's, or one that does not fit the question.
    #[error("what has answered does not answer as OpenBao does: mind its address")]
    Garbled,
}

/// How many characters of OpenBao's words are passed on.
const QUOTED: usize = 200;

impl OpenBaoError {
    /// Any other answer, in these words.
    pub(crate) fn refused(status: u16, said: &str) -> Self {
        Self::Refused { status, said: said.chars().take(QUOTED).collect() }
    }

    /// The same in these words, where it has words.
    pub(crate) fn saying(self, said: &str) -> Self {
        if let Self::Refused { status, .. } = self { Self::refused(status, said) } else { self }
    }

    /// Whether the same call may succeed later, without anybody changing a setting.
    pub(crate) fn passes(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Sealed | Self::Away { .. })
    }
}

impl From<OpenBaoError> for Error {
    fn from(problem: OpenBaoError) -> Self {
        if problem.passes() { Self::unavailable(problem) } else { Self::backend("openbao", problem) }
    }
}
