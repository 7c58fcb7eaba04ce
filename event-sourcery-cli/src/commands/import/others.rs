//! `import --from`: from the store of another library, which may go on being written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use event_sourcery::EventStore;
use event_sourcery_import::{Import, Imported, Mapping, Mark};
use tokio::io::AsyncWriteExt as _;

use super::report;
use crate::failure::Failure;
use crate::location::{Database, Location};
use crate::output::Output;
use crate::progress::Progress;
use crate::whole::Whole;

/// Which store of another library, and what is to become of it.
#[derive(Debug, Args)]
pub(super) struct Others {
    /// The library whose store it is
    #[arg(long, value_enum, value_name = "LIBRARY", requires = "mapping")]
    pub(super) from: Option<Library>,

    /// A file of JSON that says what you decide: the source's name, categories, types, holes
    #[arg(long, value_name = "FILE", requires = "from")]
    mapping: Option<PathBuf>,

    /// Its table, for eventsourcing on PostgreSQL; its schema is said by ?schema=..
    #[arg(long, value_name = "TABLE", requires = "from")]
    table: Option<String>,

    /// Reads everything, writes nothing, and reports what would become of it
    #[arg(long, requires = "from")]
    pub(super) dry_run: bool,

    /// Keeps in this file how far it has come, and goes on from there
    #[arg(long, value_name = "FILE", requires = "from", conflicts_with_all = ["dry_run", "compare"])]
    mark: Option<PathBuf>,
}

/// A library with stores of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Library {
    /// For Python, on SQLite and PostgreSQL
    Eventsourcing,
    /// On SQLite and PostgreSQL
    Emmett,
    /// On PostgreSQL
    MessageDb,
    /// On SQLite and PostgreSQL
    CqrsEs,
    /// On SQLite and PostgreSQL
    Mire,
}

impl Others {
    /// The import, before it is decided what is done with it.
    pub(super) async fn open(&self, url: &str, store: &EventStore) -> Result<Import<'static>, Failure> {
        let (Some(library), Some(mapping)) = (self.from, &self.mapping) else {
            return Err(Failure::Usage {
                what: "an import needs a library and a mapping".to_owned(),
                to_do: "give --from and --mapping".to_owned(),
            });
        };
        let mapping =
            Mapping::from_json(&fs::read_to_string(mapping).map_err(|error| cannot(mapping, &error))?)?;
        let mark = self.mark.as_deref().map(kept).transpose()?.flatten();
        let import = match Location::parse(url)? {
            Location::Sqlite { path, prefix: None } => of_file(library, &path, store, mapping).await?,
            Location::Postgres(database) if database.prefix.is_none() && !database.behind_pooler => {
                of_database((library, self.table.as_deref()), &database, store, mapping).await?
            }
            _ => {
                return Err(Failure::Usage {
                    what:
                        "stores of other libraries have no prefix of ours, and are not read through a pooler"
                            .to_owned(),
                    to_do: "leave ?prefix= and ?pooler= out".to_owned(),
                });
            }
        };
        Ok(match mark {
            Some(mark) => import.after(mark),
            None => import,
        })
    }

    /// Imports what there is.
    pub(super) async fn run(&self, import: Import<'static>, out: &mut Output) -> Result<(), Failure> {
        let mut progress = Progress::new();
        let told = move |so_far: &Imported| progress.tell(so_far.written + so_far.present, None);
        let imported = import.on_progress(told).run().await?;
        if let Some(path) = &self.mark {
            keep(path, &imported.mark).await.map_err(|error| cannot(path, &error))?;
        }
        report::imported(&imported, out)
    }
}

#[cfg(feature = "sqlite")]
async fn of_file(
    library: Library,
    path: &Path,
    store: &EventStore,
    mapping: Mapping,
) -> Result<Import<'static>, Failure> {
    use event_sourcery_import::SqliteSource;

    let source = match library {
        Library::Eventsourcing => SqliteSource::eventsourcing(path).await?,
        Library::Emmett => SqliteSource::emmett(path).await?,
        Library::CqrsEs => SqliteSource::cqrs_es(path).await?,
        Library::Mire => SqliteSource::mire(path).await?,
        Library::MessageDb => {
            return Err(Failure::Usage {
                what: "message-db keeps no files".to_owned(),
                to_do: "give the address of its database: postgres://..".to_owned(),
            });
        }
    };
    Ok(Import::new(source, store, mapping))
}

#[cfg(feature = "postgres")]
async fn of_database(
    (library, table): (Library, Option<&str>),
    database: &Database,
    store: &EventStore,
    mapping: Mapping,
) -> Result<Import<'static>, Failure> {
    use event_sourcery_import::PostgresSource;

    let url = &database.url;
    let source = match (library, table) {
        (Library::Eventsourcing, Some(table)) => {
            let schema = database.schema.as_deref().unwrap_or("public");
            PostgresSource::eventsourcing(url, schema, table).await?
        }
        (Library::Eventsourcing, None) => {
            return Err(Failure::Usage {
                what: "on PostgreSQL, each application of eventsourcing has a table of its own".to_owned(),
                to_do: "name it: --table bank_events, for an application named Bank".to_owned(),
            });
        }
        (Library::Emmett, _) => PostgresSource::emmett(url).await?,
        (Library::MessageDb, _) => PostgresSource::message_db(url).await?,
        (Library::CqrsEs, _) => PostgresSource::cqrs_es(url).await?,
        (Library::Mire, _) => PostgresSource::mire(url).await?,
    };
    Ok(Import::new(source, store, mapping))
}

#[cfg(not(feature = "sqlite"))]
async fn of_file(_: Library, _: &Path, _: &EventStore, _: Mapping) -> Result<Import<'static>, Failure> {
    Err(crate::session::left_out("sqlite"))
}

#[cfg(not(feature = "postgres"))]
async fn of_database(
    _: (Library, Option<&str>),
    _: &Database,
    _: &EventStore,
    _: Mapping,
) -> Result<Import<'static>, Failure> {
    Err(crate::session::left_out("postgres"))
}

/// How far an earlier run came; `None` before the first one.
fn kept(path: &Path) -> Result<Option<Mark>, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(path, &error)),
    };
    let mark = serde_json::from_str(&text);
    mark.map(Some).map_err(|error| cannot(path, &error.into()))
}

/// Whoever is killed meanwhile keeps the earlier one.
async fn keep(path: &Path, mark: &Mark) -> io::Result<()> {
    let (whole, mut file) = Whole::begin(path)?;
    file.write_all(&serde_json::to_vec(mark)?).await?;
    file.flush().await?;
    whole.keep(file).await
}

fn cannot(path: &Path, error: &io::Error) -> Failure {
    Failure::Refused {
        what: format!("{} cannot be read or written: {error}", path.display()),
        to_do: "mind its path and its contents; without a mark, everything is read, and written once all the same"
            .to_owned(),
    }
}
