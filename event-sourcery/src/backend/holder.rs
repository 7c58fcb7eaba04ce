//! Who holds up the settled position.

use std::fmt;
use std::time::Duration;

/// An open transaction that may still commit events below others that are committed. Readers wait for it.
///
/// What the role of the store may not see of other roles' connections is `None`: on PostgreSQL, grant it `pg_read_all_stats`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The server process, for `pg_terminate_backend`. A prepared transaction has none.
    pub pid: Option<i32>,
    /// The name of a prepared transaction, for `ROLLBACK PREPARED`.
    pub prepared: Option<String>,
    /// What the client calls itself.
    pub application_name: Option<String>,
    /// The client's address; `None` for a socket of the server's machine.
    pub client_address: Option<String>,
    /// For how long the transaction is open.
    pub open_for: Option<Duration>,
    /// The state of its connection, such as `idle in transaction`.
    pub state: Option<String>,
}

impl Holder {
    /// The transaction of this process, or the prepared one of this name.
    #[must_use]
    pub const fn new(pid: Option<i32>, prepared: Option<String>) -> Self {
        let (application_name, client_address, open_for, state) = (None, None, None, None);
        Self { pid, prepared, application_name, client_address, open_for, state }
    }

    /// The same, of a client that calls itself so, at this address.
    #[must_use]
    pub fn with_client(self, application_name: Option<String>, client_address: Option<String>) -> Self {
        Self { application_name, client_address, ..self }
    }

    /// The same, open for so long, on a connection in this state.
    #[must_use]
    pub fn with_state(self, open_for: Option<Duration>, state: Option<String>) -> Self {
        Self { open_for, state, ..self }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.pid, &self.prepared) {
            (Some(pid), _) => write!(f, "process {pid}")?,
            (None, Some(name)) => write!(f, "prepared transaction {name:?}")?,
            (None, None) => f.write_str("a prepared transaction")?,
        }
        let known =
            [("application", &self.application_name), ("at", &self.client_address), ("state", &self.state)];
        for (what, known) in known {
            if let Some(known) = known {
                write!(f, ", {what} {known:?}")?;
            }
        }
        match self.open_for {
            Some(open_for) => write!(f, ", open for {open_for:.1?}"),
            None => Ok(()),
        }
    }
}
