//! What those who wait, and those who hold leases, cost the server.

use std::time::{Duration, Instant};

use event_sourcery::backend::{
    BlockedAt, BlockedRequest, BlockedStream, Kept, ProgressRequest, RenewRequest, Scope, StreamProgress,
    SubscriptionBackend as _, SubscriptionChange, SubscriptionId,
};
use event_sourcery::{Next, Position, RawEvent, StreamId, TenantId};
use event_sourcery_postgres::sqlx::{self, types::Uuid};
use tokio::sync::mpsc::unbounded_channel;

use super::Counter;
use crate::scene::{Scene, event};

/// An append, a look, a read. Beside: what is settled is put on record now and then, and nobody has been told for a while.
#[tokio::test]
async fn an_event_that_is_waited_for_is_an_append_a_look_and_a_read() {
    const EVENTS: i64 = 50;
    let scene = Scene::new().await;
    let (counter, store) = (Counter::of(&scene).await, &scene.store);
    let (tell, mut told) = unbounded_channel();
    let mut events = store.subscribe::<RawEvent>().stream();
    let follows = tokio::spawn(async move {
        while let Some(next) = events.try_next().await.unwrap() {
            tell.send(matches!(next, Next::Event(_))).unwrap();
        }
    });
    let mut append = async |count: i64| {
        for _ in 0..count {
            store.append(&StreamId::random(), event()).await.unwrap();
            while !told.recv().await.unwrap() {}
        }
    };
    append(5).await;
    let began = Instant::now();
    let (statements, ()) = counter.count(append(EVENTS)).await;
    let tenths = i64::try_from(began.elapsed().as_millis() / 100).unwrap();
    let most = 3 * EVENTS + 3 * tenths + 10;
    assert!(statements <= most, "{statements} of at most {most}: {:#?}", counter.statements().await);
    follows.abort();
}

/// Handles that know nothing of each other, as those of several parts of a program: it is looked once for all of them.
#[tokio::test]
async fn a_look_serves_all_who_wait_in_a_process() {
    const HANDLES: usize = 20;
    let scene = Scene::new().await;
    let counter = Counter::of(&scene).await;
    let (tell, mut told) = unbounded_channel();
    let backend = scene.store.backend();
    for _ in 0..HANDLES {
        let (store, tell) = (event_sourcery::EventStore::new(backend.clone()), tell.clone());
        tokio::spawn(async move {
            // It wants none of what comes.
            let mut events = store.subscribe::<RawEvent>().event_names(["Other"]).stream();
            while events.try_next().await.is_ok() && tell.send(()).is_ok() {}
        });
    }
    for _ in 0..HANDLES {
        told.recv().await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = Instant::now();
    let (statements, ()) = counter.count(tokio::time::sleep(Duration::from_secs(1))).await;
    let most = 2 * i64::try_from(began.elapsed().as_millis() / 100).unwrap() + 10;
    assert!(statements <= most, "{statements} of at most {most}: {:#?}", counter.statements().await);
}

#[tokio::test]
async fn leases_of_many_subscriptions_are_renewed_by_as_many_statements_as_those_of_one() {
    let scene = Scene::new().await;
    let (counter, backend, member) = (Counter::of(&scene).await, scene.store.backend(), Uuid::new_v4());
    let renew = async |count: usize| {
        let renewals = (0..count).map(|number| {
            let kept = Kept::new(Scope::default(), Position::START, Vec::new());
            let request = RenewRequest::new(member, (8, Position::START), kept, Duration::from_secs(60));
            let id = SubscriptionId::new(TenantId::DEFAULT, format!("letters {number}"));
            (id, SubscriptionChange::Renew(request))
        });
        backend.change_subscriptions(renewals.collect()).await.unwrap()
    };
    renew(100).await;
    let (of_one, _) = counter.count(renew(1)).await;
    let (of_many, renewed) = counter.count(renew(100)).await;
    assert_eq!(of_many, of_one, "{:#?}", counter.statements().await);
    assert!(renewed.iter().flatten().all(|record| record.leases_of(member).count() == 8));
}

/// How often statements were run that hold this.
async fn runs_of(counter: &Counter, what: &str) -> i64 {
    let statements = counter.statements().await;
    statements.iter().filter(|(query, _)| query.contains(what)).map(|(_, calls)| calls).sum()
}

/// One row is renewed in one statement, and no other row is written, however many there are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_subscriptions_that_have_nothing_to_do_cost_the_server_what_one_costs() {
    const PRESENCES: &str = "event_sourcery_subscription_presences";
    let scene = Scene::new().await;
    let counter = Counter::of(&scene).await;
    let cost_of = async |count: i64| {
        let store = scene.another_store().await;
        let mut runs = tokio::task::JoinSet::new();
        for number in 0..count {
            let durable = store.subscribe::<RawEvent>().durable(format!("{count}: {number}"));
            runs.spawn(durable.lease(Duration::from_secs(3)).run(async |_, _| Ok(())));
        }
        let of_these = format!("FROM event_sourcery_subscription_members WHERE name LIKE '{count}: %'");
        let vouched_for = format!("SELECT count(*) {of_these} AND presence <> 0");
        crate::scene::until(async || scene.number(&vouched_for).await == count).await;
        let rows =
            format!("SELECT md5(string_agg(concat_ws(' ', name, ctid), ',' ORDER BY name)) {of_these}");
        let (rows_before, before) = (scene.database.psql(&rows), runs_of(&counter, PRESENCES).await);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let statements = runs_of(&counter, PRESENCES).await - before;
        assert_eq!(scene.database.psql(&rows), rows_before, "no row of a member is written");
        statements
    };
    let (one, many) = (cost_of(1).await, cost_of(500).await);
    println!("ten seconds: {one} statements for one subscription, {many} for 500");
    // 1.3 times as many, and one: the ten seconds may begin with one, and end with another.
    assert!(one >= 8 && 10 * many <= 13 * one + 10, "{many} statements, and {one} for one");
}

/// However many members other processes have: the table has hundreds of pages here.
#[tokio::test]
async fn who_renews_a_presence_looks_at_the_members_that_it_vouches_for_and_at_no_others() {
    let scene = Scene::new().await;
    let (counter, backend) = (Counter::of(&scene).await, scene.store.backend());
    let kept = Kept::new(Scope::default(), Position::START, Vec::new());
    let request = RenewRequest::new(Uuid::new_v4(), (8, Position::START), kept, Duration::from_secs(60))
        .with_presence(7);
    let id = SubscriptionId::new(TenantId::DEFAULT, "letters");
    backend.change_subscription(id, SubscriptionChange::Renew(request)).await.unwrap();
    scene.database.psql(
        "INSERT INTO event_sourcery_subscription_members (tenant_id, name, member, member_until, lasting_ms, presence)
         SELECT '', 'others ' || n, gen_random_uuid(), now() AT TIME ZONE 'UTC', 60000, 1 + n % 1000
         FROM generate_series(1, 10000) n;
         ANALYZE event_sourcery_subscription_members",
    );
    let renewed = backend.renew_presence(7).await.unwrap().unwrap();
    assert_eq!(renewed.members.len(), 1);
    let pages = "SELECT sum(s.shared_blks_hit + s.shared_blks_read)::bigint
                 FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
                 WHERE d.datname = $1 AND s.query LIKE '%subscription_presences SET renewed%'";
    let pages: i64 = sqlx::query_scalar(pages).bind(&counter.counted).fetch_one(&counter.from).await.unwrap();
    assert!(pages < 50, "{pages} pages were looked at");
}

/// What fails at once, and what is replayed at once, is a few statements, not one for each stream.
#[tokio::test]
async fn streams_that_are_blocked_or_freed_together_are_as_many_statements_as_one() {
    let scene = Scene::new().await;
    let (counter, backend) = (Counter::of(&scene).await, scene.store.backend());
    let id = SubscriptionId::new(TenantId::DEFAULT, "letters");
    let since = "2024-05-01T12:00:00Z".parse().unwrap();
    let mut blocked = Vec::new();
    for position in 1..=301 {
        let stream = StreamId::random();
        scene.store.append(&stream, event()).await.unwrap();
        let at = BlockedAt::new(Position::START, Position::from_i64(position));
        blocked.push(BlockedStream::new(TenantId::DEFAULT, stream, 0, at, since).with_error("not yet"));
    }
    let changes: [fn(&BlockedStream) -> StreamProgress; 4] = [
        |blocked| StreamProgress::Block(blocked.clone()),
        |blocked| StreamProgress::Waits(blocked.tenant.clone(), blocked.stream.clone()),
        |blocked| StreamProgress::Change(blocked.at(), blocked.clone().with_retry_at(Some(blocked.since))),
        |blocked| StreamProgress::Free(blocked.at(), blocked.tenant.clone(), blocked.stream.clone()),
    ];
    let (one, many) = blocked.split_at(1);
    for change in changes {
        let progress = |of: &[BlockedStream]| {
            let request = ProgressRequest::new(id.clone()).with_streams(of.iter().map(change).collect());
            async move { backend.progress(request).await.unwrap() }
        };
        let (of_one, ()) = counter.count(progress(one)).await;
        let (of_many, ()) = counter.count(progress(many)).await;
        assert_eq!(of_many, of_one, "{:#?}", counter.statements().await);
    }
    assert_eq!(backend.blocked_streams(BlockedRequest::new(id)).await.unwrap(), []);
}

#[tokio::test]
async fn a_renewal_writes_no_segment() {
    let scene = Scene::new().await;
    let (backend, member) = (scene.store.backend(), Uuid::new_v4());
    let renew = async || {
        let kept = Kept::new(Scope::default(), Position::START, Vec::new());
        let request = RenewRequest::new(member, (8, Position::START), kept, Duration::from_secs(60));
        let id = SubscriptionId::new(TenantId::DEFAULT, "letters");
        backend.change_subscription(id, SubscriptionChange::Renew(request)).await.unwrap().unwrap()
    };
    let given = renew().await;
    let rows = "SELECT segment, ctid FROM event_sourcery_subscription_segments ORDER BY segment";
    let before = scene.database.psql(rows);
    let renewed = renew().await;
    assert_eq!(scene.database.psql(rows), before);
    assert!(renewed.members[0].until > given.members[0].until);
}

/// Of many, one waits for a transaction that has written its progress: the others do not wait for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_somebody_holds_holds_up_no_other() {
    let scene = Scene::new().await;
    let backend = scene.store.backend().clone();
    let lease = Duration::from_secs(2);
    let running = |name: &str| scene.store.subscribe::<RawEvent>().durable(name).lease(lease);
    let names: Vec<_> = (0..6).map(|number| format!("letters {number}")).collect();
    let runs: Vec<_> =
        names.iter().map(|name| tokio::spawn(running(name).run(async |_, _| Ok(())))).collect();
    let until = async |name: &str| {
        let id = SubscriptionId::new(TenantId::DEFAULT, name);
        let record = backend.subscription(id).await.unwrap()?;
        record.members.first().map(|member| member.until)
    };
    for name in &names {
        crate::scene::until(async || until(name).await.is_some()).await;
    }
    let mut tx = scene.begin().await;
    sqlx::query("SELECT FROM event_sourcery_subscription_segments WHERE name = 'letters 0' FOR UPDATE")
        .execute(&mut *tx)
        .await
        .unwrap();
    // For longer than a lease lasts.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        for name in names.iter().skip(1) {
            assert!(until(name).await.is_some(), "{name} has lost its leases");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tx.rollback().await.unwrap();
    runs.iter().for_each(tokio::task::JoinHandle::abort);
}
