//! Loads that a task drives, whose parts are taken by somebody who may not be polled any more.

use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use event_sourcery::backend::{LoadRequest, LoadSink, LoadedStream};
use event_sourcery::{Error, Result};
use futures_util::future::{Either, select};
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::JoinSet;

use crate::database::Database;

/// How many parts are read before they are taken.
const AHEAD: usize = 4;

/// Who takes no part for so long does not keep the connection: the rest is read for him at once, and held in memory.
const PATIENCE: Duration = Duration::from_millis(100);

/// Who takes the parts of a load.
pub(crate) enum Taker<'s> {
    /// He who drives the load.
    Here(&'s mut dyn LoadSink),
    /// Somebody who waits for the task that drives it.
    Elsewhere(HandOver),
}

/// What is handed to somebody else.
pub(crate) struct HandOver {
    to: Sender<Handed>,
    /// What is not handed over yet: the last part, and more once he has kept it waiting.
    kept: Vec<Handed>,
    /// Whether he was handed anything.
    has_begun: bool,
    /// Whether he has kept nothing waiting yet.
    is_patient: bool,
}

/// What he is handed.
pub(crate) enum Handed {
    Part(LoadedStream),
    /// What he was handed does not count.
    Restart,
}

impl Taker<'_> {
    pub(crate) async fn take(&mut self, part: LoadedStream) -> Result<()> {
        match self {
            Self::Here(sink) => sink.take(part),
            Self::Elsewhere(hand_over) => hand_over.part(part).await,
        }
    }

    pub(crate) fn restart(&mut self) {
        match self {
            Self::Here(sink) => sink.restart(),
            Self::Elsewhere(hand_over) => hand_over.restart(),
        }
    }
}

impl HandOver {
    /// Keeps a part, and hands over those before it.
    async fn part(&mut self, part: LoadedStream) -> Result<()> {
        while self.is_patient && !self.kept.is_empty() {
            match self.to.send_timeout(self.kept.remove(0), PATIENCE).await {
                Ok(()) => self.has_begun = true,
                Err(SendTimeoutError::Timeout(handed)) => {
                    self.kept.insert(0, handed);
                    self.is_patient = false;
                }
                Err(SendTimeoutError::Closed(_)) => return Err(Error::Closed),
            }
        }
        self.kept.push(Handed::Part(part));
        Ok(())
    }

    fn restart(&mut self) {
        self.kept.clear();
        if self.has_begun {
            self.kept.push(Handed::Restart);
        }
    }
}

impl Handed {
    fn hand_to(self, sink: &mut dyn LoadSink) -> Result<()> {
        match self {
            Self::Part(part) => sink.take(part),
            Self::Restart => {
                sink.restart();
                Ok(())
            }
        }
    }
}

/// Loads a stream in a task, for as long as somebody waits for it, and hands its parts over here.
pub(crate) async fn load_apart(
    database: Arc<Database>,
    request: LoadRequest,
    sink: &mut dyn LoadSink,
) -> Result<()> {
    let (to, mut parts) = channel(AHEAD);
    let mut task = JoinSet::<Result<Vec<Handed>>>::new();
    task.spawn(async move {
        let mut taker =
            Taker::Elsewhere(HandOver { to, kept: Vec::new(), has_begun: false, is_patient: true });
        database.load_in_parts(&request, &mut taker).await?;
        let Taker::Elsewhere(hand_over) = taker else { return Ok(Vec::new()) };
        Ok(hand_over.kept)
    });
    let ended = loop {
        let (part, end) = (pin!(parts.recv()), pin!(task.join_next()));
        match select(part, end).await {
            Either::Left((Some(handed), _)) => handed.hand_to(sink)?,
            Either::Left((None, end)) => break end.await,
            Either::Right((ended, _)) => break ended,
        }
    };
    let kept = match ended {
        Some(Ok(kept)) => kept?,
        Some(Err(stopped)) if stopped.is_panic() => resume_unwind(stopped.into_panic()),
        _ => return Err(Error::Closed),
    };
    while let Ok(handed) = parts.try_recv() {
        handed.hand_to(sink)?;
    }
    kept.into_iter().try_for_each(|handed| handed.hand_to(sink))
}
