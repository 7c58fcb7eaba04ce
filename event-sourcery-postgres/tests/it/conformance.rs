//! The contract on PostgreSQL.

use event_sourcery::backend::JoinableBackend as _;
use event_sourcery::conformance::{self, Answer, Ending, FaultyBackend, Fixture, Reaction, Step};
use event_sourcery::{Durable, RawEvent, Result};
use event_sourcery_postgres::PostgresBackend;
use postgres_cluster::Server;
use uuid::Uuid;

/// A store in a schema of its own, in a database that all cases share: to create a database takes longer than most of them.
struct PostgresFixture {
    schema: String,
}

impl Fixture for PostgresFixture {
    type Backend = PostgresBackend;

    async fn create() -> Self {
        Self { schema: format!("case_{}", Uuid::new_v4().simple()) }
    }

    async fn connect(&self) -> PostgresBackend {
        Self::connect_to(self.address()).await
    }

    fn address(&self) -> String {
        self.schema.clone()
    }

    async fn connect_to(schema: String) -> PostgresBackend {
        PostgresBackend::options(Server::shared().url("postgres")).schema(schema).open().await.unwrap()
    }

    async fn transaction(
        &self,
        backend: &PostgresBackend,
        steps: Vec<Step>,
        ending: Ending,
    ) -> Result<Vec<Result<Answer>>> {
        let mut transaction = backend.begin().await?;
        let answers = conformance::run_joined_steps(&mut *backend.join(&mut transaction), steps).await;
        match ending {
            Ending::Commit => transaction.commit().await?,
            Ending::Fail => transaction.rollback().await?,
            Ending::Panic => drop(transaction),
        }
        Ok(answers)
    }

    fn run_exactly_once(
        durable: Durable<FaultyBackend<PostgresBackend>, RawEvent>,
        reaction: Reaction,
    ) -> impl Future<Output = Result<()>> + Send {
        conformance::run_within(durable, reaction)
    }

    // Each sequence takes a store of its own, and each operation a round trip: `scripts/soak` runs more of them.
    fn model_cases() -> u32 {
        300
    }
}

event_sourcery::conformance!(PostgresFixture);
