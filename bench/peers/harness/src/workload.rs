//! What is measured.

use std::str::FromStr;

use crate::Result;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// One event an append, one after the other, each to a new stream.
    New,
    /// The same to streams that are there, whose version the caller knows.
    Existing,
    /// The same, and the caller loads the stream to know the version.
    Loaded,
    /// A hundred events in an append, each to a new stream.
    Batch,
    /// So many tasks at the same time, one event an append, each to a new stream.
    Tasks(usize),
    /// Streams of so many events are loaded.
    Load(usize),
    /// All events of all streams are read.
    CatchUp,
}

impl FromStr for Workload {
    type Err = Box<dyn std::error::Error + Send + Sync>;

    fn from_str(name: &str) -> Result<Self> {
        let (kind, number) = name.split_once('/').unwrap_or((name, "1"));
        let number = number.parse::<usize>()?.max(1);
        match kind {
            "new" => Ok(Self::New),
            "existing" => Ok(Self::Existing),
            "loaded" => Ok(Self::Loaded),
            "batch" => Ok(Self::Batch),
            "tasks" => Ok(Self::Tasks(number)),
            "load" => Ok(Self::Load(number)),
            "catch-up" => Ok(Self::CatchUp),
            _ => Err(format!("no workload is named {name:?}").into()),
        }
    }
}
