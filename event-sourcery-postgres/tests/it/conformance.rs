//! The contract on PostgreSQL.

use event_sourcery::{Durable, Event, Listening, RawEvent, Result};
use event_sourcery_conformance::{
    self as conformance, Answer, Ear, Ending, FaultyBackend, Fixture, Reaction, Step,
};
use event_sourcery_postgres::{PostgresBackend, Rights};
use postgres_cluster::Server;
use uuid::Uuid;

use crate::scene::run_steps;

/// The role that the cases run as: with the rights of an application, and no others.
const APPLICATION: &str = "event_sourcery_application";

/// Whoever is first makes it.
const CREATE_ROLE: &str = "DO $$ BEGIN CREATE ROLE event_sourcery_application LOGIN;
                           EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";

/// A store in a schema of its own, in a database that all cases share: to create a database takes longer than most of them.
struct PostgresFixture {
    schema: String,
}

impl Fixture for PostgresFixture {
    type Backend = PostgresBackend;

    async fn create() -> Self {
        let schema = format!("case_{}", Uuid::new_v4().simple());
        let owner = || PostgresBackend::options(Server::shared().url("postgres")).schema(&schema);
        owner().open().await.unwrap();
        let grants = owner().grants(APPLICATION, Rights::Application).await.unwrap();
        Server::shared().psql("postgres", &format!("{CREATE_ROLE}; {grants}"));
        Self { schema }
    }

    async fn connect(&self) -> PostgresBackend {
        Self::connect_to(self.address()).await
    }

    fn address(&self) -> String {
        self.schema.clone()
    }

    async fn connect_to(schema: String) -> PostgresBackend {
        let url = Server::shared().url("postgres").replace("//postgres@", &format!("//{APPLICATION}@"));
        PostgresBackend::options(url).schema(schema).migrate(false).open().await.unwrap()
    }

    async fn transaction(
        &self,
        backend: &PostgresBackend,
        steps: Vec<Step>,
        ending: Ending,
    ) -> Result<Vec<Result<Answer>>> {
        run_steps(backend, steps, ending).await
    }

    fn run_exactly_once(
        durable: Durable<FaultyBackend<PostgresBackend>, RawEvent>,
        reaction: Reaction,
    ) -> impl Future<Output = Result<()>> + Send {
        conformance::run_within(durable, reaction)
    }

    fn listen<E: Event>(backend: &PostgresBackend, ear: Ear<E>) -> Result<Listening> {
        conformance::listen_within(backend, ear)
    }

    // Each sequence takes a store of its own, and each operation a round trip: `scripts/soak` runs more of them.
    fn model_cases() -> u32 {
        300
    }
}

event_sourcery_conformance::conformance!(PostgresFixture);
