//! The rest of a long load: read on a thread that may block, part by part, while what was read is decoded.

use std::panic::resume_unwind;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use event_sourcery::backend::LoadedStream;
use event_sourcery::{Error, Result};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

/// How many parts are read before they are taken.
pub(super) const AHEAD: usize = 4;

/// Where the parts are taken.
pub(super) struct Rest {
    parts: UnboundedReceiver<LoadedStream>,
    taken: Sender<()>,
    reading: JoinHandle<Result<()>>,
}

/// Where they are handed over.
pub(super) struct HandOver {
    parts: UnboundedSender<LoadedStream>,
    taken: Receiver<()>,
    /// For how many there is room.
    room: usize,
    /// Who takes no part for so long does not keep the connection: the rest is read for him at once, and held in memory. Nothing,
    /// once it is.
    patience: Option<Duration>,
}

impl Rest {
    /// What `read` hands over, on a thread that may block, to somebody who takes a part within `patience`.
    pub(super) fn of(patience: Duration, read: impl FnOnce(HandOver) -> Result<()> + Send + 'static) -> Self {
        let ((parts, to_take), (taken, is_taken)) = (unbounded_channel(), mpsc::channel());
        let hand_over = HandOver { parts, taken: is_taken, room: AHEAD, patience: Some(patience) };
        Self { parts: to_take, taken, reading: tokio::task::spawn_blocking(move || read(hand_over)) }
    }

    /// The next part; nothing behind the last one.
    pub(super) async fn next(&mut self) -> Result<Option<LoadedStream>> {
        if let Some(part) = self.parts.recv().await {
            // Where nobody waits for it any more, all is read.
            let _ = self.taken.send(());
            return Ok(Some(part));
        }
        match (&mut self.reading).await {
            Ok(read) => read.map(|()| None),
            Err(stopped) => match stopped.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => Err(Error::Closed),
            },
        }
    }
}

impl HandOver {
    /// Hands a part over; an error where nobody waits for it.
    pub(super) fn part(&mut self, part: LoadedStream) -> Result<()> {
        self.parts.send(part).map_err(|_| Error::Closed)?;
        self.room = self.room.saturating_sub(1);
        Ok(())
    }

    /// Waits until there is room for another part, but not for long; an error where nobody waits for it.
    pub(super) fn make_room(&mut self) -> Result<()> {
        self.room += self.taken.try_iter().count();
        if self.parts.is_closed() {
            return Err(Error::Closed);
        }
        if self.room == 0
            && let Some(patience) = self.patience
        {
            match self.taken.recv_timeout(patience) {
                Ok(()) => self.room += 1,
                Err(RecvTimeoutError::Timeout) => self.patience = None,
                Err(RecvTimeoutError::Disconnected) => return Err(Error::Closed),
            }
        }
        Ok(())
    }
}
