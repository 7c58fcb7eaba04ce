//! A hash map that grows in small steps.
//!
//! A hash map that is full moves all that it holds: with a million streams, one append would take a tenth of a second, and
//! everybody would wait for it. So there are many small ones.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use uuid::Uuid;

/// How many maps there are: with ten million entries, one that grows takes a few milliseconds.
const SHARDS: usize = 256;

/// What can be a key: it tells in which map it is.
pub(super) trait Sharding: Hash + Eq {
    /// Spread evenly, as far as keys are no one's choice.
    fn shard(&self) -> u8;
}

/// Many hash maps as one.
#[derive(Debug)]
pub(super) struct Sharded<K, V>(Vec<HashMap<K, V>>);

impl<K, V> Default for Sharded<K, V> {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| HashMap::new()).collect())
    }
}

impl<K: Sharding, V> Sharded<K, V> {
    pub(super) fn get<Q: Sharding>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.get(usize::from(key.shard()))?.get(key)
    }

    pub(super) fn get_mut<Q: Sharding>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.0.get_mut(usize::from(key.shard()))?.get_mut(key)
    }

    /// Puts a value, and gives what was there.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.get_mut(usize::from(key.shard()))?.insert(key, value)
    }

    /// The value of a key, which gets one if it has none.
    pub(super) fn get_or_default(&mut self, key: K) -> Option<&mut V>
    where
        V: Default,
    {
        Some(self.0.get_mut(usize::from(key.shard()))?.entry(key).or_default())
    }

    pub(super) fn remove<Q: Sharding>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.0.get_mut(usize::from(key.shard()))?.remove(key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.iter().flat_map(HashMap::keys)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.0.iter_mut().flat_map(HashMap::iter_mut)
    }
}

/// A byte that differs where the bytes do.
pub(super) fn spread(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |spread: u8, byte| spread.wrapping_mul(31).wrapping_add(*byte))
}

impl Sharding for Uuid {
    fn shard(&self) -> u8 {
        spread(self.as_bytes())
    }
}

impl<K: Sharding> Sharding for Arc<K> {
    fn shard(&self) -> u8 {
        (**self).shard()
    }
}

#[cfg(test)]
mod tests {
    use super::{SHARDS, Sharded, Sharding};
    use crate::stream_id::StreamId;

    #[derive(PartialEq, Eq, Hash)]
    struct Key(u8, usize);

    impl Sharding for Key {
        fn shard(&self) -> u8 {
            self.0
        }
    }

    #[test]
    fn no_map_that_grows_holds_more_than_its_share() {
        let (entries, mut map) = (100_000, Sharded::default());
        for number in 0..entries {
            let name = format!("invoices/{number}");
            let id = StreamId::from_name(&name).unwrap();
            map.insert(Key(super::spread(name.as_bytes()), number), ());
            map.insert(Key(super::spread(id.uuid().as_bytes()), entries + number), ());
        }
        let most = map.0.iter().map(std::collections::HashMap::len).max().unwrap();
        assert!(most < 4 * 2 * entries / SHARDS, "{most}");
        assert!(map.get(&Key(255, usize::MAX)).is_none());
    }
}
