//! The balances as a table, kept by a durable subscription.

use std::time::Duration;

use event_sourcery::{Category, EventStore, Recorded, Source};
use event_sourcery_sqlite::SqliteBackend;

use super::Failure;
use super::account::AccountEvent;

/// How long a balance may take at most, at a time.
const PATIENCE: Duration = Duration::from_secs(10);

/// By how many cents an event changes a balance.
pub(crate) fn change(event: &AccountEvent) -> i64 {
    let signed = |cents: u64| i64::try_from(cents).unwrap_or(i64::MAX);
    match event {
        AccountEvent::Opened { .. } => 0,
        AccountEvent::Deposited { cents } | AccountEvent::Received { cents, .. } => signed(*cents),
        AccountEvent::Sent { cents, .. } => -signed(*cents),
    }
}

/// Every account by name with its balance, once all that has happened is in the table.
pub(crate) async fn up_to_date(store: &EventStore<SqliteBackend>) -> Result<Vec<(String, u64)>, Failure> {
    let create = "CREATE TABLE IF NOT EXISTS balances (account TEXT PRIMARY KEY, cents INTEGER NOT NULL)";
    store.transaction(move |tx| Ok::<_, Failure>(tx.connection().execute(create, [])?)).await?;
    let balances = || {
        let accounts = Category::new("accounts").map(|accounts| store.subscribe().category(accounts));
        accounts.map(|accounts| accounts.durable("balances"))
    };
    let (watched, settled) = (balances()?, store.position().await?);
    let caught_up = async move {
        // Until the subscription has run for the first time there is nothing to wait for.
        while watched.wait_for_everything(settled, PATIENCE).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    balances()?
        .until(caught_up)
        .run_in_transaction(|recorded: Recorded<AccountEvent>, tx| {
            let name = recorded.stream_id.name().ok_or("an account has a name")?.to_owned();
            let upsert = "INSERT INTO balances VALUES (?1, ?2)
                          ON CONFLICT (account) DO UPDATE SET cents = cents + excluded.cents";
            tx.connection().execute(upsert, (name, change(recorded.event())))?;
            Ok::<_, Source>(())
        })
        .await?;
    store
        .transaction(|tx| {
            let mut statement =
                tx.connection().prepare("SELECT account, cents FROM balances ORDER BY account")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok::<_, Failure>(rows.collect::<Result<_, _>>()?)
        })
        .await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use event_sourcery::StreamId;
    use event_sourcery::testing::history;
    use event_sourcery::uuid::Uuid;

    use super::*;

    #[test]
    fn what_is_sent_goes_from_one_balance_to_the_other() {
        let [one, other] = ["Ada", "Grace"].map(|name| StreamId::from_name(name).unwrap());
        let by_account = |model: &mut BTreeMap<Uuid, i64>, recorded: &Recorded<AccountEvent>| {
            *model.entry(recorded.stream_id.uuid()).or_default() += change(recorded.event());
        };
        history(&one, AccountEvent::Deposited { cents: 70 })
            .and(&one, AccountEvent::Sent { to: other.uuid(), cents: 50 })
            .and(&other, AccountEvent::Received { from: one.uuid(), cents: 50 })
            .projected(BTreeMap::new(), by_account)
            .then(&BTreeMap::from([(one.uuid(), 20), (other.uuid(), 50)]));
    }
}
