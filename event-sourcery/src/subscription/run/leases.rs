//! The leases: asked for, renewed while a handler is at work, and given up.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::{Either, select};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use super::debts::Debts;
use super::due::Due;
use super::heard::Heard;
use super::session::{Held, Session};
use super::sizes::Sizes;
use super::turns::Turns;
use super::{MOST, OUTAGE, Plan, Runner};
use crate::backend::{
    Filter, Kept, Lease, Present, RenewRequest, Scope, Segments, SubscriptionChange, SubscriptionRecord,
};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::position::Position;
use crate::subscription::deletions::AsOf;
use crate::subscription::deliver::Deliver;
use crate::subscription::feed::Feed;
use crate::subscription::presence::{Last, Renewed};
use crate::telemetry::Observed;

/// How many segments a subscription has that was not told.
const SEGMENTS: u16 = 8;

/// How often leaving is tried again, which takes a few tenths of a second.
const LEAVING: u32 = 4;

impl<E: Event, D: Deliver<E>> Runner<'_, E, D> {
    /// See [`Presence::renew_at`](crate::subscription::presence::Presence::renew_at).
    pub(super) fn renew_at(&self, session: &Session) -> Instant {
        self.plan.renew_at(session.asked)
    }

    async fn ask(
        &self,
        reached: Vec<(Lease, Position)>,
        share: bool,
    ) -> Result<(SubscriptionRecord, Instant)> {
        let Plan { id, segments, .. } = &self.plan;
        let asked = Instant::now();
        let mut record = self.plan.renew(self.member, reached, share).await?;
        // Nobody gives segments away whose holder may be there: the store has to be told that he is not.
        if self.plan.misses_somebody() {
            record = self.plan.renew(self.member, Vec::new(), share).await?;
        }
        let record = record.ok_or_else(|| self.lost())?;
        let found = record.segments.len();
        if let Some(wanted) = segments.filter(|wanted| usize::from(*wanted) != found) {
            let problem = format!(
                "the subscription {:?} has {found} segments, and {wanted} were asked for: their count is fixed when it \
                 first runs; remove it to begin anew",
                id.name
            );
            return Err(Error::InvalidOption { option: "segments", problem });
        }
        Ok((record, asked))
    }

    /// Takes a share of the work, and finds out where it stands.
    pub(super) async fn join(&self, reached: Vec<(Lease, Position)>) -> Result<Session> {
        let mut reached = reached;
        loop {
            let (record, asked) = self.ask(std::mem::take(&mut reached), true).await?;
            if self.goes_together(&record).await? {
                return self.begin(&record, asked).await;
            }
            if self.stop.is_requested() {
                return Err(self.lost());
            }
        }
    }

    async fn begin(&self, record: &SubscriptionRecord, asked: Instant) -> Result<Session> {
        let held: BTreeMap<_, _> = record
            .leases_of(self.member)
            .map(|(lease, position)| (lease.segment, Held { lease, position }))
            .collect();
        let of = u16::try_from(record.segments.len()).unwrap_or(SEGMENTS);
        let segments = Segments::new(of, held.keys().copied());
        let kept = record.kept.clone().unwrap_or_else(|| self.plan.kept(self.plan.scope.clone()));
        let wanted = self.wanted(&kept);
        let filter = Filter { segments: (!segments.are_all()).then_some(segments), ..wanted.clone() };
        let told = held.values().map(|held| (held.lease, held.position)).collect();
        let from = held.values().map(|held| held.position).min().unwrap_or(Position::START);
        // After the leases were given: nobody else can block streams in these segments from here on.
        let blocked = self.while_leased(asked, self.blocked(segments)).await?.unwrap_or_default();
        Ok(Session {
            of,
            held,
            told,
            kept,
            wanted,
            asked,
            clock: self.clock(record),
            asks: false,
            blocked,
            held_back: HashSet::new(),
            look_at: asked,
            looked_in_vain: 0,
            due: Due::new(),
            turns: Turns::default(),
            debts: Debts::default(),
            feed: Feed::new(Arc::clone(&self.plan.backend), Arc::clone(&self.plan.tail), filter, from),
            at_end: false,
            pending: VecDeque::new(),
            as_of: AsOf::default(),
            sizes: Sizes::new(self.plan.batch.min(MOST)),
            together: Sizes::of_retries(self.plan.batch),
            failures: Arc::default(),
        })
    }

    /// What the subscription is run for. It is about the same streams as this member, which may know fewer names.
    fn wanted(&self, kept: &Kept) -> Filter {
        if *kept.scope() == self.plan.scope { self.plan.filter.clone() } else { kept.scope().filter() }
    }

    /// The store's clock when the leases were given.
    fn clock(&self, record: &SubscriptionRecord) -> Timestamp {
        let until = record.members.iter().find(|member| member.id == self.member).map(|member| member.until);
        let lease = SignedDuration::try_from(self.plan.lease).unwrap_or(SignedDuration::MAX);
        until.and_then(|until| until.checked_sub(lease).ok()).unwrap_or_else(Timestamp::now)
    }

    /// Renews the leases, gives up or takes on segments, and begins anew with others.
    pub(super) async fn renew(&self, mut session: Session) -> Result<Session> {
        if !std::mem::take(&mut session.asks)
            && session.has_nothing_to_tell()
            && self.plan.stands_in().is_none()
            && let Some(renewed) = self.plan.show(self.member).await
        {
            (session.asked, session.clock) = (renewed.began, renewed.clock);
            return Ok(session);
        }
        let reached = session.reached();
        let (record, asked) = self.ask(reached.clone(), true).await?;
        let same = record.leases_of(self.member).map(|(lease, _)| lease);
        let is_same = same.eq(session.held.values().map(|held| held.lease));
        // The scope changes with all tokens.
        if (!is_same || self.plan.stands_in().is_some()) && !self.goes_together(&record).await? {
            return self.join(Vec::new()).await;
        }
        if is_same {
            (session.asked, session.clock, session.told) = (asked, self.clock(&record), reached);
            return Ok(session);
        }
        self.begin(&record, asked).await
    }

    /// Tells which segments it has taken, and which it has no more, since that was told last.
    pub(super) fn tell_of_leases(&mut self, session: &Session) {
        let leases: Vec<Lease> = session.held.values().map(|held| held.lease).collect();
        let not_in = |others: &[Lease], of: &[Lease]| of.iter().filter(|one| !others.contains(one)).count();
        let (taken, given_up) = (not_in(&self.leases, &leases), not_in(&leases, &self.leases));
        if taken + given_up > 0 {
            self.plan.observing.tell(&Observed::Leases { subscription: &self.plan.id, taken, given_up });
            self.leases = leases;
        }
    }

    /// Saves the checkpoints and lets others take over. A connection from before an outage may be the first that is used for
    /// long: it is tried again a few times, and takes effect once.
    pub(super) async fn leave(&self, reached: Vec<(Lease, Position)>) -> Result<()> {
        let change = SubscriptionChange::Leave { member: self.member, reached };
        let mut failures = 0;
        loop {
            let left = self.plan.change(change.clone()).await;
            match left {
                Err(error) if self.passes(&error) && failures < LEAVING => {
                    failures += 1;
                    sleep(OUTAGE.pause_without_end(failures)).await;
                }
                left => return left.map(drop),
            }
        }
    }

    /// Reads something, however long it takes: the leases are kept meanwhile. `None` where it is to stop.
    pub(super) async fn while_leased<T>(
        &self,
        asked: Instant,
        reading: impl Future<Output = Result<T>>,
    ) -> Result<Option<T>> {
        let asked = Mutex::new(asked);
        let leased = async {
            match select(pin!(reading), pin!(self.plan.keep_leases(self.member, &asked))).await {
                Either::Left((read, _)) => read,
                Either::Right((never, _)) => match never {},
            }
        };
        self.stop.or(leased).await.transpose()
    }

    pub(super) fn lost(&self) -> Error {
        Error::LeaseLost { subscription: self.plan.id.name.to_string() }
    }
}

impl Plan {
    /// What the subscription keeps if it is new.
    fn kept(&self, scope: Scope) -> Kept {
        let Present { position, above } = self.begins();
        Kept::new(scope, position, above)
    }

    /// What this member is run for until it can be run for what it asks for.
    pub(super) fn stands_in(&self) -> Option<Scope> {
        self.stands_in.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn stand_in(&self, scope: Option<Scope>) {
        *self.stands_in.lock().unwrap_or_else(PoisonError::into_inner) = scope;
    }

    pub(super) async fn is_there(&self) -> Result<bool> {
        Ok(self.backend.subscription(self.id.clone()).await?.is_some())
    }

    /// Where the subscription begins if it is new.
    fn begins(&self) -> Present {
        self.begins.clone().unwrap_or(Present { position: Position::START, above: Vec::new() })
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Heard> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody who was found last is gone by now.
    fn misses_somebody(&self) -> bool {
        let (_, gone) = self.seen().verdict(Instant::now());
        !gone.is_empty()
    }

    /// Shows that a member is still there, and asks for its share, or for what it has.
    async fn renew(
        &self,
        member: Uuid,
        reached: Vec<(Lease, Position)>,
        share: bool,
    ) -> Result<Option<SubscriptionRecord>> {
        let create = (self.segments.unwrap_or(SEGMENTS), self.begins().position);
        let kept = self.kept(self.stands_in().unwrap_or_else(|| self.scope.clone()));
        let request = RenewRequest::new(member, create, kept, self.lease);
        let (heard, unheard) = self.seen().verdict(Instant::now());
        for gone in &unheard {
            let subscription = &*self.id.name;
            tracing::info!(subscription, member = %gone.id, "a member is gone, without having left: its leases end");
        }
        let last = Last { id: self.id.clone(), asked: Instant::now(), lease: self.lease };
        let presence = self.tail.presence().speaks_for(&*self.backend, member, last);
        let request = RenewRequest { reached, share, heard, unheard, presence, ..request };
        let record = self.change(SubscriptionChange::Renew(request)).await?;
        let members = record.as_ref().map(|record| record.members.as_slice()).unwrap_or_default();
        let own = members.iter().find(|other| other.id == member);
        let is_vouched_for = own.is_some_and(|own| own.vouched_for_by() == presence && presence.is_some());
        self.tail.presence().vouches_for(member, is_vouched_for);
        self.seen().note(members, member, Instant::now());
        Ok(record)
    }

    /// Shows that a member is still there, whose presence vouches for it, and which has nothing else to ask for. The renewal that it counts
    /// from; `None` where it has to ask for itself: something of the subscription may be different, or somebody may be gone.
    pub(super) async fn show(&self, member: Uuid) -> Option<Arc<Renewed>> {
        let renewed = self.tail.presence().show(&self.backend, member).await?;
        let are_vouched_for = self.seen().note_presences(&renewed.presences, renewed.told);
        (are_vouched_for && !self.misses_somebody()).then_some(renewed)
    }

    pub(super) fn renew_at(&self, asked: Instant) -> Instant {
        self.tail.presence().renew_at(asked, self.lease)
    }

    /// Changes the subscription, together with others of this process.
    async fn change(&self, change: SubscriptionChange) -> Result<Option<SubscriptionRecord>> {
        self.tail.presence().change(&self.backend, &self.id, change).await
    }

    /// Keeps what is held, and takes nothing on, as long as a handler, or a read, is at work.
    pub(super) async fn keep_leases(&self, member: Uuid, asked: &Mutex<Instant>) -> Infallible {
        let at = || *asked.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            sleep_until(self.renew_at(at())).await;
            let now = Instant::now();
            let shown = self.show(member).await;
            if shown.is_none()
                && let Err(error) = self.renew(member, Vec::new(), false).await
            {
                tracing::warn!(
                    subscription = &*self.id.name,
                    error = error.in_full(),
                    "leases could not be renewed"
                );
            }
            let began = shown.map_or(now, |renewed| renewed.began);
            *asked.lock().unwrap_or_else(PoisonError::into_inner) = began;
        }
    }
}
