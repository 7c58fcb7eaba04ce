//! Clauses 8.1 and 8.3: which events a subscription hands over, and how it says that there are no more.

use std::time::Duration;

use event_sourcery::backend::{AppendRequest, Backend as _, Expectation, Filter, StreamAppend};
use event_sourcery::{
    Error, Event, EventStore, Next, Position, RawEvent, Recorded, StreamId, Subscription, TenantId,
};
use tokio::time::timeout;

use super::ledger::{Ledgers as _, Noted, category, ledger, noted, notes, record, tenant};
use super::running::{Handled, Running, SOON, Settings, letters};
use super::subject::Subject;

/// Long enough for something to come that should not.
const A_MOMENT: Duration = Duration::from_millis(20);

/// What a subscription hands over while somebody has patience.
pub(super) trait InTime<E> {
    async fn next_in_time(&mut self) -> Next<E>;

    async fn next_event(&mut self) -> Recorded<E>;

    /// What comes until it has caught up, and where that was.
    async fn until_caught_up(&mut self) -> (Vec<Recorded<E>>, Position);

    async fn has_nothing(&mut self);
}

impl<E: Event> InTime<E> for Subscription<E> {
    async fn next_in_time(&mut self) -> Next<E> {
        let next = timeout(SOON, self.try_next()).await.expect("a subscription goes on in time");
        next.unwrap().expect("a subscription does not end")
    }

    async fn next_event(&mut self) -> Recorded<E> {
        match self.next_in_time().await {
            Next::Event(recorded) => recorded,
            Next::CaughtUp(position) => {
                panic!("it is caught up at {position}, before the event that is there")
            }
        }
    }

    async fn until_caught_up(&mut self) -> (Vec<Recorded<E>>, Position) {
        let mut events = Vec::new();
        loop {
            match self.next_in_time().await {
                Next::Event(recorded) => events.push(recorded),
                Next::CaughtUp(position) => return (events, position),
            }
        }
    }

    async fn has_nothing(&mut self) {
        let next = timeout(A_MOMENT, self.try_next()).await;
        assert!(next.is_err(), "there is nothing more, and something came");
    }
}

pub(super) fn numbers(events: &[Recorded<Noted>]) -> Vec<u64> {
    events.iter().map(|recorded| recorded.wrapped_event.event.number).collect()
}

fn other_event(name: &'static str) -> RawEvent {
    RawEvent::new(name, r#"{"number":0}"#).unwrap()
}

/// Events of two names and a third, in two categories and none, of a tenant and of none.
async fn mixed(store: &EventStore, round: u64) {
    for tenant_id in [TenantId::DEFAULT, tenant("acme")] {
        let handle = store.for_tenant(tenant_id);
        for stream in
            [ledger("1"), ledger("1").in_category("red").unwrap(), ledger("2").in_category("blue").unwrap()]
        {
            let events =
                (noted(round), other_event("crossed out"), noted(round + 1), other_event("torn out"));
            let appended = handle.append(&stream, events).no_versioning().await.unwrap();
            store.settled(appended.position).await;
        }
    }
}

/// Every combination of a category, names and a tenant.
fn filters() -> Vec<Filter> {
    let names: [Option<&[&str]>; 4] =
        [None, Some(&["noted"]), Some(&["torn out", "crossed out"]), Some(&["unheard of"])];
    let mut filters = Vec::new();
    for category_name in [None, Some("red"), Some("grey")] {
        for names in names {
            for tenant in [None, Some(TenantId::DEFAULT), Some(tenant("acme")), Some(tenant("nobody"))] {
                let mut filter = Filter::new();
                (filter.tenant, filter.category) = (tenant, category_name.map(category));
                filter.names = names.map(|names| names.iter().map(|name| (*name).into()).collect());
                filters.push(filter);
            }
        }
    }
    filters
}

/// A subscription as its user would ask for it.
pub(super) fn subscription(store: &EventStore, filter: &Filter, after: Position) -> Subscription<RawEvent> {
    let mut subscribe = store.subscribe::<RawEvent>().after(after);
    if let Some(category) = filter.category.clone() {
        subscribe = subscribe.category(category);
    }
    if let Some(names) = &filter.names {
        subscribe = subscribe.event_names(names.iter().map(|name| &**name));
    }
    if let Some(tenant) = filter.tenant.clone() {
        subscribe = subscribe.tenant(tenant);
    }
    subscribe.stream()
}

/// Those of some records that pass a filter, above a position.
pub(super) fn wanted(
    all: &[Recorded<RawEvent>],
    filter: &Filter,
    after: Position,
) -> Vec<Recorded<RawEvent>> {
    let passes = |each: &&Recorded<RawEvent>| {
        each.position > after
            && filter.passes(&each.tenant_id, &each.stream_id, each.wrapped_event.event.name())
    };
    all.iter().filter(passes).cloned().collect()
}

pub(super) async fn clause_8_1_a_subscription_takes_what_it_asked_for_and_no_more(subject: Subject) {
    let store = subject.store();
    mixed(&store, 1).await;
    mixed(&store, 3).await;
    let all = store.records_after(Position::START).await;
    assert_eq!(all.len(), 48);
    let mut subscriptions = Vec::new();
    for filter in filters() {
        for after in [Position::START, all[20].position] {
            let mut subscription = subscription(&store, &filter, after);
            let (events, caught_up) = subscription.until_caught_up().await;
            assert_eq!(events, wanted(&all, &filter, after), "{filter:?} after {after}");
            assert!(caught_up >= all[47].position, "{filter:?}: caught up at {caught_up}");
            subscriptions.push((filter.clone(), subscription));
        }
    }
    // Those that have caught up read at the tail, where the filter works otherwise.
    mixed(&store, 5).await;
    let later = store.records_after(all[47].position).await;
    for (filter, subscription) in &mut subscriptions {
        for expected in wanted(&later, filter, Position::START) {
            assert_eq!(subscription.next_event().await, expected, "{filter:?}");
        }
    }
}

pub(super) async fn clause_8_1_a_subscription_starts_behind_its_position(subject: Subject) {
    let store = subject.store();
    let last = store.with_ledger(&ledger("1"), 5).await;
    let all = store.records(last.position).await;
    for (start, expected) in
        [(all[2].position, &[4, 5][..]), (all[4].position, &[]), (Position::START, &[1, 2, 3, 4, 5])]
    {
        let mut subscription = store.subscribe::<Noted>().after(start).stream();
        assert_eq!(subscription.position(), start);
        let (events, _) = subscription.until_caught_up().await;
        assert_eq!(numbers(&events), expected, "after {start}");
    }
}

pub(super) async fn clause_8_1_the_type_says_which_events(subject: Subject) {
    let store = subject.store();
    let events = (noted(1), other_event("crossed out"), noted(2));
    let last = store.append(&ledger("1"), events).await.unwrap();
    store.settled(last.position).await;
    let (events, _) = store.subscribe::<Noted>().stream().until_caught_up().await;
    assert_eq!(numbers(&events), [1, 2]);
    // Names that the type does not decode are none that it could be handed.
    let names = ["noted", "crossed out"];
    let (events, _) = store.subscribe::<Noted>().event_names(names).stream().until_caught_up().await;
    assert_eq!(numbers(&events), [1, 2]);
    let names = ["crossed out"];
    let (events, _) = store.subscribe::<Noted>().event_names(names).stream().until_caught_up().await;
    assert!(events.is_empty(), "{events:?}");
}

/// Appends a note that does not decode, past the library's own checks.
pub(super) async fn append_undecodable(store: &EventStore, stream: &StreamId, expectation: Expectation) {
    let mut bad = record(0);
    bad.data = r#"{"number":"many"}"#.to_owned();
    let part = StreamAppend::new(stream.clone(), expectation, vec![bad]);
    let request = AppendRequest::new(store.tenant_id().clone(), vec![part]);
    store.backend().append(request.into()).await.unwrap();
}

pub(super) async fn clause_8_1_an_event_that_does_not_fit_is_an_error_and_never_skipped(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_ledger(&stream, 2).await;
    append_undecodable(&store, &stream, Expectation::Version(2)).await;
    let last = store.append(&stream, noted(4)).expected_version(3).await.unwrap();
    store.settled(last.position).await;
    let mut subscription = store.subscribe::<Noted>().stream();
    subscription.next_event().await;
    let before = subscription.next_event().await.position;
    assert_refused!(subscription.try_next().await, Error::InvalidEvent { version: Some(3), .. });
    assert_eq!(subscription.try_next().await.unwrap(), None, "nothing follows an error");
    assert_eq!(subscription.position(), before);

    let mut batches = store.subscribe::<Noted>().batches(10);
    let batch = batches.next(SOON).await.unwrap();
    assert_eq!((numbers(&batch.events), batch.position, batch.caught_up), (vec![1, 2], before, false));
    for _ in 0..2 {
        assert_refused!(batches.next(SOON).await, Error::InvalidEvent { version: Some(3), .. });
    }
}

pub(super) async fn clause_7_2_the_default_handle_sees_every_tenant_and_a_tenants_its_own(subject: Subject) {
    let store = subject.store();
    let [acme, zenith] = ["acme", "zenith"].map(|name| store.for_tenant(tenant(name)));
    let mut waiting = [&store, &acme, &zenith].map(|handle| handle.subscribe::<Noted>().stream());
    for subscription in &mut waiting {
        assert!(subscription.until_caught_up().await.0.is_empty());
    }
    for (number, handle) in (1..).zip([&store, &acme, &zenith, &acme]) {
        let appended = handle.append(&ledger("1"), noted(number)).no_versioning().await.unwrap();
        store.settled(appended.position).await;
    }
    let expected: [&[u64]; 3] = [&[1, 2, 3, 4], &[2, 4], &[3]];
    let tenants = [TenantId::DEFAULT, tenant("acme"), tenant("zenith"), tenant("acme")];
    for ((mut waiting, handle), expected) in waiting.into_iter().zip([&store, &acme, &zenith]).zip(expected) {
        let (anew, _) = handle.subscribe::<Noted>().stream().until_caught_up().await;
        let mut woken = Vec::new();
        for _ in expected {
            woken.push(waiting.next_event().await);
        }
        for events in [anew, woken] {
            assert_eq!(numbers(&events), expected);
            for recorded in events {
                let number = usize::try_from(recorded.wrapped_event.event.number).unwrap();
                assert_eq!(recorded.tenant_id, tenants[number - 1]);
            }
        }
    }
    let own = acme.subscribe::<Noted>().tenant(tenant("acme")).stream().until_caught_up().await.0;
    assert_eq!(numbers(&own), [2, 4]);
    let none = store.subscribe::<Noted>().tenant(TenantId::DEFAULT).stream().until_caught_up().await.0;
    assert_eq!(numbers(&none), [1]);
}

pub(super) async fn clause_7_2_a_tenants_handle_refuses_to_see_another_tenant(subject: Subject) {
    let acme = subject.store().for_tenant(tenant("acme"));
    for other in [tenant("zenith"), TenantId::DEFAULT] {
        let subscribe = || acme.subscribe::<Noted>().tenant(other.clone());
        let mut subscription = subscribe().stream();
        assert_refused!(subscription.try_next().await, Error::InvalidOption { option: "tenant", .. });
        assert_eq!(subscription.try_next().await.unwrap(), None);
        assert_refused!(
            subscribe().batches(1).next(SOON).await,
            Error::InvalidOption { option: "tenant", .. }
        );
        let durable = Settings::default().of(subscribe());
        let refused = durable.run(async |_, _| unreachable!("nothing is handed over")).await;
        assert_refused!(refused, Error::InvalidOption { option: "tenant", .. });
    }
}

pub(super) async fn clause_7_2_durable_subscriptions_of_one_name_are_each_tenants_own(subject: Subject) {
    let store = subject.store();
    let acme = store.for_tenant(tenant("acme"));
    store.with_ledger(&ledger("1"), 2).await;
    acme.append(&ledger("1"), notes([7])).await.unwrap();
    let (everybodys, own) = (Handled::default(), Handled::default());
    let run = Running::noting(letters(&acme), &own);
    own.reach(1).await;
    run.stop().await;
    assert_eq!(letters(&store).status().await.unwrap(), None);
    let run = Running::noting(letters(&store), &everybodys);
    everybodys.reach(3).await;
    run.stop().await;
    letters(&store).remove().await.unwrap();
    assert!(letters(&acme).status().await.unwrap().is_some());
    assert_eq!((own.numbers().len(), everybodys.numbers().len()), (1, 3));
    assert_eq!(own.items()[0].tenant, tenant("acme"));
}

pub(super) async fn clause_8_3_caught_up_is_told_and_told_again_after_later_events(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let mut subscription = store.subscribe::<Noted>().stream();
    let (events, start) = subscription.until_caught_up().await;
    assert_eq!((events.len(), start), (0, Position::START));
    let mut last = start;
    for round in 1..4 {
        subscription.has_nothing().await;
        store.append(&stream, notes([round, round])).no_versioning().await.unwrap();
        let mut events = vec![subscription.next_event().await];
        let (more, caught_up) = subscription.until_caught_up().await;
        events.extend(more);
        assert_eq!(numbers(&events), [round, round]);
        assert!(caught_up > last && caught_up >= events[1].position, "{caught_up} after {last}");
        assert_eq!(subscription.position(), caught_up);
        last = caught_up;
    }
    subscription.has_nothing().await;
}

pub(super) async fn clause_8_3_a_subscription_goes_on_at_the_position_that_another_gave(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let last = store.with_ledger(&stream, 30).await;
    store.settled(last.position).await;
    let (mut position, mut seen) = (Position::START, Vec::new());
    for take in 0..6 {
        let mut subscription = store.subscribe::<Noted>().after(position).stream();
        for _ in 0..take {
            seen.push(subscription.next_event().await);
        }
        position = subscription.position();
    }
    assert_eq!(numbers(&seen), (1..=15).collect::<Vec<_>>());
    let (rest, caught_up) = store.subscribe::<Noted>().after(position).stream().until_caught_up().await;
    assert_eq!(numbers(&rest), (16..=30).collect::<Vec<_>>());
    let mut later = store.subscribe::<Noted>().after(caught_up).stream();
    assert_eq!(later.until_caught_up().await, (Vec::new(), caught_up));
    store.append(&stream, noted(31)).expected_version(30).await.unwrap();
    assert_eq!(later.next_event().await.wrapped_event.event.number, 31);
}
