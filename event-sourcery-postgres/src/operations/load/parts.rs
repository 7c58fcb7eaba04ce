//! Handing over a long stream part by part, while the server still sends it.

use std::mem::take;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use event_sourcery::backend::{LoadRequest, LoadedStream, PageRoom};
use event_sourcery::{Position, Result, Version};
use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres};

use super::{is_snapshot, readable};
use crate::at_work::answer;
use crate::hand_over::Taker;
use crate::operations::Operations;
use crate::rows::{self, EventReader};

/// How many events a part has, if they are small.
const PART: usize = 1_024;

/// What came of handing over a stream.
enum HandedOver {
    /// All of it was; or it was refused.
    All(Result<()>),
    /// Nothing counts: the rows do not come in their order, or the snapshot cannot be read.
    Nothing,
    /// Nothing was: it is a long one, and others have their turn. Rows are left unread.
    OutOfTurn,
}

impl Operations<'_> {
    /// Loads what the request asks for, part by part where one statement reads it, and its rows come in their order: mostly they do,
    /// and a sort of the server's would hold up the first. Whether it has: not where there are several parts, and it is not its turn,
    /// for which the connection is spent.
    pub(crate) async fn load_in_parts(
        &mut self,
        request: &LoadRequest,
        taker: &mut Taker<'_>,
        is_its_turn: &mut (dyn FnMut() -> bool + Send),
    ) -> Result<bool> {
        if let Some(query) = self.all_at_once(request) {
            self.enter().await.map_err(|failure| self.failed(failure))?;
            let (spent, is_own) = (Arc::clone(&self.spent), !self.joined);
            let mut is_its_turn = || {
                let is_its_turn = is_its_turn();
                // Given up from here on, its connection is closed: nobody wants the rest, and it is long.
                spent.fetch_or(is_its_turn && is_own, Ordering::Relaxed);
                is_its_turn
            };
            let handing_over = hand_over(self.connection, query, taker, &mut is_its_turn);
            let read = answer(self.at_work.as_ref(), handing_over).await;
            if is_own && let Ok(handed_over) = &read {
                self.spent.store(matches!(handed_over, HandedOver::OutOfTurn), Ordering::Relaxed);
            }
            match self.leave(read).await.map_err(|failure| self.failed(failure))? {
                HandedOver::All(handed_over) => return handed_over.map(|()| true),
                HandedOver::Nothing => taker.restart(),
                HandedOver::OutOfTurn => return Ok(false),
            }
        }
        taker.take(self.load(request).await?).await.map(|()| true)
    }
}

/// Reads all rows in their turn, whatever becomes of them: the next statement on the connection would have to.
async fn hand_over(
    connection: &mut PgConnection,
    query: Query<'_, Postgres, PgArguments>,
    taker: &mut Taker<'_>,
    is_its_turn: &mut (dyn FnMut() -> bool + Send),
) -> Result<HandedOver, sqlx::Error> {
    let mut rows = pin!(query.fetch(connection));
    let mut reading = Reading::default();
    let mut ended = None;
    while let Some(row) = rows.try_next().await? {
        if ended.is_some() {
            continue;
        }
        if !reading.add(&row) {
            ended = Some(HandedOver::Nothing);
        } else if reading.is_full() {
            if !is_its_turn() {
                return Ok(HandedOver::OutOfTurn);
            }
            ended = taker.take(reading.part()).await.err().map(|refused| HandedOver::All(Err(refused)));
        }
    }
    match ended {
        Some(ended) => Ok(ended),
        None => Ok(HandedOver::All(taker.take(reading.part()).await)),
    }
}

/// The part that is being read.
#[derive(Default)]
struct Reading {
    part: LoadedStream,
    bytes: usize,
    /// Where the last event stood.
    last: Option<(Option<Version>, Position)>,
    reader: EventReader,
}

impl Reading {
    /// Adds a row. Whether it can be counted on: not where it is out of its order, or a snapshot that cannot be read.
    fn add(&mut self, row: &PgRow) -> bool {
        let event = self.reader.event(row);
        if is_snapshot(row) {
            self.part.snapshot = readable(event);
            return self.part.snapshot.is_some();
        }
        let place = Some((event.version, event.position));
        if place < self.last {
            return false;
        }
        self.last = place;
        self.bytes += rows::size(row);
        self.part.events.push(event);
        true
    }

    fn is_full(&self) -> bool {
        self.part.events.len() >= PART || self.bytes >= PageRoom::BYTES
    }

    fn part(&mut self) -> LoadedStream {
        self.bytes = 0;
        take(&mut self.part)
    }
}
