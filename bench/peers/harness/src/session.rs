//! A store at work: what it was filled with, and the rounds.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;

use crate::workload::Workload;
use crate::{Invoice, Peer, Result, following};

/// How many events one append has where it has many.
const MANY: usize = 100;
/// How many streams are appended to, where they are there already, and how many events each has at first.
const STREAMS: usize = 10;
const EVENTS: usize = 10;
/// How many events the streams have together that are loaded, at least four streams and at most a thousand.
const LOADED: usize = 20_000;

pub struct Session<P> {
    peer: Arc<P>,
    /// How many streams there are.
    begun: usize,
    prepared: Vec<Stream>,
}

#[derive(Clone)]
struct Stream {
    name: String,
    version: u64,
}

struct Append {
    stream: String,
    version: u64,
    invoices: Vec<Invoice>,
}

impl<P: Peer> Session<P> {
    pub fn new(peer: Arc<P>) -> Self {
        Self { peer, begun: 0, prepared: Vec::new() }
    }

    pub async fn obey(&mut self, line: &str) -> Result<String> {
        match line.split_ascii_whitespace().collect::<Vec<_>>().as_slice() {
            ["prepare", workload, count] => {
                self.prepare(workload.parse()?, count.parse()?).await?;
                Ok("done".to_owned())
            }
            ["round", workload, count] => {
                Ok(self.round(workload.parse()?, count.parse()?).await?.to_string())
            }
            ["follow", count] => following::measure(Arc::clone(&self.peer), count.parse()?).await,
            ["held"] => Ok(most_resident()?.to_string()),
            _ => Err(format!("{line:?} is no order").into()),
        }
    }

    async fn prepare(&mut self, workload: Workload, count: usize) -> Result<()> {
        let (streams, events) = match workload {
            Workload::New | Workload::Batch | Workload::Tasks(_) => (0, 0),
            Workload::Existing | Workload::Loaded => (STREAMS, EVENTS),
            Workload::Load(events) => ((LOADED / events).clamp(4, 1_000), events),
            Workload::CatchUp => (count / MANY, MANY),
        };
        self.prepared.clear();
        for _ in 0..streams {
            let mut stream = Stream { name: self.new_stream(), version: 0 };
            while (stream.version as usize) < events {
                let more = (events - stream.version as usize).min(MANY);
                let invoices = several(stream.version, more);
                self.peer.append(&stream.name, stream.version, invoices).await?;
                stream.version += more as u64;
            }
            self.prepared.push(stream);
        }
        Ok(())
    }

    /// So many appends or events a second.
    async fn round(&mut self, workload: Workload, count: usize) -> Result<f64> {
        match workload {
            Workload::New => self.appends(1, count, 1).await,
            Workload::Tasks(tasks) => self.appends(tasks, count, 1).await,
            Workload::Batch => Ok(self.appends(1, count, MANY).await? * MANY as f64),
            Workload::Existing => self.to_existing(count).await,
            Workload::Loaded => {
                let (peer, streams) = (Arc::clone(&self.peer), self.prepared.clone());
                timed(count, async move { load_and_append(&*peer, &streams, count).await }).await
            }
            Workload::Load(events) => {
                let (peer, streams) = (Arc::clone(&self.peer), self.prepared.clone());
                let loads = (count / events).max(1);
                timed(loads * events, async move { load(&*peer, &streams, loads).await }).await
            }
            Workload::CatchUp => {
                let (peer, there) = (Arc::clone(&self.peer), self.prepared.len() * MANY);
                timed(there, async move { complete(peer.catch_up().await?, there) }).await
            }
        }
    }

    /// Appends to new streams, the same number by each task.
    async fn appends(&mut self, tasks: usize, count: usize, events: usize) -> Result<f64> {
        let each = (count / tasks).max(1);
        let mut all = Vec::with_capacity(tasks);
        for _ in 0..tasks {
            let append = |stream| Append { stream, version: 0, invoices: several(0, events) };
            all.push((0..each).map(|_| append(self.new_stream())).collect());
        }
        timed(each * tasks, by_tasks(Arc::clone(&self.peer), all)).await
    }

    async fn to_existing(&mut self, count: usize) -> Result<f64> {
        let rounds = (count / STREAMS).max(1);
        let mut appends = Vec::new();
        for _ in 0..rounds {
            for stream in &mut self.prepared {
                let (name, version) = (stream.name.clone(), stream.version);
                appends.push(Append { stream: name, version, invoices: several(version, 1) });
                stream.version += 1;
            }
        }
        timed(appends.len(), by_tasks(Arc::clone(&self.peer), vec![appends])).await
    }

    fn new_stream(&mut self) -> String {
        self.begun += 1;
        format!("invoices-{}", self.begun)
    }
}

/// Drives the work in a task, as a server does, and tells how many of `units` a second it did.
async fn timed(units: usize, work: impl Future<Output = Result<()>> + Send + 'static) -> Result<f64> {
    let began = Instant::now();
    tokio::spawn(work).await??;
    Ok(units as f64 / began.elapsed().as_secs_f64())
}

async fn by_tasks<P: Peer>(peer: Arc<P>, all: Vec<Vec<Append>>) -> Result<()> {
    let mut running = JoinSet::new();
    for appends in all {
        let peer = Arc::clone(&peer);
        running.spawn(async move {
            for append in appends {
                peer.append(&append.stream, append.version, append.invoices).await?;
            }
            Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
        });
    }
    while let Some(finished) = running.join_next().await {
        finished??;
    }
    Ok(())
}

async fn load_and_append<P: Peer>(peer: &P, streams: &[Stream], count: usize) -> Result<()> {
    for stream in streams.iter().cycle().take(count) {
        let version = peer.load(&stream.name).await? as u64;
        peer.append(&stream.name, version, several(version, 1)).await?;
    }
    Ok(())
}

async fn load<P: Peer>(peer: &P, streams: &[Stream], loads: usize) -> Result<()> {
    for stream in streams.iter().cycle().take(loads) {
        complete(peer.load(&stream.name).await?, stream.version as usize)?;
    }
    Ok(())
}

fn several(first: u64, count: usize) -> Vec<Invoice> {
    (first..first + count as u64).map(Invoice::nth).collect()
}

fn complete(found: usize, there: usize) -> Result<()> {
    if found == there { Ok(()) } else { Err(format!("{found} events were read of {there}").into()) }
}

/// The most bytes of memory that this process has held.
fn most_resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes: u64 = line.ok_or("no VmHWM")?.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1_024)
}
