//! Whether a subscriber is handed everything, while transactions end late and in any order, and some are rolled back: 16 writers, and the
//! store's own subscription.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::{Invoice, Peer, Result};

const WRITERS: usize = 16;
/// How many events a stream has, one an append.
const EVENTS: u64 = 5;
/// After how many refusals a writer leaves a stream.
const REFUSALS: usize = 50;
/// For how long nothing comes any more once everything has come.
const QUIET: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Written {
    names: Vec<String>,
    rolled_back: usize,
}

#[derive(Default)]
struct Heard {
    names: HashSet<String>,
    /// The last version of each stream.
    last: HashMap<String, u64>,
    repeated: usize,
    out_of_order: usize,
}

/// Tells how many were committed, rolled back, delivered, lost, repeated, and delivered before one of the same stream that came first.
pub(crate) async fn measure<P: Peer>(peer: Arc<P>, count: usize) -> Result<String> {
    let (sender, mut receiver) = unbounded_channel();
    let (subscriber, mut writers) = (Arc::clone(&peer), JoinSet::new());
    let follower = tokio::spawn(async move { subscriber.follow(sender).await });
    for writer in 0..WRITERS {
        let (peer, streams) = (Arc::clone(&peer), count / WRITERS / EVENTS as usize);
        writers.spawn(async move { write(&*peer, writer, streams).await });
    }
    let (mut committed, mut rolled_back) = (HashSet::new(), 0);
    while let Some(written) = writers.join_next().await {
        let written = written?;
        committed.extend(written.names);
        rolled_back += written.rolled_back;
    }
    let mut heard = Heard::default();
    while let Ok(Some(name)) = timeout(QUIET, receiver.recv()).await {
        heard.hear(name);
    }
    if follower.is_finished() {
        follower.await??;
        return Err("its subscription has ended by itself".into());
    }
    follower.abort();
    let lost = committed.difference(&heard.names).count();
    let Heard { names, repeated, out_of_order, .. } = heard;
    Ok(format!("{} {rolled_back} {} {lost} {repeated} {out_of_order}", committed.len(), names.len()))
}

async fn write<P: Peer>(peer: &P, writer: usize, streams: usize) -> Written {
    let mut written = Written::default();
    for number in 0..streams {
        let (stream, mut version, mut refusals) = (format!("written-{writer}-{number}"), 0, 0);
        while version < EVENTS && refusals < REFUSALS {
            let name = format!("{stream}:{version}");
            let invoice = Invoice { invoice_number: name.clone(), ..Invoice::nth(version) };
            match peer.append(&stream, version, vec![invoice]).await {
                Ok(()) => {
                    written.names.push(name);
                    version += 1;
                }
                Err(_) => refusals += 1,
            }
        }
        written.rolled_back += refusals;
    }
    written
}

impl Heard {
    fn hear(&mut self, name: String) {
        let Some((stream, version)) = name.split_once(':') else { return };
        let version = version.parse::<u64>().unwrap_or_default();
        if self.names.contains(&name) {
            self.repeated += 1;
            return;
        }
        let last = self.last.entry(stream.to_owned()).or_insert(version);
        self.out_of_order += usize::from(version < *last);
        *last = version.max(*last);
        self.names.insert(name);
    }
}
