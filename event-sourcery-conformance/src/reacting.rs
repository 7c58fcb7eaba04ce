//! Clause 8.11: what a handler appends carries the context of the event that it handles.

use event_sourcery::{Context, Event as _, EventStore, RawEvent, StreamId, WrappedEvent};
use uuid::Uuid;

use super::exactly_once::Handing;
use super::ledger::{Noted, ledger, noted, number, tenant};
use super::reaction::{Deed, End, Reaction};
use super::running::{Running, Settings, eventually, letters};
use super::subject::Subject;

const CORRELATION: Uuid = Uuid::from_u128(17);

/// Two events of a tenant and one of none, one of them without a correlation id.
async fn with_causes(store: &EventStore) -> Vec<WrappedEvent<Noted>> {
    let (acme, stream) = (store.for_tenant(tenant("acme")), ledger("causes"));
    let correlated = noted(1).with_context(Context::new().with_correlation_id(CORRELATION));
    acme.append(&stream, (correlated, noted(2))).await.unwrap();
    store.append(&stream, noted(3)).await.unwrap();
    let mut causes = acme.load_stream::<Noted>(&stream).await.unwrap();
    causes.extend(store.load_stream::<Noted>(&stream).await.unwrap());
    causes
}

/// What a handler appends about an event: one as it is, and one with a context of its own.
fn reactions(number: u64) -> [(StreamId, event_sourcery::NewEvent<RawEvent>); 2] {
    let posted = || RawEvent::new("posted", "{}").unwrap();
    let own = Context::new().with_correlation_id(Uuid::from_u128(1)).with_causation_id(Uuid::from_u128(2));
    [
        (ledger(&format!("effect {number}")), posted().with_context(Context::new())),
        (ledger(&format!("own {number}")), posted().with_context(own)),
    ]
}

async fn assert_context_flows(store: &EventStore, causes: &[WrappedEvent<Noted>]) {
    let acme = store.for_tenant(tenant("acme"));
    for (handle, cause) in [(&acme, &causes[0]), (&acme, &causes[1]), (store, &causes[2])] {
        for (stream, _) in reactions(cause.event.number) {
            let load = async || handle.load_stream::<RawEvent>(&stream).await.unwrap();
            eventually(&format!("{stream} is appended to"), async || !load().await.is_empty()).await;
            let context = load().await.remove(0).context;
            let ids = (context.correlation_id(), context.causation_id());
            let is_own = stream.name().is_some_and(|name| name.contains("own"));
            let own = (Some(Uuid::from_u128(1)), Some(Uuid::from_u128(2)));
            let inherited = (cause.context.correlation_id(), Some(cause.uuid));
            assert_eq!(ids, if is_own { own } else { inherited }, "{stream}");
        }
    }
    assert_eq!(causes[0].context.correlation_id(), Some(CORRELATION));
}

pub(super) async fn clause_8_11_what_a_handler_appends_carries_the_context_and_tenant_of_its_event(
    subject: Subject,
) {
    let store = subject.store();
    let causes = with_causes(&store).await;
    let run = Running::start(letters(&store), |recorded, store| async move {
        for (stream, event) in reactions(recorded.wrapped_event.event.number) {
            store.append(&stream, event).no_versioning().await?;
        }
        Ok(())
    });
    assert_context_flows(&store, &causes).await;
    run.stop().await;
}

pub(super) async fn clause_8_11_what_a_handler_appends_through_its_transaction_carries_them_too(
    subject: Subject,
) {
    assert_context_flows_in_transactions(subject, Handing::OneByOne).await;
}

pub(super) async fn clause_8_11_what_a_handler_of_batches_appends_through_its_transaction_carries_it_too(
    subject: Subject,
) {
    assert_context_flows_in_transactions(subject, Handing::InBatches).await;
}

async fn assert_context_flows_in_transactions(subject: Subject, handing: Handing) {
    let store = subject.store();
    let causes = with_causes(&store).await;
    let reaction = Reaction::new(|recorded| {
        let appends = reactions(number(recorded)).into();
        Deed { deletes: Vec::new(), shreds: Vec::new(), appends, end: End::Done }
    });
    let reactor = subject.reactor().await;
    let run = Running::exactly_once(&reactor, Settings::default(), handing.to(reaction));
    assert_context_flows(&store, &causes).await;
    run.stop().await;
}

pub(super) async fn clause_8_11_what_a_handler_of_batches_appends_in_reaction_to_an_event_carries_its_context(
    subject: Subject,
) {
    let store = subject.store();
    let causes = with_causes(&store).await;
    let run = Running::start_batches(letters(&store), |batch, store| async move {
        for recorded in batch {
            for (stream, event) in reactions(recorded.wrapped_event.event.number) {
                store.reacting_to(&recorded).append(&stream, event).no_versioning().await?;
            }
        }
        Ok(())
    });
    assert_context_flows(&store, &causes).await;
    run.stop().await;
}
