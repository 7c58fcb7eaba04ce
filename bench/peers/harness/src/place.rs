//! Where a store is.

use std::path::PathBuf;

use crate::Result;

/// A file that is not there yet, or an empty database.
pub enum Place {
    /// The file is on the disk that is measured. The store opens it with WAL and `synchronous=FULL`.
    Sqlite(PathBuf),
    /// An address. The server has its defaults.
    Postgres(String),
}

impl Place {
    /// The two words that this program was started with.
    pub fn from_arguments() -> Result<Self> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["sqlite", path] => Ok(Self::Sqlite(PathBuf::from(path))),
            ["postgres", url] => Ok(Self::Postgres((*url).to_owned())),
            _ => Err("start it with `sqlite PATH` or `postgres URL`".into()),
        }
    }
}
