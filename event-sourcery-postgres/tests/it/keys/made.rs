//! Keys are given once, whoever gives them, and are read, wrapped anew and listed.

use std::time::Duration;

use event_sourcery::backend::{
    Backend as _, JoinableBackend as _, NewKeysRequest, OldKeysRequest, RewrapRequest, SubjectKey, WrappedKey,
};
use event_sourcery::{Error, TenantId};
use event_sourcery_postgres::PostgresBackend;
use futures_util::future::join_all;

use super::{asked, create, found, key, new_keys, sealed, shredding, sorted, start, within};
use crate::scene::Scene;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_gives_keys_at_once_in_two_processes_all_are_told_the_same() {
    let scene = Scene::new().await;
    let other = scene.another_store().await;
    for round in 0..10 {
        let subjects: Vec<_> = (0..20).map(|number| format!("{round} {number}")).collect();
        let creating = (0..16).map(|number| {
            let backend = if number % 2 == 0 { scene.store.backend() } else { other.backend() };
            let (backend, mut subjects) = (backend.clone(), subjects.clone());
            fastrand::shuffle(&mut subjects);
            tokio::spawn(async move {
                let subjects: Vec<_> = subjects.iter().map(String::as_str).collect();
                create(&backend, &subjects).await
            })
        });
        let told: Vec<_> = join_all(creating).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(told[0].len(), subjects.len());
        assert!(told.iter().all(|keys| *keys == told[0]));
        let subjects: Vec<_> = subjects.iter().map(String::as_str).collect();
        assert_eq!(sorted(scene.store.backend().keys(asked(&subjects)).await.unwrap()), told[0]);
    }
}

/// Who gives a key waits for another transaction that gives one to the same subject, and uses what that leaves.
#[tokio::test]
async fn a_key_that_is_given_in_an_open_transaction_is_waited_for() {
    for commits in [true, false] {
        let scene = Scene::new().await;
        let backend = scene.store.backend();
        let mut tx = scene.begin().await;
        let theirs = backend.join(&mut tx).create_keys(&new_keys(&["alice"])).await.unwrap();
        assert_eq!(backend.join(&mut tx).keys(&asked(&["alice"])).await.unwrap(), theirs);
        assert_eq!(found(backend, "alice").await, None, "nobody else sees it");
        let ours = key("alice");
        let request = NewKeysRequest::new(TenantId::DEFAULT, vec![ours.clone()]);
        let end = async {
            scene.until_waiting(1).await;
            if commits { tx.commit().await.unwrap() } else { tx.rollback().await.unwrap() }
        };
        let (told, ()) = tokio::join!(backend.create_keys(request), end);
        assert_eq!(told.unwrap(), if commits { theirs } else { vec![ours] });
    }
}

#[tokio::test]
async fn who_waits_for_a_key_is_busy_in_time() {
    let scene = Scene::new().await;
    let patience = Duration::from_secs(1);
    let options = PostgresBackend::options(scene.database.url()).lock_timeout(patience);
    let backend = options.open().await.unwrap();
    let mut tx = scene.begin().await;
    backend.join(&mut tx).create_keys(&new_keys(&["alice"])).await.unwrap();
    let refused = backend.create_keys(new_keys(&["alice"])).await.unwrap_err();
    assert!(matches!(refused, Error::Busy { waited, .. } if waited >= patience), "{refused:?}");
    let refused = backend.append(shredding(&["alice"])).await.unwrap_err();
    assert!(matches!(refused, Error::Busy { waited, .. } if waited >= patience), "{refused:?}");
    tx.rollback().await.unwrap();
    assert!(create(&backend, &["alice"]).await[0].wrapped.is_some());
}

#[tokio::test]
async fn a_key_that_was_shredded_is_given_to_nobody_again() {
    let scene = Scene::new().await;
    let backend = scene.store.backend();
    let alice = create(backend, &["alice"]).await.remove(0);
    backend.append(shredding(&["alice", "bob"])).await.unwrap();
    let shredded = SubjectKey::shredded("alice".into(), alice.id);
    assert_eq!(create(backend, &["alice"]).await, [shredded]);
    assert_eq!(create(backend, &["bob"]).await[0].wrapped, None, "he never had one");
    let first = "SELECT extract(epoch FROM shredded_at)::text FROM event_sourcery_subject_keys WHERE subject = 'alice'";
    let before = scene.database.psql(first);
    backend.append(shredding(&["alice"])).await.unwrap();
    assert_eq!(scene.database.psql(first), before, "it was shredded then");
}

/// What is refused takes nothing else back.
#[tokio::test]
async fn keys_are_given_and_shredded_with_the_callers_transaction() {
    let scene = Scene::new().await.with_own_table().await;
    let backend = scene.store.backend();
    let mut tx = scene.begin().await;
    let keys = backend.join(&mut tx).create_keys(&new_keys(&["alice"])).await.unwrap();
    within(&scene, &mut tx, &sealed(1, &keys)).await.unwrap();
    within(&scene, &mut tx, &shredding(&["alice"])).await.unwrap();
    within(&scene, &mut tx, &sealed(1, &keys)).await.unwrap_err();
    crate::scene::insert_invoice(&mut tx, "1003").await;
    assert_eq!(found(backend, "alice").await, None);
    tx.commit().await.unwrap();
    assert_eq!(scene.events().await, 2);
    assert_eq!(scene.number("SELECT count(*) FROM invoices").await, 1);
    assert_eq!(found(backend, "alice").await, Some(SubjectKey::shredded("alice".into(), keys[0].id)));

    let keys = create(backend, &["bob"]).await;
    let mut tx = scene.begin().await;
    within(&scene, &mut tx, &shredding(&["bob"])).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(found(backend, "bob").await.as_ref(), keys.first());
}

#[tokio::test]
async fn a_key_is_wrapped_anew_only_where_it_is_still_the_one_that_was_read() {
    let scene = Scene::new().await;
    let backend = scene.store.backend();
    let before = create(backend, &["alice"]).await.remove(0);
    let anew = WrappedKey::new("second".into(), [7_u8; 48].as_slice().into());
    let rewrap = || RewrapRequest::new(TenantId::DEFAULT, before.clone(), anew.clone());
    let after = SubjectKey::new("alice".into(), before.id, anew.clone());

    // In the way: an append that is sealed with it.
    let mut tx = scene.begin().await;
    within(&scene, &mut tx, &sealed(1, std::slice::from_ref(&before))).await.unwrap();
    let end = async {
        scene.until_waiting(1).await;
        tx.commit().await.unwrap();
    };
    let (rewrapped, ()) = tokio::join!(backend.rewrap_key(rewrap()), end);
    assert!(rewrapped.unwrap());
    assert_eq!(found(backend, "alice").await.as_ref(), Some(&after));
    assert!(!backend.rewrap_key(rewrap()).await.unwrap(), "it is wrapped so already");
    backend.append(sealed(1, std::slice::from_ref(&after))).await.unwrap();

    // In the way: a shredding, which wins.
    let mut tx = scene.begin().await;
    within(&scene, &mut tx, &shredding(&["alice"])).await.unwrap();
    let later = WrappedKey::new("third".into(), [1_u8].as_slice().into());
    let late = RewrapRequest::new(TenantId::DEFAULT, after, later);
    let end = async {
        scene.until_waiting(1).await;
        tx.commit().await.unwrap();
    };
    let (rewrapped, ()) = tokio::join!(backend.rewrap_key(late), end);
    assert!(!rewrapped.unwrap());
    assert_eq!(found(backend, "alice").await.unwrap().wrapped, None);
}

/// By their bytes, as every backend has it: upper case before lower case, and both before what has accents.
#[tokio::test]
async fn old_keys_are_listed_in_pages_in_the_order_of_tenants_and_subjects() {
    let scene = Scene::new().await;
    let backend = scene.store.backend();
    let tenants = [TenantId::DEFAULT, TenantId::new("Zeta").unwrap(), TenantId::new("alpha").unwrap()];
    let subjects = ["B", "a", "b", "ä"];
    for tenant in tenants.iter().rev() {
        let keys = subjects.iter().rev().map(|subject| key(subject)).collect();
        backend.create_keys(NewKeysRequest::new(tenant.clone(), keys)).await.unwrap();
    }
    backend.append(shredding(&["b"])).await.unwrap();
    let (mut listed, mut request) = (Vec::new(), OldKeysRequest::new("second".into(), 3));
    loop {
        let page = backend.old_keys(request.clone()).await.unwrap();
        let Some((tenant, last)) = page.last().cloned() else { break };
        request = request.with_after(tenant, last.subject);
        listed.extend(page.into_iter().map(|(tenant, key)| (tenant, key.subject.to_string())));
    }
    let all = tenants.iter().flat_map(|tenant| subjects.map(|subject| (tenant.clone(), subject.to_owned())));
    let shredded = (TenantId::DEFAULT, "b".to_owned());
    assert_eq!(listed, all.filter(|key| *key != shredded).collect::<Vec<_>>());
    assert!(backend.old_keys(OldKeysRequest::new("first".into(), 3)).await.unwrap().is_empty());
}

/// Tenants have keys of their own.
#[tokio::test]
async fn a_shredding_leaves_other_tenants_keys_alone() {
    let scene = Scene::new().await;
    let backend = scene.store.backend();
    let acme = TenantId::new("acme").unwrap();
    create(backend, &["alice"]).await;
    let theirs = NewKeysRequest::new(acme.clone(), vec![key("alice")]);
    let theirs = backend.create_keys(theirs).await.unwrap();
    start(&scene, shredding(&["alice"])).await.unwrap().unwrap();
    let mut request = asked(&["alice"]);
    request.tenant = acme;
    assert_eq!(backend.keys(request).await.unwrap(), theirs);
    assert_eq!(found(backend, "alice").await.unwrap().wrapped, None);
}
