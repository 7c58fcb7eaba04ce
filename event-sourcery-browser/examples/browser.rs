//! A bank to be looked into: two tenants, transfers that cause one another, a handler that fails now and then, and an outbox.
//!
//! ```sh
//! cargo run --example browser
//! ```
//!
//! It prints the address of a page of this machine, and goes on until it is interrupted.

use std::net::SocketAddr;
use std::time::Duration;

use event_sourcery::outbox::{BoxFuture, OutboxEntry, PublishError, Publisher};
use event_sourcery::uuid::Uuid;
use event_sourcery::{
    Category, Context, Error, Event, EventStore, MemoryBackend, RawEvent, Recorded, Source, StreamId,
    TenantId,
};
use event_sourcery_browser::{Access, Browser};
use serde::{Deserialize, Serialize};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How many accounts each bank has, and how many transfers there were before anybody looks.
const ACCOUNTS: u64 = 12;
const TRANSFERS: u64 = 60;

#[derive(Event, Serialize, Deserialize, Clone)]
enum AccountEvent {
    Opened { owner: String, address: Address },
    Deposited { cents: u64 },
    Sent { to: Uuid, cents: u64, note: String },
    Received { from: Uuid, cents: u64 },
}

#[derive(Serialize, Deserialize, Clone)]
struct Address {
    street: String,
    city: String,
}

#[derive(Event, Serialize, Deserialize)]
struct LetterSent {
    about: Uuid,
    pages: u8,
}

fn account(number: u64) -> Result<StreamId, Error> {
    StreamId::from_name(format!("accounts/{number}"))?.in_category("accounts")
}

async fn open_accounts(bank: &EventStore) -> Result<(), Error> {
    for number in 0..ACCOUNTS {
        let owner =
            ["Ada", "Grace", "Alan", "Edsger"].into_iter().cycle().nth(number as usize).unwrap_or("Barbara");
        let address = Address { street: format!("{number} Market Street"), city: "Springfield".into() };
        let opened = AccountEvent::Opened { owner: owner.into(), address };
        let request = bank.with_context(Context::new().with_correlation_id(Uuid::now_v7()));
        request.append(&account(number)?, [opened, AccountEvent::Deposited { cents: 100_000 }]).await?;
    }
    Ok(())
}

/// A transfer: what is received was caused by what was sent.
async fn transfer(bank: &EventStore, number: u64) -> Result<(), Error> {
    let (from, to) = (account(number % ACCOUNTS)?, account((number * 7 + 1) % ACCOUNTS)?);
    if from == to {
        return Ok(());
    }
    let cents = 100 + number * 37 % 900;
    let sent = AccountEvent::Sent { to: to.uuid(), cents, note: format!("transfer {number}") };
    let request = bank.with_context(Context::new().with_correlation_id(Uuid::now_v7()));
    let version = bank.version(&from).await?;
    request.append(&from, sent).expected_version(version).await?;
    let sent = bank.load_stream::<RawEvent>(&from).await?;
    let Some(sent) = sent.last() else { return Ok(()) };
    let version = bank.version(&to).await?;
    let received = AccountEvent::Received { from: from.uuid(), cents };
    bank.caused_by(sent).append(&to, received).expected_version(version).await?;
    Ok(())
}

/// Writes a letter for each transfer that was received; there is no paper for some.
async fn letter(recorded: Recorded<RawEvent>, bank: EventStore) -> Result<(), Source> {
    if recorded.event().name() != "Received" {
        return Ok(());
    }
    let position = recorded.position.to_i64();
    if position % 17 == 0 {
        return Err(format!("the printer is out of paper at {position}").into());
    }
    let sent = LetterSent { about: recorded.wrapped_event.uuid, pages: 1 };
    bank.append(&StreamId::from_name(format!("letters/{position}"))?.in_category("letters")?, sent)
        .no_versioning()
        .await?;
    Ok(())
}

/// Takes what is to be published, but for a receiver who is away.
struct Post;

impl Publisher for Post {
    fn publish<'a>(&'a self, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        let answer = |entry: &OutboxEntry| match entry.recorded().position.to_i64() % 23 {
            0 => Err(PublishError::refused("nobody of this name lives here")),
            _ => Ok(()),
        };
        Box::pin(async move { entries.iter().map(answer).collect() })
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let store =
        EventStore::new(MemoryBackend::new()).with_outbox(|event| event.event_name == "LetterSent")?.erased();
    let banks = ["north", "south"].map(|name| TenantId::new(name).map(|tenant| store.for_tenant(tenant)));
    let banks = banks.into_iter().collect::<Result<Vec<_>, _>>()?;
    for bank in &banks {
        open_accounts(bank).await?;
        for number in 0..TRANSFERS {
            transfer(bank, number).await?;
        }
    }

    let browser = Browser::new(store.clone()).allow(|request| Access::of_this_machine(request).and_act());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/", listener.local_addr()?);
    let service = browser.router().into_make_service_with_connect_info::<SocketAddr>();

    let accounts = store.subscribe::<RawEvent>().category(Category::new("accounts")?);
    let letters = accounts.durable("letters").attempts(1).run(letter);
    let publishing = store.outbox().run_forever(Post);
    tokio::select! {
        served = async { axum::serve(listener, service).await } => served?,
        written = letters => written?,
        published = publishing => published?,
        transferred = go_on(&banks) => transferred?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(())
}

/// A transfer now and then, for there to be something new.
async fn go_on(banks: &[EventStore]) -> Result<(), Error> {
    for (number, bank) in (TRANSFERS..).zip(banks.iter().cycle()) {
        tokio::time::sleep(Duration::from_millis(700)).await;
        transfer(bank, number).await?;
    }
    Ok(())
}
