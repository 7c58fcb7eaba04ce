//! What a stream acknowledges and may lose.

use std::fmt;

use async_nats::jetstream::stream::{Config, PersistenceMode, StorageType};

/// What can become of messages that JetStream has acknowledged, as far as its stream shows.
///
/// A server with the default settings syncs its files every two minutes. What it acknowledges survives its process, and not a
/// loss of power; where all servers of a stream lose power together, not even the stream does. `sync_interval: always` in the
/// configuration of each server cures it, and cannot be seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Weakness {
    /// The stream is kept in memory: messages go with the server's process.
    InMemory,
    /// The stream acknowledges before it writes (`persist_mode: async`), whatever the servers' settings are.
    AcknowledgesFirst,
    /// The stream has one replica: unless its server syncs always, what was acknowledged in the last two minutes goes with the
    /// power.
    OneReplica,
    /// The stream has several replicas: unless their servers sync always, the same, where they lose power together.
    SeveralReplicas,
}

impl Weakness {
    pub(crate) fn of(stream: &Config) -> Vec<Self> {
        if matches!(stream.storage, StorageType::Memory) {
            return vec![Self::InMemory];
        }
        let mut weaknesses = Vec::new();
        if matches!(stream.persist_mode, Some(PersistenceMode::Async)) {
            weaknesses.push(Self::AcknowledgesFirst);
        }
        weaknesses.push(if stream.num_replicas > 1 { Self::SeveralReplicas } else { Self::OneReplica });
        weaknesses
    }

    /// Whether the stream itself is set up so, whatever its servers' settings are.
    #[must_use]
    pub const fn is_certain(self) -> bool {
        matches!(self, Self::InMemory | Self::AcknowledgesFirst)
    }
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InMemory => "the stream is kept in memory: what it acknowledges goes with the server's process",
            Self::AcknowledgesFirst => "the stream acknowledges before it writes (persist_mode: async)",
            Self::OneReplica => {
                "the stream has one replica: unless its server has `sync_interval: always`, a loss of power takes what was \
                 acknowledged within the last two minutes, or all of it"
            }
            Self::SeveralReplicas => {
                "unless its servers have `sync_interval: always`, a loss of power of all of them takes what was acknowledged \
                 within the last two minutes, or all of it"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_has_its_weakness() {
        let on_disk = Config { storage: StorageType::File, num_replicas: 1, ..Config::default() };
        assert_eq!(Weakness::of(&on_disk), [Weakness::OneReplica]);
        let replicated = Config { num_replicas: 3, ..on_disk.clone() };
        assert_eq!(Weakness::of(&replicated), [Weakness::SeveralReplicas]);
        let later = Config { persist_mode: Some(PersistenceMode::Async), ..on_disk.clone() };
        assert_eq!(Weakness::of(&later), [Weakness::AcknowledgesFirst, Weakness::OneReplica]);
        let in_memory = Config { storage: StorageType::Memory, ..on_disk };
        assert_eq!(Weakness::of(&in_memory), [Weakness::InMemory]);
    }
}
