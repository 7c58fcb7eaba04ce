//! *Save and read events*, the first page of the guide, as a program.
//!
//! ```sh
//! cargo run --example invoices
//! ```
//!
//! The store is `invoices.db` in the current directory. Run it again: it goes on with what is there.

use event_sourcery::{Error, Event, EventStore, Result, StreamId, Version};
use event_sourcery_sqlite::SqliteBackend;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize, Debug)]
struct InvoicePaid {
    invoice_number: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let store = EventStore::new(SqliteBackend::open("invoices.db").await?).erased();

    basic_usage(&store).await?;
    explicit_versioning(&store).await?;
    concurrent_writes(&store).await?;
    no_versioning(&store).await?;
    another_kind_of_versioning(&store).await
}

/// Persists an event, and retrieves the stream.
async fn basic_usage(store: &EventStore) -> Result<()> {
    println!("Basic usage");
    let stream = StreamId::from_name("invoices/1003")?;

    let present = store.load_stream::<InvoicePaid>(&stream).await?;
    println!("  Events in {stream} so far: {}.", present.len());

    // The last of no events has no version: the stream must not exist yet, and this append creates it.
    let last_version = present.last().and_then(|last| last.version);
    store.append(&stream, paid("1003")).expected_version(last_version).await?;

    println!("  One more is appended. Now it holds:");
    for event in store.load_stream::<InvoicePaid>(&stream).await? {
        println!("    {}: {:?}", shown(event.version), event.event);
        println!("      {}, {}", event.uuid, event.created_at);
        println!("      {:?}", event.context);
    }
    Ok(())
}

/// The first append needs no expected version; each later one does.
async fn explicit_versioning(store: &EventStore) -> Result<()> {
    println!("\nExplicit versioning");
    let stream = StreamId::from_name("invoices/1111")?;

    if store.load_stream::<InvoicePaid>(&stream).await?.is_empty() {
        let created = store.append(&stream, paid("1111")).await?;
        println!(
            "  The first append, without an expected version, creates {stream} at {}.",
            shown(created.last_version)
        );
    }

    println!("  Another one without an expected version:");
    if let Err(refused @ Error::Conflict { .. }) = store.append(&stream, paid("1112")).await {
        println!("    Conflict: {refused}");
    }

    let present_events = store.load_stream::<InvoicePaid>(&stream).await?;
    let last_version = present_events.last().and_then(|last| last.version);
    // ... some logic
    let appended = store.append(&stream, paid("1112")).expected_version(last_version).await?;
    println!("  The same, expecting {}: appended as {}.", shown(last_version), shown(appended.last_version));
    Ok(())
}

/// Of two writers that have loaded the same version, one wins.
async fn concurrent_writes(store: &EventStore) -> Result<()> {
    println!("\nConcurrent writes");
    let stream = StreamId::from_name("invoices/1111")?;
    let loaded = store.load_stream::<InvoicePaid>(&stream).await?;
    let last_version = loaded.last().and_then(|last| last.version);

    println!("  Two writers expect {} of {stream}:", shown(last_version));
    let writers = ["1113", "1114"].map(|number| {
        let (store, stream) = (store.clone(), stream.clone());
        tokio::spawn(async move { store.append(&stream, paid(number)).expected_version(last_version).await })
    });
    for (writer, name) in writers.into_iter().zip(["one", "the other"]) {
        match writer.await {
            Ok(Ok(appended)) => println!("    {name} wins: appended as {}.", shown(appended.last_version)),
            Ok(Err(refused @ Error::Conflict { .. })) => println!("    {name}: Conflict: {refused}"),
            other => println!("    {name}: {other:?}"),
        }
    }
    Ok(())
}

/// No protection, when it is not needed; and then for every append to the stream.
async fn no_versioning(store: &EventStore) -> Result<()> {
    println!("\nNo versioning");
    let unversioned = StreamId::from_name("invoices/123")?;
    let versioned = StreamId::from_name("invoices/1111")?;

    store.append(&unversioned, paid("1111")).no_versioning().await?;
    store.append(&unversioned, paid("1112")).no_versioning().await?;

    let events = store.load_stream::<InvoicePaid>(&unversioned).await?;
    let versions = events.iter().filter_map(|event| event.version).count();
    println!("  {unversioned} holds {} events, {versions} of them with a version.", events.len());

    println!("  An append to it that expects a version:");
    let append = store.append(&unversioned, paid("1113")).expected_version(2);
    if let Err(refused @ Error::ExpectedVersionUsedOnVersionlessStream { .. }) = append.await {
        println!("    ExpectedVersionUsedOnVersionlessStream: {refused}");
    }

    println!("  An append without versioning to a versioned stream:");
    let append = store.append(&versioned, paid("1115")).no_versioning();
    if let Err(refused @ Error::NoExpectedVersionGivenOnVersionedStream { .. }) = append.await {
        println!("    NoExpectedVersionGivenOnVersionedStream: {refused}");
    }
    Ok(())
}

/// A stream keeps its kind of versioning for life: deleting it and creating a new one is the way to another kind.
async fn another_kind_of_versioning(store: &EventStore) -> Result<()> {
    println!("\nAnother kind of versioning");
    let stream = StreamId::from_name("invoices/draft")?;

    store.delete_stream(&stream).await?;
    let before = store.append(&stream, paid("draft")).no_versioning().await?;
    store.delete_stream(&stream).await?;
    let after = store.append(&stream, paid("draft")).await?;

    println!("  {stream} had {}.", shown(before.last_version));
    println!("  Deleted and created anew, it is at {}.", shown(after.last_version));
    Ok(())
}

fn paid(invoice_number: &str) -> InvoicePaid {
    InvoicePaid { invoice_number: invoice_number.into() }
}

fn shown(version: Option<Version>) -> String {
    version.map_or_else(|| "no version".to_owned(), |version| format!("version {version}"))
}
