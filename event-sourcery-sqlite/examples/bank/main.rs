//! A bank: accounts as aggregates, transfers between them from many tasks at once, and a read model of the balances.
//!
//! ```sh
//! cargo run --example bank                 # in bank.db; run it again: it goes on with what is there
//! cargo run --example bank -- FILE TASKS TRANSFERS
//! ```
//!
//! However the transfers meet, no money is made or lost. `account.rs` has the rules and their tests.

mod account;
mod balances;
mod bank;

use std::error::Error;

use event_sourcery::{CommandError, EventStore, StreamId};
use event_sourcery_sqlite::SqliteBackend;
use tokio::task::JoinSet;

use crate::account::Refused;
use crate::bank::Bank;

type Failure = Box<dyn Error + Send + Sync>;

const OWNERS: [&str; 8] = ["Ada", "Barbara", "Edsger", "Grace", "Haskell", "John", "Margaret", "Tony"];
const CENTS_AT_FIRST: u64 = 100_000;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().unwrap_or_else(|| "bank.db".to_owned());
    let tasks: usize = arguments.next().map_or(Ok(32), |tasks| tasks.parse())?;
    let transfers: usize = arguments.next().map_or(Ok(25), |transfers| transfers.parse())?;

    let store = EventStore::new(SqliteBackend::open(file).await?);
    let bank = Bank::new(&store);
    let accounts: Vec<StreamId> = OWNERS.iter().map(StreamId::from_name).collect::<Result<_, _>>()?;
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        running.spawn(transfer_at_random(bank.clone(), accounts.clone(), transfers));
    }
    let (mut made, mut refused) = (0, 0);
    while let Some(done) = running.join_next().await {
        let (task_made, task_refused) = done??;
        (made, refused) = (made + task_made, refused + task_refused);
    }
    println!("{made} transfers made, {refused} refused");

    let listed = balances::up_to_date(&store).await?;
    for ((account, owner), (_, cents)) in accounts.iter().zip(OWNERS).zip(&listed) {
        assert_eq!(bank.balance(account).await?, *cents, "the read model says what the account says");
        println!("{owner:<10} {:>7}.{:02}", cents / 100, cents % 100);
    }
    let sum: u64 = listed.iter().map(|(_, cents)| cents).sum();
    println!("{:<10} {:>7}.{:02}", "together", sum / 100, sum % 100);
    if sum != CENTS_AT_FIRST * OWNERS.len() as u64 {
        return Err("money was made or lost".into());
    }
    Ok(())
}

/// How many transfers between any two accounts were made, and how many were refused.
async fn transfer_at_random(
    bank: Bank,
    accounts: Vec<StreamId>,
    transfers: usize,
) -> Result<(usize, usize), CommandError<Refused>> {
    let (mut made, mut refused) = (0, 0);
    // Every task does: of those who meet, one opens the account, and the others find it open.
    for (account, owner) in accounts.iter().zip(OWNERS) {
        bank.open(account, owner, CENTS_AT_FIRST).await?;
    }
    for _ in 0..transfers {
        let [from, to] = *fastrand::choose_multiple(&accounts, 2) else { continue };
        let cents = fastrand::u64(1..=CENTS_AT_FIRST / 5);
        match bank.transfer(from, to, cents).await {
            Ok(()) => made += 1,
            Err(CommandError::Rejected(Refused::NotEnough { .. })) => refused += 1,
            Err(other) => return Err(other),
        }
    }
    Ok((made, refused))
}
