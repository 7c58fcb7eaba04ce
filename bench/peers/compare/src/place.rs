//! Where a store is measured: a new file, or a new database.

use std::fs;
use std::path::{Path, PathBuf};

use postgres_cluster::Database;
use serde::{Deserialize, Serialize};

use crate::Result;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    Sqlite,
    Postgres,
}

impl Backend {
    pub const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    pub const fn heading(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

pub enum Place {
    /// A file, or the folder of an engine. Removed with the value.
    File(PathBuf),
    Database(Database),
}

impl Place {
    /// The words that a store is started with.
    pub fn arguments(&self) -> [String; 2] {
        match self {
            Self::File(path) => [Backend::Sqlite.name().to_owned(), path.display().to_string()],
            Self::Database(database) => [Backend::Postgres.name().to_owned(), database.url()],
        }
    }

    /// How many bytes of disk it takes. Of a folder that is not told: engines take much at once, and fill it later.
    pub fn bytes(&self) -> Result<Option<f64>> {
        match self {
            Self::File(path) if path.is_dir() => Ok(None),
            Self::File(path) => {
                let sizes = files(path).into_iter().filter_map(|file| Some(fs::metadata(file).ok()?.len()));
                Ok(Some(sizes.sum::<u64>() as f64))
            }
            Self::Database(database) => {
                Ok(Some(database.psql("SELECT pg_database_size(current_database())").trim().parse()?))
            }
        }
    }

    /// Removes the file or folder, if it is one.
    pub fn clear(&self) {
        if let Self::File(path) = self {
            // What is not there is what is wanted.
            let _ = fs::remove_dir_all(path);
            for file in files(path) {
                let _ = fs::remove_file(file);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.clear();
    }
}

fn files(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| PathBuf::from(format!("{}{suffix}", path.display())))
}
