//! Clause 8.10: what a read model cannot take is passed over, and what it holds is forgotten.

use event_sourcery::{Projector, TenantId};

use super::feeding::Feeding;
use super::ledger::{ledger, tenant};
use super::projecting::{SUMS, cursor, fed, feed, model, model_by, project, with_records};
use super::subject::Subject;

pub(super) async fn clause_8_10_an_event_that_is_passed_over_is_not_given(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let events = with_records(&store, &stream, 7).await;
    let past = |number: usize| Feeding { is_past: true, ..fed(&events[number - 1]) };
    project(&subject, past(1)).await;
    assert_eq!(model(&store, &events[0]).await, ["anew"]);
    feed(&subject, &events[1]).await;
    project(&subject, past(4)).await;
    assert_eq!(model(&store, &events[0]).await, ["anew", "2", "3"], "what was missed before it");
    for _ in 0..2 {
        project(&subject, past(4)).await;
        project(&subject, past(3)).await;
        feed(&subject, &events[3]).await;
        assert_eq!(cursor(&subject, &TenantId::DEFAULT, &stream).await, Some(4));
    }
    project(&subject, past(5)).await;
    feed(&subject, &events[6]).await;
    assert_eq!(model(&store, &events[0]).await, ["anew", "2", "3", "6", "7"]);
}

pub(super) async fn clause_8_10_passing_over_an_event_of_a_stream_that_is_gone_does_nothing(
    subject: Subject,
) {
    let (store, stream) = (subject.store(), ledger("1"));
    let old = with_records(&store, &stream, 2).await;
    let past = || Feeding { is_past: true, ..fed(&old[1]) };
    store.delete_stream(&stream).await.unwrap();
    project(&subject, past()).await;
    let anew = with_records(&store, &stream, 3).await;
    project(&subject, past()).await;
    assert!(model(&store, &old[1]).await.is_empty());
    feed(&subject, &anew[1]).await;
    project(&subject, past()).await;
    feed(&subject, &anew[2]).await;
    assert_eq!(model(&store, &anew[0]).await, ["anew", "1", "2", "3"]);
}

pub(super) async fn clause_8_10_a_projector_that_is_forgotten_begins_anew_with_each_stream(subject: Subject) {
    let store = subject.store();
    let (one, two) = (ledger("1"), ledger("2").in_category("red").unwrap());
    let (ones, twos) = (with_records(&store, &one, 3).await, with_records(&store, &two, 2).await);
    for event in [&ones[1], &twos[1]] {
        feed(&subject, event).await;
        project(&subject, Feeding { projector: "other", ..fed(event) }).await;
    }

    Projector::new(SUMS).unwrap().forget(&store).await.unwrap();

    assert_eq!(cursor(&subject, &TenantId::DEFAULT, &one).await, None);
    feed(&subject, &ones[0]).await;
    feed(&subject, &ones[2]).await;
    assert_eq!(model(&store, &ones[0]).await, ["anew", "1", "2", "anew", "1", "2", "3"]);
    feed(&subject, &twos[1]).await;
    assert_eq!(model(&store, &twos[0]).await, ["anew", "1", "2", "anew", "1", "2"]);
    project(&subject, Feeding { projector: "other", ..fed(&ones[2]) }).await;
    assert_eq!(
        model_by("other", &store, &ones[0]).await,
        ["anew", "1", "2", "3"],
        "another is not forgotten"
    );
}

pub(super) async fn clause_8_10_a_tenants_handle_forgets_the_cursors_of_its_streams_alone(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let (acme, globex) = (store.for_tenant(tenant("acme")), store.for_tenant(tenant("globex")));
    let handles = [&store, &acme, &globex];
    for handle in handles {
        feed(&subject, with_records(handle, &stream, 2).await.last().unwrap()).await;
    }
    let sums = Projector::new(SUMS).unwrap();
    for (forgetting, left) in [(&acme, [Some(2), None, Some(2)]), (&store, [None; 3])] {
        sums.forget(forgetting).await.unwrap();
        for (handle, expected) in handles.iter().zip(left) {
            assert_eq!(cursor(&subject, handle.tenant_id(), &stream).await, expected);
        }
    }
}
