//! Course subscriptions: a course has so many seats, and a student takes so many courses. Many tasks subscribe at once, and neither rule is
//! ever broken, though no stream knows both.
//!
//! ```sh
//! cargo run --example courses
//! ```
//!
//! The store is `courses.db` in the current directory. Run it again, or twice at once: the rules hold for all together.

use event_sourcery::{CommandError, Event, EventStore, QueryItem, Select};
use event_sourcery_sqlite::SqliteBackend;
use serde::{Deserialize, Serialize};

const SEATS: usize = 10;
const COURSES_EACH: usize = 3;
const COURSES: [&str; 5] = ["algebra", "botany", "chess", "drawing", "ethics"];
const STUDENTS: usize = 40;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Event, Serialize, Deserialize)]
#[event(tags(course, student))]
struct StudentSubscribed {
    course: String,
    student: String,
}

#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the course is full")]
    CourseIsFull,
    #[error("the student takes as many courses as one may")]
    TooManyCourses,
    #[error("the student has a seat already")]
    SubscribedAlready,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let store = EventStore::new(SqliteBackend::open("courses.db").await?).erased();
    let mut attempts = Vec::new();
    for student in 0..STUDENTS {
        for course in COURSES {
            let (store, student) = (store.clone(), format!("student {student}"));
            attempts.push(tokio::spawn(async move { subscribe(&store, course, &student).await }));
        }
    }
    let (mut subscribed, mut refused) = (0, 0);
    for attempt in attempts {
        match attempt.await? {
            Ok(()) => subscribed += 1,
            Err(CommandError::Rejected(_)) => refused += 1,
            Err(CommandError::Store(error)) => return Err(error.into()),
        }
    }
    println!("{subscribed} subscriptions, and {refused} refusals.");
    report(&store).await
}

/// Gives a student a seat in a course, unless a rule forbids it.
async fn subscribe(store: &EventStore, course: &str, student: &str) -> Result<(), CommandError<Refusal>> {
    let in_course = Select::<StudentSubscribed>::tagged("course", course).fold(0, |taken, _| *taken += 1);
    let own = Select::<StudentSubscribed>::tagged("student", student);
    let own = own.fold(Vec::new(), |courses, event| courses.push(event.course.clone()));
    let decide = store.decide((in_course, own), |(taken, courses), events| {
        if courses.iter().any(|taken| taken == course) {
            return Err(Refusal::SubscribedAlready);
        }
        if *taken >= SEATS {
            return Err(Refusal::CourseIsFull);
        }
        if courses.len() >= COURSES_EACH {
            return Err(Refusal::TooManyCourses);
        }
        events.emit(StudentSubscribed { course: course.to_owned(), student: student.to_owned() });
        Ok(())
    });
    // Everybody wants the same few seats: somebody is faster again and again.
    decide.retries(1_000).await.map(|_| ())
}

/// Tells what the log holds, and whether both rules hold in it.
async fn report(store: &EventStore) -> Result<(), Failure> {
    let all = QueryItem::new().of::<StudentSubscribed>().into();
    let events = store.read::<StudentSubscribed>(&all).await?.events;
    let mut is_kept = true;
    for course in COURSES {
        let seats = events.iter().filter(|record| record.event().course == course).count();
        is_kept &= seats <= SEATS;
        println!("  {course}: {seats} of {SEATS} seats");
    }
    for student in 0..STUDENTS {
        let student = format!("student {student}");
        is_kept &= events.iter().filter(|record| record.event().student == student).count() <= COURSES_EACH;
    }
    println!("{}", if is_kept { "Both rules hold." } else { "A RULE IS BROKEN." });
    Ok(())
}
