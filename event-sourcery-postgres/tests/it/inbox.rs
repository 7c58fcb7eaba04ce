//! The inbox: each message once, whoever delivers it how often, and whatever becomes of the consumer.

use std::future::pending;
use std::time::Duration;

use event_sourcery::{Error, RawEvent, Result, StreamId};
use event_sourcery_postgres::sqlx::{self, AssertSqlSafe, Connection as _};
use event_sourcery_postgres::{Inbox, classify};
use futures_util::future::join_all;
use tokio::sync::oneshot;

use crate::scene::{Scene, Tx};

const SALES: &str = "SELECT count(*) FROM sales";
const REMEMBERED: &str = "SELECT count(*) FROM event_sourcery_inbox";

async fn books() -> (Scene, Inbox) {
    let scene = Scene::new().await;
    scene.run("CREATE TABLE sales (message TEXT NOT NULL)").await;
    let inbox = Inbox::open(&scene.pool, "books").await.unwrap();
    (scene, inbox)
}

/// Whether the message was handled now.
async fn book(inbox: &Inbox, tx: &mut Tx, message: &str) -> Result<bool> {
    let sale = message.to_owned();
    let booked = inbox.handle(tx, message, async move |tx| {
        let insert = sqlx::query("INSERT INTO sales VALUES ($1)").bind(sale);
        insert.execute(&mut **tx).await.map(drop).map_err(classify)
    });
    Ok(booked.await?.is_some())
}

/// The same in a transaction of its own.
async fn deliver(scene: &Scene, inbox: &Inbox, message: &str) -> bool {
    let mut tx = scene.begin().await;
    let booked = book(inbox, &mut tx, message).await.unwrap();
    tx.commit().await.unwrap();
    booked
}

#[tokio::test]
async fn a_message_that_comes_again_is_handled_once() {
    let (scene, inbox) = books().await;
    assert!(deliver(&scene, &inbox, "a").await);
    assert!(!deliver(&scene, &inbox, "a").await);
    assert!(deliver(&scene, &inbox, "b").await);
    assert!(!deliver(&scene, &Inbox::open(&scene.pool, "books").await.unwrap(), "a").await, "by anybody");
    assert_eq!(scene.number(SALES).await, 2);
}

#[tokio::test]
async fn each_consumer_handles_every_message() {
    let (scene, inbox) = books().await;
    let others = Inbox::open(&scene.pool, "statistics").await.unwrap();
    assert!(deliver(&scene, &inbox, "a").await);
    assert!(deliver(&scene, &others, "a").await);
}

/// Two have one message; the first ends its transaction once the second waits for it.
async fn second_of_two(commit: bool) -> (bool, i64) {
    let (scene, inbox) = books().await;
    let (mut first, mut second) = (scene.begin().await, scene.begin().await);
    assert!(book(&inbox, &mut first, "a").await.unwrap());
    let end = async {
        scene.until_waiting(1).await;
        if commit { first.commit().await.unwrap() } else { first.rollback().await.unwrap() }
    };
    let (booked, ()) = tokio::join!(book(&inbox, &mut second, "a"), end);
    second.commit().await.unwrap();
    (booked.unwrap(), scene.number(SALES).await)
}

#[tokio::test]
async fn of_two_that_have_one_message_at_once_one_handles_it() {
    assert_eq!(second_of_two(true).await, (false, 1));
}

#[tokio::test]
async fn where_the_first_of_two_rolls_back_the_second_handles_it() {
    assert_eq!(second_of_two(false).await, (true, 1));
}

#[tokio::test]
async fn of_many_that_have_the_same_messages_each_is_handled_once() {
    let (scene, inbox) = books().await;
    let deliveries = (0..160).map(|number| {
        let message = format!("message {}", number % 10);
        let (scene, inbox) = (&scene, &inbox);
        async move { deliver(scene, inbox, &message).await }
    });
    let booked = join_all(deliveries).await;
    assert_eq!(booked.into_iter().filter(|booked| *booked).count(), 10);
    assert_eq!(scene.number(SALES).await, 10);
    assert_eq!(scene.number("SELECT count(DISTINCT message) FROM sales").await, 10);
}

#[tokio::test]
async fn a_delivery_can_be_a_task_of_its_own() {
    let (scene, inbox) = books().await;
    let delivery = tokio::spawn(async move { deliver(&scene, &inbox, "a").await });
    assert!(delivery.await.unwrap());
}

#[tokio::test]
async fn what_a_failed_handler_wrote_is_taken_back_with_the_id() {
    let (scene, inbox) = books().await;
    let mut tx = scene.begin().await;
    let failed = inbox.handle::<(), Error, _>(&mut tx, "a", async |tx| {
        sqlx::query("INSERT INTO sales VALUES ('half')").execute(&mut **tx).await.map_err(classify)?;
        Err(Error::Closed)
    });
    assert!(matches!(failed.await, Err(Error::Closed)));
    assert!(book(&inbox, &mut tx, "b").await.unwrap(), "the transaction goes on");
    tx.commit().await.unwrap();
    assert_eq!((scene.number(SALES).await, scene.number(REMEMBERED).await), (1, 1));
    assert!(deliver(&scene, &inbox, "a").await, "it was not handled so far");
}

#[tokio::test]
async fn a_handler_that_keeps_a_failed_statement_to_itself_is_told() {
    let (scene, inbox) = books().await;
    let mut tx = scene.begin().await;
    let failed = inbox.handle::<(), Error, _>(&mut tx, "a", async |tx| {
        let _ = sqlx::query("INSERT INTO nowhere VALUES (1)").execute(&mut **tx).await;
        Ok(())
    });
    let failed = failed.await.unwrap_err();
    assert!(matches!(failed, Error::RolledBack { .. }), "{failed:?}");
    assert!(book(&inbox, &mut tx, "a").await.unwrap(), "the transaction goes on, and it was not handled");
}

#[tokio::test]
async fn a_handler_that_is_given_up_leaves_nothing_even_where_its_transaction_is_committed() {
    let (scene, inbox) = books().await;
    let mut tx = scene.begin().await;
    let (begin, begun) = oneshot::channel();
    let handling = inbox.handle::<(), Error, _>(&mut tx, "a", async move |tx| {
        sqlx::query("INSERT INTO sales VALUES ('half')").execute(&mut **tx).await.map_err(classify)?;
        let _ = begin.send(());
        pending().await
    });
    tokio::select! {
        _ = handling => panic!("it waits for ever"),
        begun = begun => begun.unwrap(),
    }
    tx.commit().await.unwrap();
    assert_eq!((scene.number(SALES).await, scene.number(REMEMBERED).await), (0, 0));
    assert!(deliver(&scene, &inbox, "a").await);
}

#[tokio::test]
async fn what_was_handled_since_a_transaction_began_is_no_second_time_at_repeatable_read() {
    let (scene, inbox) = books().await;
    let mut early = scene.begin_at("REPEATABLE READ").await;
    sqlx::query("SELECT 1").execute(&mut *early).await.unwrap();
    assert!(deliver(&scene, &inbox, "a").await);
    let refused = book(&inbox, &mut early, "a").await.unwrap_err();
    assert!(matches!(refused, Error::SerializationFailure { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_handler_appends_in_the_same_transaction() {
    let (scene, inbox) = books().await;
    let stream = StreamId::from_name("sales").unwrap();
    for _ in 0..2 {
        let mut tx = scene.begin().await;
        let booked = inbox.handle(&mut tx, "a", async |tx| {
            scene.store.within(tx).append(&stream, RawEvent::new("Booked", "{}")?).await
        });
        booked.await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(scene.store.version(&stream).await.unwrap(), Some(1));
}

#[tokio::test]
async fn ids_older_than_the_window_are_forgotten_two_at_a_time_and_no_others() {
    let (scene, inbox) = books().await;
    for number in 0..6 {
        assert!(deliver(&scene, &inbox, &format!("old {number}")).await);
    }
    scene.run("UPDATE event_sourcery_inbox SET handled_at = handled_at - interval '1 hour'").await;
    assert!(deliver(&scene, &inbox, "fresh").await);
    assert_eq!(scene.number(REMEMBERED).await, 7, "a week is longer");

    let inbox = inbox.keep_for(Duration::from_secs(60)).unwrap();
    assert!(!deliver(&scene, &inbox, "old 5").await, "what is there still counts");
    assert_eq!(scene.number(REMEMBERED).await, 5);
    for left in [4, 3, 4] {
        let message = format!("fresh {left} {}", scene.number(REMEMBERED).await);
        assert!(deliver(&scene, &inbox, &message).await);
        assert_eq!(scene.number(REMEMBERED).await, left, "{message}");
    }
    assert!(!deliver(&scene, &inbox, "fresh").await, "it is within the window");
    assert!(deliver(&scene, &inbox, "old 5").await, "it is handled again");
}

#[tokio::test]
async fn of_more_ids_than_are_to_be_kept_the_newest_stay_and_others_go_within_the_window_too() {
    let (scene, inbox) = books().await;
    for number in 0..10 {
        assert!(deliver(&scene, &inbox, &format!("{number}")).await);
    }
    let inbox = inbox.keep_at_most(3).unwrap();
    for (message, left) in [("a", 9), ("b", 8), ("c", 7), ("d", 6), ("e", 5), ("f", 4), ("g", 3), ("h", 3)] {
        assert!(deliver(&scene, &inbox, message).await);
        assert_eq!(scene.number(REMEMBERED).await, left, "{message}");
    }
    for message in ["f", "g", "h"] {
        assert!(!deliver(&scene, &inbox, message).await, "{message} is among the last three");
    }
    assert!(deliver(&scene, &inbox, "e").await, "it is handled again");
    assert!(deliver(&scene, &inbox, "f").await, "another one has taken its place");

    let others = Inbox::open(&scene.pool, "statistics").await.unwrap().keep_at_most(32).unwrap();
    for number in 0..100 {
        assert!(deliver(&scene, &others, &format!("{number}")).await);
        let kept = scene.number(REMEMBERED).await;
        assert!(kept <= 3 + 32 + 1, "nothing of others goes, and it looks at every second message: {kept}");
    }
    assert!(scene.number(REMEMBERED).await >= 3 + 32);
}

/// Every second message looks whether there are too many.
#[tokio::test]
async fn where_each_message_that_looks_is_rolled_back_the_next_one_looks() {
    let (scene, inbox) = books().await;
    let inbox = inbox.keep_at_most(32).unwrap();
    for number in 0..60 {
        let mut tx = scene.begin().await;
        assert!(book(&inbox, &mut tx, "poison").await.unwrap());
        tx.rollback().await.unwrap();
        assert!(deliver(&scene, &inbox, &format!("{number}")).await);
        let kept = scene.number(REMEMBERED).await;
        assert!(kept <= 32 + 2 * 2, "{kept}");
    }
}

/// The clock was set back: what is new seems to be the oldest.
#[tokio::test]
async fn the_id_of_the_message_at_hand_is_kept_however_old_it_seems() {
    let (scene, inbox) = books().await;
    assert!(deliver(&scene, &inbox, "a").await);
    scene.run("UPDATE event_sourcery_inbox SET handled_at = handled_at + interval '1 hour'").await;
    let inbox = inbox.keep_at_most(1).unwrap();
    assert!(deliver(&scene, &inbox, "b").await);
    assert!(!deliver(&scene, &inbox, "b").await);
}

#[tokio::test]
async fn two_that_forget_beyond_the_same_number_at_once_do_not_wait_for_each_other() {
    let (scene, inbox) = books().await;
    for number in 0..5 {
        assert!(deliver(&scene, &inbox, &format!("{number}")).await);
    }
    let inbox = inbox.keep_at_most(3).unwrap();
    let (mut first, mut second) = (scene.begin().await, scene.begin().await);
    assert!(book(&inbox, &mut first, "a").await.unwrap());
    let beside = tokio::time::timeout(Duration::from_secs(10), book(&inbox, &mut second, "b"));
    assert!(beside.await.expect("it waits for nobody").unwrap());
    first.commit().await.unwrap();
    second.commit().await.unwrap();
    assert!(scene.number(REMEMBERED).await >= 3);
}

#[tokio::test]
async fn the_table_of_an_empty_database_is_made_by_many_at_once() {
    let scene = Scene::new().await;
    let opened = join_all((0..8).map(|_| Inbox::open(&scene.pool, "books"))).await;
    opened.into_iter().for_each(|inbox| drop(inbox.unwrap()));
    scene.run(Inbox::migration()).await;
}

/// An id that does not get in counts as handled before, and its message would be lost.
#[tokio::test]
async fn a_table_that_would_not_remember_each_id_once_is_refused() {
    for (change, says) in [
        ("ALTER TABLE event_sourcery_inbox DROP CONSTRAINT event_sourcery_inbox_pkey", "CREATE UNIQUE INDEX"),
        ("ALTER TABLE event_sourcery_inbox SET UNLOGGED", "SET LOGGED"),
        ("CREATE RULE elsewhere AS ON INSERT TO event_sourcery_inbox DO INSTEAD NOTHING", "a rule"),
        (
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
             CREATE TRIGGER mute BEFORE INSERT ON event_sourcery_inbox FOR EACH ROW EXECUTE FUNCTION f()",
            "a trigger",
        ),
        (
            "ALTER TABLE event_sourcery_inbox RENAME TO kept;
             CREATE VIEW event_sourcery_inbox AS SELECT * FROM kept",
            "it is no table",
        ),
        // The server's flag, for not every build has such a collation.
        (
            "CREATE COLLATION alike (provider = libc, locale = 'C');
             ALTER TABLE event_sourcery_inbox ALTER COLUMN message_id TYPE varchar(255) COLLATE alike;
             UPDATE pg_collation SET collisdeterministic = false WHERE collname = 'alike'",
            "takes different ids for the same",
        ),
    ] {
        let (scene, _) = books().await;
        scene.run(change).await;
        let refused = Inbox::open(&scene.pool, "books").await.unwrap_err();
        assert!(
            matches!(&refused, Error::ForeignLayout { problem, .. } if problem.contains(says)),
            "{refused:?}"
        );
    }
}

/// What does not get in for another reason is no message that was handled.
#[tokio::test]
async fn a_unique_index_of_the_users_loses_no_message() {
    let (scene, inbox) = books().await;
    scene.run("CREATE UNIQUE INDEX ON event_sourcery_inbox (message_id)").await;
    let others = Inbox::open(&scene.pool, "statistics").await.unwrap();
    assert!(deliver(&scene, &inbox, "a").await);
    let mut tx = scene.begin().await;
    let refused = book(&others, &mut tx, "a").await.unwrap_err();
    assert!(matches!(refused, Error::Backend { .. }), "{refused:?}");
}

/// Somebody else's table of that name remembers nothing of it.
#[tokio::test]
async fn an_id_goes_where_the_inbox_was_opened_whatever_path_a_transaction_has() {
    let (scene, inbox) = books().await;
    let another = "(LIKE public.event_sourcery_inbox INCLUDING ALL)";
    scene.run(&format!("CREATE SCHEMA tenant; CREATE TABLE tenant.event_sourcery_inbox {another}")).await;
    assert!(deliver(&scene, &inbox, "a").await);
    let made = format!("CREATE TEMP TABLE event_sourcery_inbox {another} ON COMMIT DROP");
    for (number, path) in [(1, "SET LOCAL search_path = tenant, public"), (2, made.as_str())] {
        let mut tx = scene.begin().await;
        sqlx::raw_sql(AssertSqlSafe(path)).execute(&mut *tx).await.unwrap();
        assert!(!book(&inbox, &mut tx, "a").await.unwrap(), "{path}");
        assert!(book(&inbox, &mut tx, &format!("{number}")).await.unwrap(), "{path}");
        tx.commit().await.unwrap();
        assert!(!deliver(&scene, &inbox, &format!("{number}")).await, "{path}");
    }
    assert_eq!(scene.number("SELECT count(*) FROM public.event_sourcery_inbox").await, 3);
    assert_eq!(scene.number("SELECT count(*) FROM tenant.event_sourcery_inbox").await, 0);
}

/// It is acknowledged after the commit, and comes no more.
#[tokio::test]
async fn what_was_handled_is_on_disk_unless_it_may_be_lost() {
    let (scene, inbox) = books().await;
    let accepting = inbox.clone().accept_lost_commits(true);
    let set = [("off", &inbox, "on"), ("remote_apply", &inbox, "remote_apply"), ("off", &accepting, "off")];
    for (number, (set, inbox, expected)) in set.into_iter().enumerate() {
        let mut connection = scene.pool.acquire().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("SET synchronous_commit = {set}")))
            .execute(&mut *connection)
            .await
            .unwrap();
        let mut tx = connection.begin().await.unwrap();
        let id = number.to_string();
        let handling = inbox.handle::<(), Error, _>(&mut tx, &id, async |_| Ok(()));
        assert!(handling.await.unwrap().is_some());
        let now = "SHOW synchronous_commit";
        let committed: String = sqlx::query_scalar(now).fetch_one(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        let after: String = sqlx::query_scalar(now).fetch_one(&mut *connection).await.unwrap();
        assert_eq!((committed.as_str(), after.as_str()), (expected, set));
    }
}

#[tokio::test]
async fn ids_and_names_have_limits() {
    let (scene, inbox) = books().await;
    let mut tx = scene.begin().await;
    for id in ["", "a\0b", &"ü".repeat(128)] {
        let refused = book(&inbox, &mut tx, id).await.unwrap_err();
        assert!(matches!(refused, Error::InvalidOption { option: "message_id", .. }), "{id:?}: {refused:?}");
    }
    assert!(book(&inbox, &mut tx, &"ü".repeat(127)).await.unwrap(), "nothing was sent before");
    for name in ["", "a\0b", &"x".repeat(256)] {
        let refused = Inbox::open(&scene.pool, name).await.unwrap_err();
        assert!(matches!(refused, Error::InvalidOption { option: "consumer", .. }), "{name:?}: {refused:?}");
    }
    let refused = inbox.clone().keep_for(Duration::from_millis(999)).unwrap_err();
    assert!(matches!(refused, Error::InvalidOption { option: "keep_for", .. }));
    let for_ever = inbox.keep_for(Duration::MAX).unwrap();
    assert!(book(&for_ever, &mut tx, "b").await.unwrap(), "for as long as times go");
    let refused = for_ever.clone().keep_at_most(0).unwrap_err();
    assert!(matches!(refused, Error::InvalidOption { option: "keep_at_most", .. }));
    let all = for_ever.keep_at_most(u64::MAX).unwrap();
    assert!(book(&all, &mut tx, "c").await.unwrap(), "as many as there are");
}
