//! Many entries at once, and no two of one stream.

use std::collections::HashSet;
use std::iter::repeat_with;

use super::publisher::{OutboxEntry, PublishError};
use crate::stream_id::{StreamId, TenantId};

/// Publishes entries of different streams together, and those of one stream one after the other: each round holds the next
/// entry of each stream, and begins when the one before it was answered. For publishers that have many messages on their way at once.
///
/// Behind an entry that was not published, those of its stream are not tried; nor is anything once the other end is away. An answer that
/// is missing counts as not tried.
///
/// So a message never overtakes another one of its stream, whatever becomes of either: one that was given up, and arrives late after
/// all, has nothing of its stream behind it yet, and is a repeat of what is published again.
///
/// ```
/// use event_sourcery::outbox::{BoxFuture, OutboxEntry, PublishError, Publisher, in_rounds};
///
/// struct Printer;
///
/// impl Publisher for Printer {
///     fn batch(&self) -> usize {
///         100
///     }
///
///     fn publish<'a>(&'a self, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
///         Box::pin(in_rounds(entries, |round| async move {
///             let print = |entry: &OutboxEntry| println!("{}", entry.recorded().event().name());
///             round.into_iter().map(|entry| Ok(print(entry))).collect()
///         }))
///     }
/// }
/// ```
pub async fn in_rounds<'a, S, F>(entries: &'a [OutboxEntry], mut send: S) -> Vec<Result<(), PublishError>>
where
    S: FnMut(Vec<&'a OutboxEntry>) -> F,
    F: Future<Output = Vec<Result<(), PublishError>>>,
{
    let mut results: Vec<_> = entries.iter().map(|_| Err(PublishError::not_tried())).collect();
    let mut waiting: Vec<_> = results.iter_mut().zip(entries).collect();
    let mut held_back = HashSet::new();
    while !waiting.is_empty() {
        let mut streams = HashSet::new();
        let (round, mut rest): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|&(_, entry)| streams.insert(stream_of(entry)));
        let answers = send(round.iter().map(|(_, entry)| *entry).collect()).await;
        let answers = answers.into_iter().chain(repeat_with(|| Err(PublishError::not_tried())));
        let mut is_away = false;
        for ((result, entry), answer) in round.into_iter().zip(answers) {
            if let Err(error) = &answer {
                is_away |= error.is_away();
                held_back.insert(stream_of(entry));
            }
            *result = answer;
        }
        if is_away {
            break;
        }
        rest.retain(|&(_, entry)| !held_back.contains(&stream_of(entry)));
        waiting = rest;
    }
    results
}

fn stream_of(entry: &OutboxEntry) -> (&TenantId, &StreamId) {
    (&entry.recorded().tenant_id, &entry.recorded().stream_id)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::ready;

    use super::*;
    use crate::event::RawEvent;
    use crate::position::Position;
    use crate::wrapped_event::{Recorded, WrappedEvent};

    fn entry(stream: &StreamId, position: i64) -> OutboxEntry {
        let event = WrappedEvent::new(RawEvent::new("Numbered", "{}").unwrap());
        OutboxEntry::new(Recorded::new(event, stream.clone(), Position::from_i64(position)), 1)
    }

    fn position(entry: &OutboxEntry) -> i64 {
        entry.recorded().position.to_i64()
    }

    /// The rounds, and how each entry was answered: `.` published, `r` refused, `a` away, `n` not tried.
    async fn published(
        entries: &[OutboxEntry],
        answer: impl Fn(i64) -> Result<(), PublishError>,
    ) -> (Vec<Vec<i64>>, String) {
        let rounds = RefCell::new(Vec::<Vec<i64>>::new());
        let results = in_rounds(entries, |round| {
            let positions: Vec<_> = round.iter().map(|entry| position(entry)).collect();
            let answers: Vec<_> = positions.iter().map(|position| answer(*position)).collect();
            rounds.borrow_mut().push(positions);
            ready(answers)
        });
        let results = results.await;
        let letter = |result: &Result<(), PublishError>| match result {
            Ok(()) => '.',
            Err(error) if error.is_refused() => 'r',
            Err(error) if error.is_away() => 'a',
            Err(_) => 'n',
        };
        (rounds.into_inner(), results.iter().map(letter).collect())
    }

    #[tokio::test]
    async fn a_round_has_one_entry_of_each_stream() {
        let (a, b) = (StreamId::random(), StreamId::random());
        let entries = [entry(&a, 1), entry(&a, 2), entry(&b, 3), entry(&a, 4), entry(&b, 5)];
        let (rounds, results) = published(&entries, |_| Ok(())).await;
        assert_eq!(rounds, [vec![1, 3], vec![2, 5], vec![4]]);
        assert_eq!(results, ".....");
    }

    #[tokio::test]
    async fn one_stream_of_two_tenants_is_two() {
        let a = StreamId::random();
        let of_a_tenant = entry(&a, 2).recorded().clone().with_tenant_id(TenantId::new("acme").unwrap());
        let entries = [entry(&a, 1), OutboxEntry::new(of_a_tenant, 1)];
        assert_eq!(published(&entries, |_| Ok(())).await.0, [vec![1, 2]]);
    }

    #[tokio::test]
    async fn behind_a_refused_entry_its_stream_waits_and_others_go_on() {
        let (a, b) = (StreamId::random(), StreamId::random());
        let entries = [entry(&a, 1), entry(&a, 2), entry(&b, 3), entry(&b, 4), entry(&a, 5)];
        let refuse_first =
            |position| if position == 1 { Err(PublishError::refused("too large")) } else { Ok(()) };
        let (rounds, results) = published(&entries, refuse_first).await;
        assert_eq!((rounds, results.as_str()), (vec![vec![1, 3], vec![4]], "rn..n"));
    }

    #[tokio::test]
    async fn nothing_is_tried_once_the_other_end_is_away() {
        let (a, b) = (StreamId::random(), StreamId::random());
        let entries = [entry(&a, 1), entry(&b, 2), entry(&b, 3)];
        let away_first = |position| if position == 1 { Err(PublishError::away("nobody")) } else { Ok(()) };
        let (rounds, results) = published(&entries, away_first).await;
        assert_eq!((rounds, results.as_str()), (vec![vec![1, 2]], "a.n"));
    }

    #[tokio::test]
    async fn an_answer_that_is_missing_counts_as_not_tried() {
        let (a, b) = (StreamId::random(), StreamId::random());
        let entries = [entry(&a, 1), entry(&b, 2), entry(&b, 3)];
        let results = in_rounds(&entries, |_| ready(vec![Ok(())])).await;
        assert!(results[0].is_ok());
        assert!(results[1..].iter().all(|result| result.as_ref().is_err_and(PublishError::is_not_tried)));
    }
}
