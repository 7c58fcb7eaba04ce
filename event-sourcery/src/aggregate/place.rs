//! Where a repository works: on a store, or inside a transaction.

use std::fmt;
use std::sync::Arc;

use super::turns::Turns;
use crate::backend::{Backend, BackendTransaction};
use crate::store::{EventStore, Scope};
use crate::within::{InTransaction, Joined, OnStore, Within};

/// Where a repository works: a store's handle, with its tenant and its context; `store.within(&mut tx)`, in a transaction of
/// the caller's; or the `tx` of a closure, in the transaction that it runs in.
pub trait Place<'a>: sealed::Sealed {
    /// How calls run there.
    type On;

    #[doc(hidden)]
    fn open(self) -> Opened<'a, Self::On>;
}

/// A place, taken apart.
#[doc(hidden)]
pub struct Opened<'a, On> {
    pub(super) on: On,
    pub(super) scope: &'a Scope,
    /// Where snapshots are written to; none from within a transaction, whose events may never be committed.
    pub(super) snapshots: Option<Arc<dyn Backend>>,
    /// Where commands take turns; nowhere within a transaction, which may hold what others wait for.
    pub(super) turns: Option<&'a Turns>,
}

impl<On> fmt::Debug for Opened<'_, On> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("scope", self.scope).finish_non_exhaustive()
    }
}

impl<'a, B: Backend> Place<'a> for &'a EventStore<B> {
    type On = OnStore<'a>;

    fn open(self) -> Opened<'a, OnStore<'a>> {
        let on = self.on_store();
        let (snapshots, turns) = (Some(self.shared_backend()), Some(self.turns()));
        Opened { on, scope: self.scope(), snapshots, turns }
    }
}

impl<'a> Place<'a> for Joined<'a> {
    type On = Self;

    fn open(self) -> Opened<'a, Self> {
        Opened { scope: self.scope, on: self, snapshots: None, turns: None }
    }
}

impl<'a, T: BackendTransaction> Place<'a> for &'a mut Within<'_, T> {
    type On = InTransaction<'a>;

    fn open(self) -> Opened<'a, InTransaction<'a>> {
        let (transaction, scope) = self.parts();
        let on = InTransaction::new(transaction, scope);
        Opened { on, scope, snapshots: None, turns: None }
    }
}

mod sealed {
    pub trait Sealed {}
    impl<B> Sealed for &super::EventStore<B> {}
    impl Sealed for super::Joined<'_> {}
    impl<T> Sealed for &mut super::Within<'_, T> {}
}
