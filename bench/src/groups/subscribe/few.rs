//! Fifty events of five streams among very many, and a backlog of very many: beside the same among a hundred thousand.

use std::sync::Mutex;
use std::time::Instant;

use event_sourcery::{Category, EventStore, RawEvent, TenantId};
use tokio::sync::oneshot;

use super::caught_up;
use crate::Result;
use crate::bench::Bench;
use crate::figure::{Figure, Pair, Target};
use crate::invoice::streams;

/// Among how many events it is looked at beside.
pub const FEWER: usize = 100_000;

const CATEGORY: &str = "lost";
const TENANT: &str = "rare";
const SUBSCRIPTION: &str = "behind";
const ROUNDS: usize = 5;

/// What is asked for, and told how far behind it is.
const ASKED: [&str; 4] = ["few/category", "few/tenant", "few/no-event", "status"];

pub async fn measure(bench: &mut Bench, prefix: &str, many: &EventStore, fewer: &EventStore) -> Result<()> {
    for store in [many, fewer] {
        add_few(store).await?;
        fall_behind(store).await?;
    }
    for asked in ASKED {
        let mut pairs = Vec::new();
        for _ in 0..bench.pairs.min(ROUNDS) {
            pairs.push(Pair { ours: ask(many, asked).await?, baseline: ask(fewer, asked).await? });
        }
        let name = format!("{prefix}/{asked}");
        bench.report(Figure::of(
            &name,
            "ms among 10 million",
            &pairs,
            "among 100,000",
            Target::AtMost(1.5),
        ))?;
    }
    Ok(())
}

async fn add_few(store: &EventStore) -> Result<()> {
    let store = store.for_tenant(TenantId::new(TENANT)?);
    for stream in streams("few", 5)? {
        let lost = |number| RawEvent::new("InvoiceLost", format!(r#"{{"number":{number}}}"#));
        let events = (0..10).map(lost).collect::<Result<Vec<_>, _>>()?;
        store.append(&stream.in_category(CATEGORY)?, events).await?;
    }
    Ok(())
}

/// A subscription that has handled one event, and stopped.
async fn fall_behind(store: &EventStore) -> Result<()> {
    let (stop, stopped) = oneshot::channel::<()>();
    let stop = Mutex::new(Some(stop));
    let until = async move { drop(stopped.await) };
    let durable = store.subscribe::<RawEvent>().durable(SUBSCRIPTION).batch(1).until(until);
    let handle = async |_, _| {
        drop(stop.lock().map(|mut stop| stop.take()));
        Ok(())
    };
    Ok(durable.run(handle).await?)
}

/// How long an answer takes, in milliseconds.
async fn ask(store: &EventStore, asked: &str) -> Result<f64> {
    let of_tenant = |name| Ok::<_, event_sourcery::Error>(store.for_tenant(TenantId::new(name)?));
    let began = Instant::now();
    match asked {
        "few/category" => {
            caught_up(store.subscribe::<RawEvent>().category(Category::new(CATEGORY)?)).await?;
        }
        "few/tenant" => {
            caught_up(of_tenant(TENANT)?.subscribe::<RawEvent>()).await?;
        }
        "few/no-event" => {
            caught_up(of_tenant("nobody")?.subscribe::<RawEvent>()).await?;
        }
        _ => {
            let status = store.subscribe::<RawEvent>().durable(SUBSCRIPTION).status().await?;
            let status = status.ok_or("the subscription has never run")?;
            if !status.has_more {
                return Err(format!("{status:?} has the end in sight").into());
            }
        }
    }
    Ok(began.elapsed().as_secs_f64() * 1e3)
}
