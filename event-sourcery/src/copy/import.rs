//! A file of events, as what is copied from.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

use super::line::{self, Line};
use super::origin::{Begins, Found, Origin, PAGE, Stretch};
use crate::backend::{Backend, PageRoom, StoredRecord};
use crate::error::{Error, Result};
use crate::position::Position;

/// The most bytes of a line: those of the largest payload and context that a store takes, written as texts.
const LONGEST: u64 = 1 << 30;

/// A file of events, read line by line.
pub(super) struct FileOrigin<R> {
    file: R,
    /// The number of the line that was read last.
    line: u64,
    events: u64,
    up_to: Position,
    /// What did not fit into the last stretch.
    held: Option<StoredRecord>,
    is_at_end: bool,
}

impl<R: AsyncBufRead + Unpin + Send> FileOrigin<R> {
    pub(super) const fn new(file: R) -> Self {
        Self { file, line: 0, events: 0, up_to: Position::START, held: None, is_at_end: false }
    }

    /// The next event; `None` behind the last one.
    async fn next(&mut self) -> Result<Option<StoredRecord>> {
        if self.is_at_end {
            return Ok(None);
        }
        if self.line == 0 {
            let first = self.next_line().await?;
            line::check_first(&first).map_err(|problem| self.invalid(problem))?;
        }
        let text = self.next_line().await?;
        match line::read(&text).map_err(|problem| self.invalid(problem))? {
            Line::Event(record) if record.event.position <= self.up_to => {
                Err(self.invalid("its position is not above that of the line before it".to_owned()))
            }
            Line::Event(record) => {
                self.up_to = record.event.position;
                self.events += 1;
                Ok(Some(*record))
            }
            Line::End(events) if events != self.events => {
                let found = self.events;
                Err(self.invalid(format!("it is the end of {events} events, and {found} stand above it")))
            }
            Line::End(_) => {
                self.is_at_end = true;
                self.check_end().await?;
                Ok(None)
            }
        }
    }

    /// A line, which has to be there, without its end.
    async fn next_line(&mut self) -> Result<Vec<u8>> {
        self.line += 1;
        let mut text = Vec::new();
        let mut bounded = (&mut self.file).take(LONGEST);
        let read = bounded.read_until(b'\n', &mut text).await;
        read.map_err(|source| Error::File { source })?;
        if text.last() == Some(&b'\n') {
            text.pop();
        } else if text.len() as u64 >= LONGEST {
            return Err(self.invalid(format!("it has more than {LONGEST} bytes")));
        }
        if text.is_empty() {
            let problem = "the file ends here, or the line is empty: it was not written to its end";
            return Err(self.invalid(problem.to_owned()));
        }
        Ok(text)
    }

    /// Nothing stands behind the last line.
    async fn check_end(&mut self) -> Result<()> {
        let rest = self.file.fill_buf().await.map_err(|source| Error::File { source })?;
        if rest.is_empty() {
            return Ok(());
        }
        self.line += 1;
        Err(self.invalid("it stands behind the last line".to_owned()))
    }

    const fn invalid(&self, problem: String) -> Error {
        Error::InvalidLine { line: self.line, problem }
    }
}

#[async_trait]
impl<R: AsyncBufRead + Unpin + Send> Origin for FileOrigin<R> {
    async fn read(&mut self) -> Result<Stretch> {
        let (mut records, mut room) = (Vec::new(), PageRoom::of(PAGE));
        loop {
            let record = match self.held.take() {
                Some(record) => Some(record),
                None => self.next().await?,
            };
            let Some(record) = record else {
                return Ok(Stretch { records, up_to: self.up_to, has_more: false });
            };
            if !room.take(&record.event) {
                let up_to = records.last().map_or(Position::START, |last: &StoredRecord| last.event.position);
                self.held = Some(record);
                return Ok(Stretch { records, up_to, has_more: true });
            }
            records.push(record);
        }
    }

    async fn find(&mut self, _: &StoredRecord) -> Result<Found> {
        Ok(Found::Unknown)
    }

    async fn begins(&mut self, _: &StoredRecord) -> Result<Begins> {
        Ok(Begins::Unknown)
    }

    async fn wait(&mut self) -> Result<bool> {
        Ok(false)
    }

    async fn is_settled(&mut self) -> Result<bool> {
        Ok(true)
    }

    fn backend(&self) -> Option<Arc<dyn Backend>> {
        None
    }
}
