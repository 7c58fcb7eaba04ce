//! How the service starts and ends, and how it lives through the loss of its database.

use std::path::Path;
use std::time::Duration;

use postgres_cluster::Cluster;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::http::{Answer, request};
use super::service::{Service, invoicing, started, terminate};

/// Asks again until the answer has this status.
async fn until(status: u16, ask: impl AsyncFn() -> Answer) -> Answer {
    let asking = async {
        loop {
            let answer = ask().await;
            if answer.status == status {
                return answer;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(60), asking).await.expect("the answer that was waited for")
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_database_it_asks_to_try_again_and_recovers_by_itself() {
    let mut cluster = Cluster::start(&[]);
    let service = Service::start_on(cluster.create_database()).await;
    service.issue("1003").await.assert_status(201);
    let kept = service.kept();

    cluster.kill();
    for _ in 0..2 {
        let answers = tokio::join!(
            service.issue("1004"),
            service.pay("1003", 2000, 1),
            service.get("/invoices/1003"),
            service.get("/invoices/1003/events"),
        );
        for answer in <[Answer; 4]>::from(answers) {
            let answer = answer.assert_status(503);
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
    }

    cluster.start_again();
    until(200, async || service.get("/invoices/1003").await).await;
    assert_eq!(service.kept(), kept);
    service.pay("1003", 2000, 1).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_end_it_finishes_the_request_in_hand() {
    let mut service = Service::with_invoice("1003").await;
    let pool = sqlx::PgPool::connect(&service.database.url()).await.unwrap();
    let mut holder = pool.begin().await.unwrap();
    sqlx::query("SELECT * FROM invoices FOR UPDATE").execute(&mut *holder).await.unwrap();

    let ending = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&pool).await.unwrap() == 0 {
            sleep(Duration::from_millis(5)).await;
        }
        service.terminate().await;
        // It has heard: it takes no further connection.
        while service.takes_connections().await {
            sleep(Duration::from_millis(5)).await;
        }
        holder.rollback().await.unwrap();
    };
    let both = async { tokio::join!(service.pay("1003", 2000, 1), ending).0 };
    let paid = timeout(Duration::from_secs(60), both).await.expect("the payment is answered");

    paid.assert_status(200);
    assert!(service.ended().await.success());
    assert!(service.kept().starts_with("1003|ACME|5000|2000|partly paid\n"), "{}", service.kept());
}

#[tokio::test]
async fn started_again_it_goes_on_with_what_is_there() {
    let mut service = Service::with_invoice("1003").await;
    service.terminate().await;
    assert!(service.ended().await.success());

    let service = Service::start_on(service.into_database()).await;
    service.pay("1003", 5000, 1).await.assert_status(200);
}

#[tokio::test]
async fn it_says_what_it_lacks() {
    let output = invoicing().output().await.unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint.starts_with("invoicing: DATABASE_URL is not set"), "{complaint}");

    let nowhere = "postgres://postgres@127.0.0.1:1/invoicing";
    let output = invoicing().env("DATABASE_URL", nowhere).output().await.unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint.starts_with("invoicing: no connection to the database"), "{complaint}");
}

#[tokio::test]
async fn a_port_is_enough_to_listen_on() {
    let database = postgres_cluster::Server::shared().create_database();
    let mut command = invoicing();
    command.env("DATABASE_URL", database.url()).env("PORT", "0");
    let (_process, address) = started(command).await;
    assert!(address.starts_with("127.0.0.1:"), "{address}");
}

/// As the README says, without its `cargo run`.
#[tokio::test]
async fn it_runs_on_a_server_that_the_script_starts_for_it() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/with-postgres");
    let mut command = Command::new(script);
    command.arg("--fast").arg(invoicing().as_std().get_program());
    command.env_remove("DATABASE_URL").env("LISTEN", "127.0.0.1:0");
    let (mut process, address) = started(command).await;

    request(&address, "GET", "/invoices/1003", &[], None).await.assert_status(404);

    terminate(&process).await;
    assert!(timeout(Duration::from_secs(60), process.wait()).await.expect("it ends").unwrap().success());
}
