//! Both append to one stream at once.

use std::time::{Duration, Instant};

use event_sourcery::{Error, EventStore, StreamId, Version};

use crate::invoicing::{Paid, paid, payments};
use crate::run::Database;
use crate::{Expected, Loaded, Python, Refusal, append, event, payments_in_python};

const ROUNDS: u64 = 120;

/// How long Rust waits after Python was told to go. Python takes its time between reading and writing: the head start
/// grows until Python wins and shrinks until Rust does, so that the two meet in the middle on any machine.
struct HeadStart(Duration);

impl HeadStart {
    const STEP: Duration = Duration::from_micros(100);

    fn wait(&self) {
        let told = Instant::now();
        while told.elapsed() < self.0 {
            std::hint::spin_loop();
        }
    }

    fn adjust(&mut self, python_won: bool) {
        self.0 = if python_won { self.0 * 4 / 5 } else { self.0 * 5 / 4 + Self::STEP };
    }
}

/// What each of the two was told.
struct Round {
    python: Result<(), Refusal>,
    rust: event_sourcery::Result<()>,
}

impl Round {
    /// Releases both, to append one event each with the same expectation.
    async fn run(
        python: &mut Python,
        rust: &EventStore,
        stream: &StreamId,
        expected: Expected,
        head_start: &HeadStart,
    ) -> Self {
        python.send(&append(stream, expected, &[event(&paid("python"))]));
        head_start.wait();
        let append = rust.append(stream, paid("rust"));
        let append = match expected {
            Expected::Version(version) => append.expected_version(version),
            Expected::NoVersioning => append.no_versioning(),
        };
        let rust = append.await.map(drop);
        Self { python: python.answer().map(drop), rust }
    }

    /// The name of the one that won; the other has to have been refused properly.
    fn winner(&self, version: Version, refusals_of_python: &[&str]) -> &'static str {
        match self {
            Self { python: Ok(()), rust: Err(Error::Conflict { expected, actual, .. }) } => {
                assert_eq!((*expected, *actual), (version, version + 1));
                "python"
            }
            Self { python: Err(refusal), rust: Ok(()) } => {
                assert!(refusals_of_python.contains(&refusal.error.as_str()), "{refusal:?}");
                "rust"
            }
            Self { python, rust } => panic!("not one winner: {python:?}, {rust:?}"),
        }
    }
}

/// What both read is what the rounds were won by.
fn assert_written(winners: &[&str], ours: &[(String, Option<Version>)], theirs: &[Loaded]) {
    let expected: Vec<_> =
        winners.iter().zip(1..).map(|(winner, version)| ((*winner).to_owned(), Some(version))).collect();
    assert_eq!(ours, expected);
    assert_eq!(payments_in_python(theirs), expected);
    for writer in ["rust", "python"] {
        assert!(winners.contains(&writer), "{writer} never won: the two did not race");
    }
}

pub(super) async fn of_two_appends_with_one_expectation_exactly_one_wins(database: Database) {
    let (mut python, rust) = database.both().await;
    let stream = StreamId::from_name("invoices/1003").unwrap();
    python.create(&stream, &[event(&paid("python"))]);
    let (mut head_start, mut winners) = (HeadStart(Duration::ZERO), vec!["python"]);

    for version in 1..=ROUNDS {
        let round = Round::run(&mut python, &rust, &stream, Expected::Version(version), &head_start).await;
        let winner = round.winner(version, &["ConcurrentStreamWriteError"]);
        head_start.adjust(winner == "python");
        winners.push(winner);
    }

    assert_written(&winners, &payments(&rust.load_stream(&stream).await.unwrap()), &python.load(&stream));
}

pub(super) async fn of_two_that_create_one_stream_exactly_one_wins(database: Database) {
    let (mut python, rust) = database.both().await;
    let (mut head_start, mut winners) = (HeadStart(Duration::ZERO), Vec::new());

    for number in 0..ROUNDS {
        let stream = StreamId::from_name(format!("invoices/{number}")).unwrap();
        let round = Round::run(&mut python, &rust, &stream, Expected::Version(0), &head_start).await;
        // The reference lets the database's error out where the stream must not exist yet.
        let winner = round.winner(0, &["IntegrityError", "ConcurrentStreamWriteError"]);
        head_start.adjust(winner == "python");
        winners.push(winner);
        assert_eq!(payments(&rust.load_stream(&stream).await.unwrap()), [(winner.to_owned(), Some(1))]);
    }

    assert!(winners.contains(&"rust") && winners.contains(&"python"), "the two did not race: {winners:?}");
}

pub(super) async fn without_versions_both_win_creation_included(database: Database) {
    let (mut python, rust) = database.both().await;
    let mut head_start = HeadStart(Duration::ZERO);

    for number in 0..ROUNDS / 2 {
        let stream = StreamId::from_name(format!("audit/{number}")).unwrap();
        for _ in 0..2 {
            let round = Round::run(&mut python, &rust, &stream, Expected::NoVersioning, &head_start).await;
            assert!(round.python.is_ok() && round.rust.is_ok(), "{:?}, {:?}", round.python, round.rust);
        }
        let events = rust.load_stream::<Paid>(&stream).await.unwrap();
        assert_eq!(events.len(), 4);
        head_start.adjust(events[0].event.number == "python");
    }
}
