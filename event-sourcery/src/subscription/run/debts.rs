//! Tenants whose fresh events fail, and the time that others waited for it.
//!
//! That a first attempt fails cannot be known before. But a tenant whose first attempts have just taken time in vain lets the
//! events of others have as much of it, before more of its streams come first. Meanwhile they are held back: they get their
//! first attempt among the streams that are tried again, which have their own share of the time.

use std::collections::HashMap;
use std::time::Duration;

use super::turns::SLACK;
use crate::stream_id::TenantId;

/// What tenants owe the others.
#[derive(Debug, Default)]
pub(super) struct Debts {
    owed: HashMap<TenantId, Duration>,
    /// What batches that failed took, until one of their events is found to be to blame.
    nobodys: Duration,
    /// Whose event was read first.
    first: Option<TenantId>,
    /// Whether there are others: who is alone owes nobody.
    are_several: bool,
}

impl Debts {
    /// Notes whose events there are.
    pub(super) fn read<'t>(&mut self, tenants: impl IntoIterator<Item = &'t TenantId>) {
        if self.are_several {
            return;
        }
        for tenant in tenants {
            let first = self.first.get_or_insert_with(|| tenant.clone());
            self.are_several |= tenant != first;
        }
    }

    /// A batch took so long, and failed.
    pub(super) fn failed_together(&mut self, took: Duration) {
        self.nobodys = self.nobodys.saturating_add(took);
    }

    /// What has failed together went well in parts.
    pub(super) fn nobody_has_failed(&mut self) {
        self.nobodys = Duration::ZERO;
    }

    /// A first attempt took so long, and failed.
    pub(super) fn failed(&mut self, tenant: &TenantId, took: Duration) {
        let took = took.saturating_add(std::mem::take(&mut self.nobodys));
        let owed = self.owed.entry(tenant.clone()).or_default();
        *owed = owed.saturating_add(took).min(SLACK.saturating_add(took));
    }

    /// Fresh events were handled for so long.
    pub(super) fn pay(&mut self, time: Duration) {
        self.owed.retain(|_, owed| {
            *owed = owed.saturating_sub(time);
            !owed.is_zero()
        });
    }

    /// Nobody waits.
    pub(super) fn nothing_is_fresh(&mut self) {
        self.owed.clear();
        self.nobodys = Duration::ZERO;
    }

    /// Whether a tenant owes more than the slack.
    pub(super) fn are_owed_by(&self, tenant: &TenantId) -> bool {
        self.are_several && self.owed.get(tenant).is_some_and(|owed| *owed > SLACK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn tenants() -> [TenantId; 2] {
        ["acme", "globex"].map(|name| TenantId::new(name).unwrap())
    }

    #[test]
    fn a_tenant_owes_what_its_failures_took_until_others_have_had_as_much() {
        let ([acme, globex], mut debts) = (tenants(), Debts::default());
        debts.read([&acme, &globex]);
        debts.failed(&acme, SLACK);
        assert!(!debts.are_owed_by(&acme));
        for _ in 0..100 {
            debts.failed(&acme, SECOND);
        }
        assert!(debts.are_owed_by(&acme) && !debts.are_owed_by(&globex));
        debts.pay(SECOND);
        assert!(!debts.are_owed_by(&acme), "what it owes does not pile up");
        debts.failed(&globex, Duration::MAX);
        assert!(debts.are_owed_by(&globex));
        debts.pay(SECOND);
        assert_eq!(debts.owed.len(), 1, "what was paid back is forgotten");
        debts.nothing_is_fresh();
        assert!(!debts.are_owed_by(&globex));
    }

    #[test]
    fn what_a_batch_took_is_owed_by_whose_event_has_failed_in_it() {
        let ([acme, globex], mut debts) = (tenants(), Debts::default());
        debts.read([&acme, &globex]);
        debts.failed_together(SLACK);
        debts.failed(&acme, SLACK);
        debts.failed(&globex, SLACK);
        assert!(debts.are_owed_by(&acme) && !debts.are_owed_by(&globex));
        debts.failed_together(SECOND);
        debts.nobody_has_failed();
        debts.failed(&globex, Duration::ZERO);
        assert!(!debts.are_owed_by(&globex), "in parts all went well");
    }

    #[test]
    fn who_is_alone_owes_nobody() {
        let ([acme, globex], mut debts) = (tenants(), Debts::default());
        debts.failed(&acme, SECOND);
        debts.read([&acme, &acme]);
        assert!(!debts.are_owed_by(&acme));
        debts.read([&globex]);
        assert!(debts.are_owed_by(&acme));
    }
}
