//! Savepoints of a closure's own, which are nothing to the next one in its transaction.

use super::*;

#[tokio::test]
async fn a_savepoint_that_a_closure_has_left_open_is_not_there_for_the_next_one() {
    let folder = TempDir::new().unwrap();
    let writer = start(&folder).await;
    // The first time it is not known yet that closures set any.
    for round in 1..=2 {
        let held = Held::hold(&writer).await;
        let mut closures = Vec::new();
        for statements in [
            "SAVEPOINT own; INSERT INTO rows VALUES (1)",
            "INSERT INTO rows VALUES (2); ROLLBACK TO own",
            "INSERT INTO rows VALUES (3); RELEASE own",
        ] {
            let work = move |tx: &mut SqliteTransaction<'_>| {
                tx.connection().execute_batch(statements).map_err(|error| Error::backend("own", error))
            };
            let writer = Arc::clone(&writer);
            closures.push(tokio::spawn(async move { writer.transaction(TenantId::DEFAULT, work).await }));
            // Its first poll sends it.
            tokio::task::yield_now().await;
        }
        held.release().await;
        let mut kept = Vec::new();
        for closure in closures {
            kept.push(closure.await.unwrap().is_ok());
        }
        assert_eq!(kept, [true, false, false], "in round {round}");
        assert_eq!(rows(&writer).await, round);
    }
}
