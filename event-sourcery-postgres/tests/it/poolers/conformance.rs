//! A part of the contract through PgBouncer in transaction mode: a case of each kind.

use event_sourcery::{Durable, Event, Listening, RawEvent, Result};
use event_sourcery_conformance::{
    self as conformance, Answer, Ear, Ending, FaultyBackend, Fixture, Reaction, Step,
};
use event_sourcery_postgres::PostgresBackend;
use postgres_cluster::{Pooler, Pooling, Server};
use uuid::Uuid;

use crate::scene::run_steps;

/// A store in a schema of its own, behind a pooler of its own.
struct PooledFixture {
    _pooler: Pooler,
    url: String,
    schema: String,
}

impl Fixture for PooledFixture {
    type Backend = PostgresBackend;

    async fn create() -> Self {
        let pooler = Pooler::start(&Server::shared(), Pooling::Transaction, 20);
        let url = pooler.url_of("postgres");
        Self { _pooler: pooler, url, schema: format!("case_{}", Uuid::new_v4().simple()) }
    }

    async fn connect(&self) -> PostgresBackend {
        Self::connect_to(self.address()).await
    }

    fn address(&self) -> String {
        format!("{} {}", self.url, self.schema)
    }

    async fn connect_to(address: String) -> PostgresBackend {
        let (url, schema) = address.split_once(' ').unwrap();
        PostgresBackend::options(url).schema(schema).transaction_pooler(true).open().await.unwrap()
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

    fn model_cases() -> u32 {
        20
    }
}

macro_rules! cases {
    ($($case:ident),* $(,)?) => {$(
        #[test]
        fn $case() {
            conformance::run::<PooledFixture>(stringify!($case), module_path!());
        }
    )*};
}

cases! {
    clause_1_5_a_name_taken_by_another_uuid_is_refused,
    clause_1_6_the_longest_names_are_stored_and_read_back_all_at_once,
    clause_2_1_a_refused_append_writes_nothing,
    clause_2_3_exactly_one_of_n_writers_wins,
    clause_2_4_appends_without_versioning_all_succeed_at_once,
    clause_2_7_the_ids_with_another_payload_are_a_duplicate,
    clause_2_7_many_answers_can_be_lost_in_a_row,
    clause_2_7_a_repeat_to_several_streams_is_recognised,
    clause_2_11_what_a_transaction_appends_is_committed_together,
    clause_2_11_nothing_of_a_failed_transaction_is_kept,
    clause_2_12_a_requirement_is_checked_atomically_with_the_write,
    clause_2_12_appends_in_opposite_orders_do_not_deadlock,
    clause_2_12_of_several_streams_racing_exactly_one_call_wins,
    clause_2_13_a_nul_is_stored_exactly_or_refused,
    clause_3_2_a_range_never_uses_snapshots,
    clause_3_5_a_paged_read_starts_at_the_snapshot,
    clause_4_2_transactions_that_are_rolled_back_in_between_hide_nothing,
    clause_5_2_a_deleted_stream_is_created_again_with_either_kind_of_versioning,
    clause_8_4_no_filter_misses_an_event_while_transactions_are_rolled_back,
    clause_8_6_a_lease_that_is_lost_takes_its_effects_with_it,
    clause_8_7_progress_is_kept_as_a_whole_or_not_at_all,
    clause_8_8_an_event_is_parked_after_the_last_attempt_with_its_error,
    clause_8_10_an_unknown_stream_is_projected_from_its_first_version,
    clause_9_1_where_a_listener_fails_nothing_is_appended,
    clause_9_1_a_listener_that_fails_in_a_transaction_leaves_the_rest_of_it,
    clause_9_1_of_many_appends_at_once_each_is_heard_and_those_that_fail_fail_alone,
    clause_11_2_a_command_that_meets_a_conflict_decides_again,
}
