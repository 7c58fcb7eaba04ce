//! Clauses 15.3 and 15.4: subscriptions, what waits in them, cursors and the outbox are listed and looked after without their types.

use event_sourcery::backend::{BlockedStream, CursorsRequest, ListRequest, SubscriptionId};
use event_sourcery::{Error, EventStore, StreamId, TenantId};

use super::ledger::{Ledgers as _, category, ledger, noted, notes, tenant};
use super::looking::{numbers, whole};
use super::outbox::publish;
use super::post::{Fate, Numbered as _, Post};
use super::projecting::{SUMS, feed, with_records};
use super::running::{Handled, Running, Settings, assert_not_blocked, eventually, letters};
use super::subject::Subject;

fn id(tenant: TenantId) -> SubscriptionId {
    SubscriptionId::new(tenant, "letters")
}

/// Ledgers of two notes each, the first of which is parked.
async fn with_parked(store: &EventStore, names: &[&str]) -> Vec<StreamId> {
    let streams: Vec<_> = names.iter().map(|name| ledger(name)).collect();
    for stream in &streams {
        store.append(stream, notes(1..=2)).await.unwrap();
    }
    let settings = Settings { attempts: 1, ..Settings::default() };
    let run =
        Running::planned(settings.of(store.subscribe()), &Handled::default(), |item, _| match item.number {
            1 => Err("out of paper".into()),
            _ => Ok(()),
        });
    eventually("all are parked", async || letters(store).parked().await.unwrap().len() == names.len()).await;
    run.stop().await;
    streams
}

async fn blocked(store: &EventStore, id: &SubscriptionId) -> Vec<BlockedStream> {
    whole(async |from| store.look().blocked(id, from, 1).await).await
}

pub(super) async fn clause_15_3_subscriptions_are_listed_with_checkpoints_members_and_lag(subject: Subject) {
    let (store, acme) = (subject.store(), subject.store().for_tenant(tenant("acme")));
    let handled = Handled::default();
    for handle in [&store, &acme] {
        handle.append(&ledger("1"), notes(1..=2)).await.unwrap();
    }
    let runs = [Running::noting(letters(&store), &handled), Running::noting(letters(&acme), &handled)];
    // The default handle's sees every tenant.
    handled.reach(6).await;
    let listed = async || {
        whole(async |from| store.look().subscriptions(ListRequest::new(1).with_from(from)).await).await
    };
    eventually("both are listed with who runs them", async || {
        let listed = listed().await;
        listed.len() == 2 && listed.iter().all(|one| one.record.as_ref().unwrap().members.len() == 1)
    })
    .await;
    for run in runs {
        run.stop().await;
    }
    let listed = listed().await;
    let ids: Vec<_> = listed.iter().map(|one| one.id.clone()).collect();
    assert_eq!(ids, [id(TenantId::DEFAULT), id(tenant("acme"))]);
    let record = listed[0].record.as_ref().unwrap();
    assert!(record.members.is_empty() && record.segments.iter().all(|segment| segment.member.is_none()));
    assert_eq!(listed[0].position(), record.segments.iter().map(|segment| segment.position).min());
    assert_eq!(store.look().subscription(&ids[0]).await.unwrap().as_ref(), Some(&listed[0]));

    let appended = store.append(&ledger("2"), notes(1..=3)).await.unwrap();
    store.settled(appended.position).await;
    let status = store.look().status(&ids[0]).await.unwrap().unwrap();
    assert_eq!((status.events_behind, status.has_more, status.members), (3, false, 0));
    assert_eq!(store.look().status(&ids[1]).await.unwrap().unwrap().events_behind, 0);
    let unknown = SubscriptionId::new(TenantId::DEFAULT, "unknown");
    assert!(store.look().subscription(&unknown).await.unwrap().is_none());
    assert!(store.look().status(&unknown).await.unwrap().is_none());
}

pub(super) async fn clause_15_3_parked_streams_are_listed_replayed_and_skipped_without_their_type(
    subject: Subject,
) {
    let (store, id) = (subject.store(), id(TenantId::DEFAULT));
    let streams = with_parked(&store, &["1", "2", "3", "4"]).await;
    let (look, parked) = (store.look(), blocked(&store, &id).await);
    let listed: Vec<_> = parked.iter().map(|one| one.stream.clone()).collect();
    assert_eq!(listed, streams, "in the order of the events that failed");
    for one in &parked {
        assert!(one.error.contains("out of paper") && one.retry_at.is_none(), "{one:?}");
        assert_eq!(one.event_name.as_deref(), Some("noted"));
    }

    look.replay(&id, &parked[0]).await.unwrap();
    look.skip(&id, &parked[1]).await.unwrap();
    assert_not_blocked(look.skip(&id, &parked[1]).await, &parked[1]);
    let waiting: Vec<_> = blocked(&store, &id).await.iter().map(|one| one.retry_at.is_some()).collect();
    assert_eq!(waiting.iter().filter(|is_tried_again| **is_tried_again).count(), 2);
    let skipped = look.skip_all(&id).await.unwrap();
    assert_eq!((skipped.streams, skipped.changed_meanwhile), (2, 0));
    assert_eq!(look.replay_all(&id).await.unwrap().streams, 0, "nothing is parked any more");

    let handled = Handled::default();
    let run = Running::noting(letters(&store), &handled);
    handled.reach(5).await;
    run.stop().await;
    let of = |stream: &StreamId| handled.of(stream);
    assert_eq!(streams.iter().map(of).collect::<Vec<_>>(), [vec![1, 2], vec![2], vec![2], vec![2]]);
    assert!(blocked(&store, &id).await.is_empty());
}

pub(super) async fn clause_15_3_the_cursors_of_projectors_are_listed(subject: Subject) {
    let (store, acme) = (subject.store(), subject.store().for_tenant(tenant("acme")));
    let red = ledger("1").in_category("red").unwrap();
    for (handle, stream, fed) in [(&store, &ledger("1"), 1), (&store, &red, 2), (&acme, &ledger("1"), 3)] {
        let events = with_records(handle, stream, 3).await;
        feed(&subject, &events[fed - 1]).await;
    }
    let listed = async |handle: &EventStore, request: CursorsRequest| {
        let all = whole(async |from| handle.look().cursors(request.clone().with_from(from)).await).await;
        let told = all.iter().map(|one| {
            assert_eq!((&*one.id.projector, one.version), (SUMS, Some(3)));
            (one.id.tenant.clone(), one.id.stream.clone(), one.cursor.version)
        });
        told.collect::<Vec<_>>()
    };
    let default = TenantId::DEFAULT;
    let all = [
        (tenant("acme"), ledger("1"), 3),
        (default.clone(), red.clone(), 2),
        (default.clone(), ledger("1"), 1),
    ];
    for limit in [1, 2, 100] {
        assert_eq!(listed(&store, CursorsRequest::new(limit)).await, all, "{limit} a page");
    }
    assert_eq!(listed(&acme, CursorsRequest::new(1)).await, all[..1]);
    assert_eq!(listed(&store, CursorsRequest::new(9).with_stream(red)).await, all[1..2]);
    assert_eq!(listed(&store, CursorsRequest::new(9).with_projector(SUMS)).await.len(), 3);
    assert!(listed(&store, CursorsRequest::new(9).with_projector("other")).await.is_empty());
    assert_eq!(all[1].1.category(), Some(&category("red")));
}

pub(super) async fn clause_15_3_the_outbox_is_listed_and_looked_after(subject: Subject) {
    let store = subject.with_outbox();
    let acme = store.for_tenant(tenant("acme"));
    store.append(&ledger("1"), notes(1..=3)).await.unwrap();
    let appended = acme.append(&ledger("2"), noted(4)).await.unwrap();
    store.settled(appended.position).await;
    let entries =
        async |handle: &EventStore| numbers(&whole(async |from| handle.look().outbox(from, 1).await).await);
    assert_eq!(entries(&store).await, [1, 2, 3, 4]);
    assert_eq!(entries(&acme).await, [4]);

    let id = SubscriptionId::outbox(TenantId::DEFAULT);
    let post = Post::that(|entry, _| if entry.number() == 1 { Fate::Refused } else { Fate::Taken });
    eventually("it is parked", async || {
        publish(&store, &post).await;
        blocked(&store, &id).await.iter().any(|one| one.retry_at.is_none())
    })
    .await;
    assert_eq!(entries(&store).await, [1, 2, 3]);
    let listed = store.look().subscriptions(ListRequest::new(9)).await.unwrap();
    assert!(listed.items.iter().any(|one| one.id == id && one.id.is_outbox()), "{listed:?}");
    assert_eq!(store.look().status(&id).await.unwrap().unwrap().events_behind, 3);

    let parked = blocked(&store, &id).await;
    store.look().skip(&id, &parked[0]).await.unwrap();
    assert_eq!(entries(&store).await, [2, 3], "what is left out is gone");
    eventually("the others are published", async || {
        publish(&store, &post).await;
        entries(&store).await.is_empty()
    })
    .await;
}

pub(super) async fn clause_15_3_the_settled_position_is_told(subject: Subject) {
    let store = subject.store();
    let appended = store.append(&ledger("1"), noted(1)).await.unwrap();
    store.settled(appended.position).await;
    let settled = store.look().settled().await.unwrap();
    assert!(appended.position.is_covered_by(settled.position));
    assert_eq!(settled.holders, Some(Vec::new()), "nobody holds it up");
}

pub(super) async fn clause_15_4_a_tenants_handle_acts_on_that_tenants_subscriptions_only(subject: Subject) {
    let (store, acme) = (subject.store(), subject.store().for_tenant(tenant("acme")));
    with_parked(&store, &["1"]).await;
    with_parked(&acme, &["2"]).await;
    let (look, of_default) = (acme.look(), id(TenantId::DEFAULT));
    let listed = look.subscriptions(ListRequest::new(9)).await.unwrap();
    assert_eq!(listed.items.iter().map(|one| one.id.clone()).collect::<Vec<_>>(), [id(tenant("acme"))]);
    let others = store.look().blocked(&of_default, None, 9).await.unwrap().items;
    let refused = [
        look.subscription(&of_default).await.map(drop),
        look.status(&of_default).await.map(drop),
        look.blocked(&of_default, None, 9).await.map(drop),
        look.replay(&of_default, &others[0]).await,
        look.skip(&of_default, &others[0]).await,
        look.replay_all(&of_default).await.map(drop),
        look.skip_all(&of_default).await.map(drop),
    ];
    for refused in refused {
        assert_refused!(refused, Error::InvalidOption { option: "tenant", .. });
    }
    let own = blocked(&acme, &id(tenant("acme"))).await;
    assert_eq!(own.len(), 1);
    // As if it were its own: there is no such stream in its subscription.
    assert!(look.replay(&id(tenant("acme")), &others[0]).await.is_err());
    look.skip(&id(tenant("acme")), &own[0]).await.unwrap();
    assert_eq!(store.look().blocked(&of_default, None, 9).await.unwrap().items, others, "it is as it was");
}
