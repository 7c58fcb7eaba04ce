//! How a store is opened.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::{CreateStreamError, CreateStreamErrorKind};
use async_nats::jetstream::stream::{Config, Info};
use event_sourcery::backend::WaitingRoom;
use event_sourcery::{Error, Result};
use tokio::sync::watch;

use crate::answers::said;
use crate::backend::NatsBackend;
use crate::jet::Jet;
use crate::known::Memory;
use crate::store::Store;
use crate::subjects::Subjects;
use crate::waking::Waking;
use crate::{settings, syncing};

/// How many characters a store's name may have.
const LONGEST_NAME: usize = 32;

/// How it is known that the servers sync what they acknowledge.
#[derive(Clone)]
enum Syncing {
    Unknown,
    /// The caller has said so.
    Said,
    /// They are asked over this connection.
    Asked(Client),
}

/// How a store on JetStream is opened. Made by [`NatsBackend::options`]. `Debug` shows nothing of the connection.
#[derive(Clone)]
#[must_use = "nothing is opened before `open` is awaited"]
pub struct NatsOptions {
    context: Context,
    name: String,
    replicas: usize,
    patience: Duration,
    syncing: Syncing,
}

impl fmt::Debug for NatsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsOptions")
            .field("name", &self.name)
            .field("replicas", &self.replicas)
            .field("timeout", &self.patience)
            .finish_non_exhaustive()
    }
}

impl NatsOptions {
    pub(crate) fn new(context: Context, name: String) -> Self {
        let (replicas, patience) = (1, Duration::from_secs(10));
        Self { context, name, replicas, patience, syncing: Syncing::Unknown }
    }

    /// How many servers hold each message: 1, 3 or 5. One by default, which goes on when no machine dies. A store that has more
    /// already keeps them; one that has fewer is refused.
    pub fn replicas(self, replicas: usize) -> Self {
        Self { replicas, ..self }
    }

    /// How long an answer of the servers may take: 10 seconds by default. An append that was not answered by then may be stored:
    /// [`Error::OutcomeUnknown`].
    pub fn timeout(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Says that every server that holds the store, now and later, syncs each message before it acknowledges it: that it has
    /// `sync_interval: always` in the block `jetstream` of its configuration. Without it, a loss of power takes what was
    /// acknowledged within two minutes, or the whole store, on three servers too if they lose power together.
    ///
    /// Nobody can see whether it is true but over the [system account](Self::system_account).
    pub fn servers_sync_always(self) -> Self {
        Self { syncing: Syncing::Said, ..self }
    }

    /// A connection of the system account, over which the servers are asked whether they sync each message before they acknowledge it.
    /// It takes two seconds, once.
    pub fn system_account(self, system: Client) -> Self {
        Self { syncing: Syncing::Asked(system), ..self }
    }

    /// Opens the store, and makes it where there is none: two JetStream streams, `NAME` and `NAME-side`, that take the subjects below
    /// `NAME`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] for a name that is none, for the setting of a stream that breaks a promise, which it names, and for
    /// `servers_sync_always` where nobody knows that they do, or one does not. [`Error::Unavailable`] where the servers are away.
    pub async fn open(mut self) -> Result<NatsBackend> {
        self.check()?;
        self.context.set_timeout(self.patience);
        if matches!(self.syncing, Syncing::Unknown) {
            return Err(syncing::unknown());
        }
        let (subjects, side_name) = (Subjects::of(&self.name), format!("{}-side", self.name));
        let events = settings::wanted(self.name.clone(), subjects.of_events(), self.replicas, false);
        let side = settings::wanted(side_name.clone(), subjects.of_the_side(), self.replicas, true);
        let (events, side) = (self.stream(events).await?, self.stream(side).await?);
        if let Syncing::Asked(system) = &self.syncing {
            syncing::ask(system, events.cluster.as_ref()).await?;
            syncing::ask(system, side.cluster.as_ref()).await?;
        }
        let client = self.context.client();
        let limit = usize::try_from(events.config.max_message_size).ok().filter(|limit| *limit > 0);
        let max_message = limit.unwrap_or(usize::MAX).min(client.max_payload());
        let (committed, _) = watch::channel(events.state.last_sequence);
        let waking = Waking::start(&client, &subjects, committed.clone()).await?;
        let store = Store {
            subjects,
            events: Jet::new(self.context.clone(), self.name, self.patience),
            side: Jet::new(self.context, side_name, self.patience),
            is_replicated: events.config.num_replicas > 1 || side.config.num_replicas > 1,
            max_message,
            memory: Memory::default(),
            room: WaitingRoom::default(),
            committed,
            client,
        };
        Ok(NatsBackend::new(Arc::new(store), waking))
    }

    fn check(&self) -> Result<()> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let name = &self.name;
        if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(is_plain) {
            let problem = format!("{name:?} has to have 1 to {LONGEST_NAME} letters, digits, `_` and `-`");
            return Err(Error::InvalidOption { option: "name", problem });
        }
        if !matches!(self.replicas, 1 | 3 | 5) {
            let problem = format!("{}: 1, 3 and 5 can be had", self.replicas);
            return Err(Error::InvalidOption { option: "replicas", problem });
        }
        Ok(())
    }

    /// A stream as it is, made if there is none, and refused if one of its settings breaks a promise.
    async fn stream(&self, wanted: Config) -> Result<Info> {
        let stream = self.context.get_or_create_stream(wanted.clone()).await.map_err(not_made)?;
        let found = stream.cached_info().clone();
        settings::check(&found.config, &wanted)?;
        Ok(found)
    }
}

fn not_made(failure: CreateStreamError) -> Error {
    match failure.kind() {
        CreateStreamErrorKind::JetStream(answer) => said(answer),
        _ => Error::unavailable(failure),
    }
}
