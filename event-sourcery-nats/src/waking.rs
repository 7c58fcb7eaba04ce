//! Those who wait are woken by a message that is not stored, of whoever has committed, in this process or in another one.

use async_nats::Client;
use event_sourcery::{Error, Result};
use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::store::wake;
use crate::subjects::Subjects;

/// The task that listens. It ends with the value.
#[derive(Debug)]
pub(crate) struct Waking(JoinHandle<()>);

impl Waking {
    pub(crate) async fn start(
        client: &Client,
        subjects: &Subjects,
        committed: watch::Sender<u64>,
    ) -> Result<Self> {
        let mut calls = client.subscribe(subjects.wake()).await.map_err(Error::unavailable)?;
        Ok(Self(tokio::spawn(async move {
            while let Some(call) = calls.next().await {
                // Whoever sends something else wakes nobody.
                let sequence = str::from_utf8(&call.payload).ok().and_then(|text| text.parse::<u64>().ok());
                if let Some(sequence) = sequence {
                    wake(&committed, sequence);
                }
            }
        })))
    }
}

impl Drop for Waking {
    fn drop(&mut self) {
        self.0.abort();
    }
}
