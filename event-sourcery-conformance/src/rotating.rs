//! Clause 13.4: the master key is changed, and no event is touched.

use std::sync::Arc;

use event_sourcery::Error;
use event_sourcery::backend::OldKeysRequest;
use event_sourcery::privacy::{Encryption, KeyWrapping as _, MasterKey};

use super::customers::{Customers as _, Registered, ann, bob, customers, registered};
use super::running::eventually;
use super::subject::Subject;
use super::worker::{self, Worker};

/// More keys than a process has wrapped anew by the time that it is killed.
const KEYS: usize = 1_200;

/// How often the master is changed from one to the next.
const CHANGES: u8 = 3;

fn master(number: u8) -> MasterKey {
    MasterKey::from_bytes([number; 32])
}

/// What changes from this master to the next one. The other cases have the first.
fn from(number: u8) -> Encryption {
    Encryption::new(master(number + 1)).with_former(master(number))
}

pub(super) async fn clause_13_4_the_master_is_changed_while_others_write(subject: Subject) {
    let (old, writer) = (subject.private(), subject.another_private().await);
    let name = |number: usize| number.to_string();
    for number in 0..300 {
        let event = registered(&name(number), "ann@example.com");
        old.append(&customers(&name(number)), event).await.unwrap();
    }
    let new = subject.another_store().await.with_encryption(from(1)).unwrap();
    let writes = tokio::spawn(async move {
        for number in 300..340 {
            let event = registered(&number.to_string(), "ann@example.com");
            writer.append(&customers(&number.to_string()), event).await.unwrap();
        }
    });
    let first = new.rotate_keys().await.unwrap();
    assert!((300..=340).contains(&first), "{first}");
    writes.await.unwrap();
    assert_eq!(new.rotate_keys().await.unwrap(), 340 - first);
    assert_eq!(new.rotate_keys().await.unwrap(), 0);
    let by = MasterKey::from_bytes([2; 32]);
    let left = subject.backend().old_keys(OldKeysRequest::new(by.name().into(), 10)).await.unwrap();
    assert!(left.is_empty());

    let alone = Encryption::new(by);
    let alone = subject.another_store().await.with_encryption(alone).unwrap();
    for number in [0, 255, 256, 299, 339] {
        assert_eq!(alone.registrations(&customers(&name(number))).await[0].email, "ann@example.com");
    }
    let gone = subject.another_private().await;
    let read = gone.load_stream::<Registered>(&customers("0")).await;
    assert_refused!(read, Error::KeyNotUnwrapped { .. });
}

pub(super) async fn clause_13_4_a_key_of_a_shredded_subject_is_not_wrapped_anew(subject: Subject) {
    let store = subject.private();
    store.append(&customers("17"), ann()).await.unwrap();
    store.append(&customers("18"), bob()).await.unwrap();
    store.shred("17").await.unwrap();
    let new = subject.another_store().await.with_encryption(from(1)).unwrap();
    assert_eq!(new.rotate_keys().await.unwrap(), 1);
    assert_eq!(new.registrations(&customers("17")).await[0].email, "forgotten");
    assert_eq!(new.registrations(&customers("18")).await, [bob()]);
}

/// What a killed process has left to do, another one does, and loses no key; somebody who knows the former master alone writes in between.
pub(super) async fn clause_13_4_a_change_of_the_master_that_is_killed_goes_on(subject: Subject) {
    if subject.is_another_process() {
        return change(&subject).await;
    }
    let stream = customers("all");
    let told: Vec<_> = (0..KEYS).map(|number| registered(&number.to_string(), "ann@example.com")).collect();
    subject.private().append(&stream, told.clone()).await.unwrap();
    let mut left_behind = 0;
    for number in 1..=CHANGES {
        let by: Arc<str> = master(number + 1).name().into();
        let left = async || {
            let request = OldKeysRequest::new(Arc::clone(&by), 2 * KEYS);
            subject.backend().old_keys(request).await.unwrap().len()
        };
        let before = left().await;
        let mut process = Worker::start(&subject);
        process.order(&number.to_string()).await;
        eventually("some keys are wrapped anew", async || left().await < before).await;
        // Which kills it.
        drop(process);
        left_behind += left().await;

        let former = subject.another_store().await.with_encryption(Encryption::new(master(number))).unwrap();
        let late = customers(&format!("late {number}"));
        former.append(&late, registered(&format!("late {number}"), "ann@example.com")).await.unwrap();
        let both = subject.another_store().await.with_encryption(from(number)).unwrap();
        assert_eq!(both.registrations(&stream).await, told, "under either master");
        assert!(both.rotate_keys().await.unwrap() > 0);
        assert_eq!(left().await, 0);
        let alone = Encryption::new(master(number + 1));
        let alone = subject.another_store().await.with_encryption(alone).unwrap();
        assert_eq!(alone.registrations(&stream).await, told);
        assert_eq!(alone.registrations(&late).await.len(), 1);
    }
    assert!(left_behind > 0, "no process was killed before it was done");
}

/// In a worker: it may be killed at any time.
async fn change(subject: &Subject) {
    let Some(number) = worker::next_order() else { return };
    let store = subject.store().with_encryption(from(number.parse().unwrap())).unwrap();
    store.rotate_keys().await.unwrap();
    // Until it is killed.
    worker::next_order();
}
