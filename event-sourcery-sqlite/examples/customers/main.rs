//! The customers of a shop: they register and order; one of them asks what the shop keeps, and is forgotten. Then it is shown that
//! nothing is left.
//!
//! ```sh
//! cargo run --example customers                 # in customers.db; run it again: who was not forgotten is still there
//! cargo run --example customers -- FILE
//! ```
//!
//! `events.rs` has the marks, and is all that there is to write for it.

mod events;
mod left;
mod shop;

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use event_sourcery::uuid::Uuid;

use crate::events::Address;
use crate::shop::Shop;

type Failure = Box<dyn Error + Send + Sync>;

const ANN: [&str; 3] = ["Ann Lovelace", "ann@example.com", "12 Mill Lane"];
const BOB: [&str; 3] = ["Bob Babbage", "bob@example.com", "3 High Street"];

/// How long the log of the file may take to be emptied.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let file = std::env::args().nth(1).unwrap_or_else(|| "customers.db".to_owned());
    let shop = Shop::open(PathBuf::from(file)).await?;
    let ann = enter(&shop, ANN, "tea", 450).await?;
    let bob = enter(&shop, BOB, "coffee", 720).await?;

    println!("What the shop keeps of Ann:");
    show(&shop, ann).await?;
    let key = shop.wrapped_key(ann).await?.ok_or("Ann has no key")?;
    println!("  in the files, her wrapped key stands {} times", shop.places(&key)?);

    shop.forget(ann).await?;
    println!("Ann is forgotten:");
    show(&shop, ann).await?;
    println!("  in the files, her wrapped key stands {} times", until_gone(&shop, &key).await?);
    if let Err(refused) = shop.order(ann, "more tea", 450, address(ANN)).await {
        println!("  she orders: {refused}");
    }

    println!("Bob is not:");
    show(&shop, bob).await?;
    Ok(())
}

/// Somebody registers, and orders something.
async fn enter(
    shop: &Shop,
    [name, email, street]: [&str; 3],
    article: &str,
    cents: u64,
) -> Result<Uuid, Failure> {
    let customer = shop.register(name, email).await?;
    shop.order(customer, article, cents, address([name, email, street])).await?;
    Ok(customer)
}

fn address([_, _, street]: [&str; 3]) -> Address {
    Address { street: street.to_owned(), country: "England".to_owned() }
}

async fn show(shop: &Shop, customer: Uuid) -> Result<(), Failure> {
    for line in shop.told(customer).await? {
        println!("  {line}");
    }
    let (key, mentions) = shop.report(customer).await?;
    for mention in mentions {
        println!("  encrypted in {} {}: {}", mention.stream, mention.name, mention.fields.join(", "));
    }
    println!("  the key: {key:?}");
    match shop.mailing_list().await?.get(&customer.to_string()) {
        Some(email) => println!("  on the mailing list: {email}"),
        None => println!("  not on the mailing list"),
    }
    for personal in ANN.iter().chain(&BOB) {
        println!("  in the files, {personal:?} stands {} times", shop.places(personal.as_bytes())?);
    }
    Ok(())
}

/// Waits until these bytes are in no file any more: the log is emptied once nobody reads there.
async fn until_gone(shop: &Shop, bytes: &[u8]) -> Result<usize, Failure> {
    let began = Instant::now();
    loop {
        let places = shop.places(bytes)?;
        if places == 0 || began.elapsed() > PATIENCE {
            return Ok(places);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
