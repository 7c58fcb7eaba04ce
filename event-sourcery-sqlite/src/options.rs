//! How a store is opened.

use std::path::{Path, PathBuf};
use std::time::Duration;

use event_sourcery::{Error, Result};

use crate::backend::SqliteBackend;
use crate::connection;
use crate::layout;

/// How safe a commit is when the power fails. With all but [`Off`](Self::Off), the file stays intact and an append whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Synchronous {
    /// An acknowledged append survives a power cut: the write-ahead log is synced at every commit.
    #[default]
    Full,
    /// An acknowledged append survives a crash of the process; a power cut may take back the last ones.
    Normal,
    /// The operating system decides when to write. A power cut may take back appends and may corrupt the file.
    Off,
}

impl Synchronous {
    pub(crate) const fn pragma(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Normal => "NORMAL",
            Self::Off => "OFF",
        }
    }
}

/// As many milliseconds as SQLite takes.
const LONGEST_WAIT: Duration = Duration::from_millis(i32::MAX as u64);

/// How a store is opened. The defaults are those of [`SqliteBackend::open`].
///
/// ```
/// # use event_sourcery_sqlite::SqliteOptions;
/// # use std::time::Duration;
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("billing.db");
/// let backend = SqliteOptions::new(path).table_prefix("billing_").busy_timeout(Duration::from_secs(1)).open().await?;
/// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
#[must_use = "options open nothing until `.open()` is called and awaited"]
pub struct SqliteOptions {
    pub(crate) path: PathBuf,
    pub(crate) create: bool,
    pub(crate) read_only: bool,
    pub(crate) migrate: bool,
    pub(crate) prefix: String,
    pub(crate) synchronous: Synchronous,
    pub(crate) busy_timeout: Duration,
    pub(crate) readers: usize,
    pub(crate) look_every: Option<Duration>,
    pub(crate) vfs: Option<String>,
}

impl SqliteOptions {
    /// The default options for a file. A relative path is resolved when the store is opened, and stands for the same file
    /// whatever the working directory is then.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            create: true,
            read_only: false,
            migrate: true,
            prefix: "event_sourcery_".to_owned(),
            synchronous: Synchronous::Full,
            busy_timeout: Duration::from_secs(5),
            readers: 4,
            look_every: None,
            vfs: None,
        }
    }

    /// Whether to create the file where there is none. On by default.
    pub fn create(self, create: bool) -> Self {
        Self { create, ..self }
    }

    /// Whether to open the file for reading only: nothing is created or migrated, and every write is
    /// [`Error::ReadOnly`]. Off by default.
    pub fn read_only(self, read_only: bool) -> Self {
        Self { read_only, ..self }
    }

    /// Whether to create, adopt and update the tables. On by default; see [`migration`](Self::migration) for those who
    /// run it themselves.
    pub fn migrate(self, migrate: bool) -> Self {
        Self { migrate, ..self }
    }

    /// What the tables' names begin with: lower-case letters, digits and underscores, at most 40. `event_sourcery_` by default,
    /// the tables of Event Sourcery for Python. Two stores in one file share a transaction and nothing else.
    pub fn table_prefix(self, prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), ..self }
    }

    /// How safe a commit is when the power fails. [`Synchronous::Full`] by default.
    pub fn synchronous(self, synchronous: Synchronous) -> Self {
        Self { synchronous, ..self }
    }

    /// How long a write waits for another process that is writing, before it is [`Error::Busy`]; the time in our own
    /// queue counts. 5 seconds by default; SQLite waits for 24 days at most.
    pub fn busy_timeout(self, timeout: Duration) -> Self {
        Self { busy_timeout: timeout.min(LONGEST_WAIT), ..self }
    }

    /// How many connections read at the same time, at least one. 4 by default.
    pub fn readers(self, readers: usize) -> Self {
        Self { readers, ..self }
    }

    /// How long readers that wait go at most without looking for what other processes have committed. A process looks for all of its
    /// readers at once; of its own commits they are told.
    ///
    /// On Linux the write-ahead log is watched while somebody waits, and tells of others' commits. By default the process looks every
    /// 5 s beside that, for what the watch does not tell, and more often just after somebody has written. Where nothing is watched (on
    /// other systems, with a [`vfs`](Self::vfs), where the system refuses the watch, and beyond 32 stores in a process) it looks every
    /// 100 ms; that a store is not watched is logged, as a warning for the first of a process.
    ///
    /// A shorter time is for a file system that does not pass on what others write, as between a container and its host may be; a
    /// longer one for a process that is to be idle where nothing is watched, or is the only one that writes. It is a millisecond at
    /// least.
    pub fn look_every(self, time: Duration) -> Self {
        Self { look_every: Some(time.max(Duration::from_millis(1))), ..self }
    }

    /// The name of the SQLite VFS to open the file with, for those who have registered one. What stands at the path is then the
    /// VFS's to know: nothing else looks for the file, or for another one in its place.
    pub fn vfs(self, name: impl Into<String>) -> Self {
        Self { vfs: Some(name.into()), ..self }
    }

    /// Opens the store.
    ///
    /// A file that is moved, deleted or replaced while the store is open is noticed within 100 ms: from then on, its calls are
    /// [`Error::StoreNotFound`]; readers that wait are told when they [look](Self::look_every) next. On Windows nobody can do that,
    /// and of the files of a [`vfs`](Self::vfs) nobody knows.
    ///
    /// # Errors
    ///
    /// [`Error::StoreNotFound`] for a file that is missing and not to be created, [`Error::ForeignLayout`] for what is
    /// not a database or not a store of ours, [`Error::NewerLayout`], [`Error::MigrationNeeded`],
    /// [`Error::NumberingWentBack`] for a file that would give positions again, [`Error::ReadOnly`], [`Error::Busy`],
    /// [`Error::StorageFull`], [`Error::InvalidOption`].
    pub async fn open(self) -> Result<SqliteBackend> {
        SqliteBackend::with_options(self).await
    }

    /// The SQL that opening this file would run to migrate it: empty where there is nothing to do. Run it in one
    /// transaction, with foreign keys off. Nothing is changed by printing it; a file that does not exist counts as empty.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    ///
    /// ```
    /// # use event_sourcery_sqlite::SqliteOptions;
    /// let sql = SqliteOptions::new("not-there-yet.db").migration()?;
    /// assert!(sql.contains("CREATE TABLE event_sourcery_streams"));
    /// # Ok::<(), event_sourcery::Error>(())
    /// ```
    pub fn migration(&self) -> Result<String> {
        self.check()?;
        let connection = match connection::reader(self) {
            Err(Error::StoreNotFound { .. }) if self.vfs.is_some() || !self.path.exists() => {
                rusqlite::Connection::open_in_memory().map_err(|error| self.failed(error))?
            }
            connection => connection?,
        };
        Ok(layout::plan(&connection, self)?.iter().map(|statement| format!("{statement};\n")).collect())
    }

    /// The same file, whatever becomes of the working directory.
    pub(crate) fn at_an_absolute_path(self) -> Result<Self> {
        let problem = if self.path == Path::new(":memory:") {
            "a store needs a file; what may be forgotten has a place in the library's `MemoryBackend`"
                .to_owned()
        } else {
            match std::path::absolute(&self.path) {
                Ok(path) => return Ok(Self { path, ..self }),
                Err(error) => format!("its path cannot be resolved: {error}"),
            }
        };
        Err(Error::StoreNotFound { place: self.path.display().to_string(), problem })
    }

    /// Refuses what no store can be opened with.
    pub(crate) fn check(&self) -> Result<()> {
        // SQLite does not tell upper from lower case in the names of tables.
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if self.prefix.len() > 40 || !self.prefix.chars().all(allowed) {
            let problem =
                format!("{:?} has to be at most 40 lower-case letters, digits and underscores", self.prefix);
            return Err(Error::InvalidOption { option: "table_prefix", problem });
        }
        if self.prefix.starts_with("sqlite_") {
            let problem = "SQLite keeps names that begin with sqlite_ to itself".to_owned();
            return Err(Error::InvalidOption { option: "table_prefix", problem });
        }
        if self.readers == 0 {
            return Err(Error::InvalidOption {
                option: "readers",
                problem: "at least one has to read".to_owned(),
            });
        }
        Ok(())
    }
}
