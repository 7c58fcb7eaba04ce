//! Clients that hang up by the hundred, and a process that is killed among them: what was answered is kept.

use std::time::Duration;

use futures_util::future::join_all;
use postgres_cluster::Server;
use serde_json::json;

use super::service::Service;

const ROUNDS: usize = 20;
const AT_ONCE: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_is_kept_whoever_hangs_up_and_even_if_it_is_killed() {
    let service = Service::start().await;
    let mut answered = Vec::new();
    for round in 0..ROUNDS {
        let requests = (0..AT_ONCE).map(|number| {
            let (service, name) = (&service, format!("{round}-{number}"));
            async move {
                if number % 2 == 0 {
                    let invoice = json!({ "number": name, "customer": "ACME", "total_cents": 5000 });
                    let moment = Duration::from_micros(fastrand::u64(..8_000));
                    service.hang_up("/invoices", &invoice, moment).await;
                    return None;
                }
                (service.issue(&name).await.status == 201).then_some(name)
            }
        });
        answered.extend(join_all(requests).await.into_iter().flatten());
        let open = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND state LIKE 'idle in transaction%'
             AND state_change < clock_timestamp() - interval '5 s'",
            service.database.name()
        );
        assert_eq!(Server::shared().psql("postgres", &open), "0", "a transaction was forgotten");
    }
    assert!(answered.len() > ROUNDS * AT_ONCE / 4, "{} of those who stayed were answered", answered.len());

    let database = service.kill().await;

    let rows = database.psql("SELECT number FROM invoices");
    let events = database.psql(
        "SELECT s.name FROM event_sourcery_streams s JOIN event_sourcery_events e ON e.db_stream_id = s.id",
    );
    for number in &answered {
        assert!(rows.lines().any(|row| row == number), "the row of {number} was answered and is gone");
    }
    let [mut rows, mut events]: [Vec<&str>; 2] = [rows.lines().collect(), events.lines().collect()];
    rows.sort_unstable();
    events.sort_unstable();
    assert_eq!(rows, events, "rows and events are kept together");
}
