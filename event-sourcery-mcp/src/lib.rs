//! Tools for assistants, by which they look inside an [`EventStore`], over the Model Context Protocol.
//!
//! ```no_run
//! use event_sourcery::{EventStore, MemoryBackend};
//! use event_sourcery_mcp::Tools;
//!
//! # async fn example() -> Result<(), event_sourcery_mcp::ServeError> {
//! let store = EventStore::new(MemoryBackend::new());
//! Tools::new(store.erased()).serve_stdio().await
//! # }
//! ```
//!
//! # What they tell
//!
//! The answers of [`look`](event_sourcery::look), in pages, as JSON: streams, a stream from its end back, an event, its causes and its
//! effects, the events of a correlation, a search, counts, subscriptions with what waits in them, the outbox, and who holds readers up.
//! What each costs, the guide page [*look inside*](event_sourcery::guide::look_inside) has in a table.
//!
//! A payload is text, every character as it is stored: its first 2,000 characters in a listing, 65,536 of an event that is asked for
//! by its id; and so is a context that is longer. What is encrypted shows as its mask, also where the store has the keys. A tenant's handle shows that tenant alone.
//!
//! What stands in events was written by others, and an assistant reads it. The server says to it that this is nothing to obey; that
//! is a word, and no wall. So the tools change nothing, unless [they are let](Tools::and_act).

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod acting;
mod asked;
mod failure;
mod looking;
mod server;
mod shown;
mod tool;

use std::fmt;

use event_sourcery::EventStore;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::server::Server;

/// Tools for an assistant: see the [crate].
pub struct Tools {
    store: EventStore,
    may_act: bool,
}

/// Why an assistant could not be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// It has gone away, or speaks something else.
    #[error("no conversation has begun: {problem}")]
    NotBegun {
        /// What went wrong.
        problem: String,
    },
    /// The conversation was broken off on this side.
    #[error("the conversation was broken off: {problem}")]
    BrokenOff {
        /// What went wrong.
        problem: String,
    },
}

impl Tools {
    /// Tools for what this handle sees. They change nothing.
    #[must_use]
    pub fn new(store: EventStore) -> Self {
        Self { store, may_act: false }
    }

    /// The same, with two more, which replay and skip a failed event.
    #[must_use]
    pub fn and_act(self) -> Self {
        Self { may_act: true, ..self }
    }

    /// Serves whoever has started this process, on its standard input and output, until they close them. Nothing else may be written
    /// to the standard output.
    ///
    /// # Errors
    ///
    /// As for [`serve`](Self::serve).
    pub async fn serve_stdio(self) -> Result<(), ServeError> {
        self.serve(tokio::io::stdin(), tokio::io::stdout()).await
    }

    /// Serves one assistant, who writes to this input and reads this output, a message of JSON a line, until the input ends. To end
    /// earlier, drop the future.
    ///
    /// # Errors
    ///
    /// [`ServeError::NotBegun`]. What a tool cannot answer is no error: the assistant is told.
    pub async fn serve(
        self,
        input: impl AsyncRead + Send + Unpin + 'static,
        output: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Result<(), ServeError> {
        let begun = rmcp::serve_server(Server(self), (input, output)).await;
        let serving = begun.map_err(|problem| ServeError::NotBegun { problem: problem.to_string() })?;
        let ended = serving.waiting().await;
        ended.map(drop).map_err(|problem| ServeError::BrokenOff { problem: problem.to_string() })
    }
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tools").field("may_act", &self.may_act).finish_non_exhaustive()
    }
}
