//! Keys that were unwrapped, for a while.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;
use uuid::Uuid;

use super::keys::DataKey;
use crate::stream_id::TenantId;

/// So many keys at most.
const MOST: usize = 10_000;

/// What is known of a subject's key.
#[derive(Clone)]
pub(super) enum Held {
    Key(Uuid, Arc<DataKey>),
    /// It was shredded. So it stays.
    Shredded,
    /// The subject was never given one.
    NeverGiven,
    /// It is there, and cannot be unwrapped.
    Wrapped {
        by: Arc<str>,
        problem: Box<str>,
    },
}

/// What is known of the keys of a tenant's subjects.
pub(super) type HeldKeys = BTreeMap<Arc<str>, Held>;

/// The keys that were used of late. Nothing of it can be shown.
pub(super) struct Cache {
    lives: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    keys: HashMap<(TenantId, Arc<str>), (Held, Instant)>,
    shreddings: Shreddings,
    /// Whose keys were shredded in a transaction that may not be over yet.
    doubted: HashSet<(TenantId, Arc<str>)>,
    /// Whether a task lets go of what is too old.
    is_swept: bool,
}

/// How often something was shredded here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shreddings(u64);

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("lives", &self.lives).finish_non_exhaustive()
    }
}

impl Cache {
    /// A cache of keys that each live so long.
    pub(super) fn new(lives: Duration) -> Self {
        Self { lives, state: Arc::default() }
    }

    /// What is known of these subjects, of which others nothing is known, and as of when.
    pub(super) fn find(
        &self,
        tenant: &TenantId,
        subjects: BTreeSet<Arc<str>>,
    ) -> (HeldKeys, Vec<Arc<str>>, Shreddings) {
        let (now, state) = (Instant::now(), self.state());
        let (mut held, mut unknown) = (HeldKeys::new(), Vec::new());
        for subject in subjects {
            let key = (tenant.clone(), subject);
            match state.keys.get(&key) {
                Some((found, until)) if *until > now => drop(held.insert(key.1, found.clone())),
                _ => unknown.push(key.1),
            }
        }
        (held, unknown, state.shreddings)
    }

    /// Keeps what was found out, unless something was shredded since it was asked for: then it may be what was shredded.
    pub(super) fn keep(&self, tenant: &TenantId, subject: &Arc<str>, held: &Held, since: Shreddings) {
        let (mut state, key) = (self.state(), (tenant.clone(), Arc::clone(subject)));
        let lasts = match held {
            Held::Key(..) => !state.doubted.contains(&key),
            Held::Shredded => {
                state.doubted.remove(&key);
                true
            }
            Held::NeverGiven | Held::Wrapped { .. } => false,
        };
        if lasts && state.shreddings == since && !self.lives.is_zero() {
            state.make_room();
            state.keys.insert(key, (held.clone(), Instant::now() + self.lives));
            if !std::mem::replace(&mut state.is_swept, true) {
                drop(state);
                self.have_swept();
            }
        }
    }

    /// Sees to it that no key stays in memory that is too old to be used, though nobody calls any more. Outside of a runtime it stays
    /// until it is asked for again, or its room is needed.
    fn have_swept(&self) {
        let sweeper = Sweeper(Arc::downgrade(&self.state));
        if let Ok(runtime) = Handle::try_current() {
            drop(runtime.spawn(sweeper.sweep(self.lives)));
        }
    }

    /// Forgets a key, and keeps those from being kept that were asked for before.
    pub(super) fn forget(&self, tenant: &TenantId, subject: &str) {
        self.state().forget(&(tenant.clone(), Arc::from(subject)));
    }

    /// Forgets a key that is shredded in a transaction, and keeps it no more until it is seen to be gone: nobody tells when the
    /// transaction is over, nor how. Of more than there is room for, it is not known any more.
    pub(super) fn doubt(&self, tenant: &TenantId, subject: &str) {
        let (mut state, key) = (self.state(), (tenant.clone(), Arc::from(subject)));
        state.forget(&key);
        if state.doubted.len() >= MOST {
            state.doubted.clear();
        }
        state.doubted.insert(key);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What lets go of keys that are too old, as long as there are any. Where its runtime ends before, or never was, it says so: nobody
/// does, and the next one may.
struct Sweeper(Weak<Mutex<State>>);

impl Sweeper {
    async fn sweep(self, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            let Some(state) = self.0.upgrade() else { return };
            let mut state = lock(&state);
            state.let_go();
            if state.keys.is_empty() {
                return;
            }
        }
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        if let Some(state) = self.0.upgrade() {
            let mut state = lock(&state);
            state.is_swept = false;
        }
    }
}

impl State {
    fn forget(&mut self, key: &(TenantId, Arc<str>)) {
        self.shreddings.0 += 1;
        self.keys.remove(key);
    }

    /// Lets go of what is too old; where nothing is, of everything.
    fn make_room(&mut self) {
        if self.keys.len() < MOST {
            return;
        }
        self.let_go();
        if self.keys.len() >= MOST {
            self.keys.clear();
        }
    }

    fn let_go(&mut self) {
        let now = Instant::now();
        self.keys.retain(|_, (_, until)| *until > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Held {
        Held::Key(Uuid::now_v7(), Arc::new(DataKey::random().unwrap()))
    }

    fn is_kept(cache: &Cache, tenant: &TenantId, subject: &str) -> bool {
        !cache.find(tenant, BTreeSet::from([Arc::from(subject)])).0.is_empty()
    }

    fn keep(cache: &Cache, tenant: &TenantId, subject: &str) {
        let since = cache.find(tenant, BTreeSet::new()).2;
        cache.keep(tenant, &Arc::from(subject), &key(), since);
    }

    #[test]
    fn a_key_lives_as_long_as_it_was_said_and_in_its_tenant() {
        let (cache, acme) = (Cache::new(Duration::from_secs(60)), TenantId::new("acme").unwrap());
        keep(&cache, &acme, "17");
        assert!(is_kept(&cache, &acme, "17"));
        assert!(!is_kept(&cache, &TenantId::DEFAULT, "17"));
        let cache = Cache::new(Duration::ZERO);
        keep(&cache, &acme, "17");
        assert!(!is_kept(&cache, &acme, "17"));
    }

    #[test]
    fn what_was_asked_for_before_a_shredding_is_not_kept_after_it() {
        let (cache, subject) = (Cache::new(Duration::from_secs(60)), Arc::from("17"));
        let since = cache.find(&TenantId::DEFAULT, BTreeSet::new()).2;
        cache.forget(&TenantId::DEFAULT, "17");
        cache.keep(&TenantId::DEFAULT, &subject, &key(), since);
        assert!(!is_kept(&cache, &TenantId::DEFAULT, "17"));
    }

    #[test]
    fn what_is_shredded_in_a_transaction_is_not_kept_until_it_is_seen_to_be_gone() {
        let (cache, subject) = (Cache::new(Duration::from_secs(60)), Arc::from("17"));
        keep(&cache, &TenantId::DEFAULT, "17");
        cache.doubt(&TenantId::DEFAULT, "17");
        keep(&cache, &TenantId::DEFAULT, "17");
        assert!(!is_kept(&cache, &TenantId::DEFAULT, "17"), "the transaction may be committed by now");
        keep(&cache, &TenantId::DEFAULT, "18");
        assert!(is_kept(&cache, &TenantId::DEFAULT, "18"));
        let since = cache.find(&TenantId::DEFAULT, BTreeSet::new()).2;
        cache.keep(&TenantId::DEFAULT, &subject, &Held::Shredded, since);
        assert!(is_kept(&cache, &TenantId::DEFAULT, "17") && cache.state().doubted.is_empty());
    }

    #[test]
    fn there_are_never_more_than_so_many() {
        let cache = Cache::new(Duration::from_secs(60));
        (0..=MOST).for_each(|number| keep(&cache, &TenantId::DEFAULT, &number.to_string()));
        assert!(cache.state().keys.len() <= MOST);
        assert!(is_kept(&cache, &TenantId::DEFAULT, &MOST.to_string()));
    }

    #[tokio::test]
    async fn a_key_that_is_too_old_does_not_stay_though_nobody_asks() {
        let cache = Cache::new(Duration::from_millis(5));
        for round in 0..2 {
            keep(&cache, &TenantId::DEFAULT, "17");
            assert_eq!(cache.state().keys.len(), 1, "{round}");
            let until_gone = async {
                while cache.state().is_swept || !cache.state().keys.is_empty() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(30), until_gone).await.expect("it goes");
        }
    }
}
