//! The connections that read.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};

use event_sourcery::backend::{LoadRequest, LoadedStream, PageRoom};
use event_sourcery::{Error, Position, Result};
use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::connection;
use crate::file::OpenedFile;
use crate::numbering::Seen;
use crate::operations::{LoadProgress, Operations};
use crate::options::SqliteOptions;
use crate::sql::Sql;

/// How many events a load reads on the caller's thread, if they are small: at most about half a millisecond, less than it takes to
/// decode them there. Handing them to another thread and back costs a tenth of that again. The rest of a longer stream is read on
/// a thread that may block.
const READ_IN_PLACE: usize = 1_024;

/// Connections that read: opened when they are first needed, and kept.
#[derive(Debug)]
pub(crate) struct Readers {
    options: SqliteOptions,
    sql: Sql,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
    seen: Arc<Seen>,
    file: Arc<OpenedFile>,
}

impl Readers {
    pub(crate) fn new(options: SqliteOptions, seen: Arc<Seen>, file: Arc<OpenedFile>) -> Arc<Self> {
        Arc::new(Self {
            sql: Sql::new(&options.prefix),
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(options.readers)),
            options,
            seen,
            file,
        })
    }

    pub(crate) async fn load(self: &Arc<Self>, request: LoadRequest) -> Result<LoadedStream> {
        let reader = self.reader().await?;
        let progress = match reader.start_load(&request) {
            Ok(progress) => progress,
            Err(error) => return reader.finish(Err(error)),
        };
        match progress.finished() {
            Ok(loaded) => reader.finish(Ok(loaded)),
            Err(progress) => {
                on_blocking_thread(move || {
                    let loaded = reader.operations().load_on(*progress, None);
                    reader.finish(loaded)?.finished().map_err(|_| Error::Closed)
                })
                .await
            }
        }
    }

    /// Runs `work` in a read transaction, where it may block.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(Operations<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let reader = self.reader().await?;
        on_blocking_thread(move || {
            let result = reader.begin().and_then(work);
            reader.finish(result)
        })
        .await
    }

    pub(crate) async fn position(self: &Arc<Self>) -> Result<Position> {
        let reader = self.reader().await?;
        let position = reader.operations().position();
        reader.finish(position)
    }

    /// A connection, as soon as one is free.
    async fn reader(self: &Arc<Self>) -> Result<Reader> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| Error::Closed)?;
        self.file.check_now_and_then()?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.open()?,
        };
        Ok(Reader { connection, readers: Arc::clone(self), permit })
    }

    /// A new connection, to the file that the writer has open.
    fn open(&self) -> Result<Connection> {
        let connection = connection::reader(&self.options)?;
        self.file.check()?;
        Ok(connection)
    }
}

/// A connection in use, and the right to use it.
struct Reader {
    connection: Connection,
    readers: Arc<Readers>,
    permit: OwnedSemaphorePermit,
}

impl Reader {
    /// Begins a read transaction: what follows is of one moment.
    fn begin(&self) -> Result<Operations<'_>> {
        // What was seen is taken down before the transaction has its view of the file.
        let operations = self.operations();
        operations.run("BEGIN")?;
        Ok(operations)
    }

    /// Begins a load and reads the first events, on this thread.
    fn start_load(&self, request: &LoadRequest) -> Result<LoadProgress> {
        let operations = self.begin()?;
        operations.load_on(operations.start_load(request)?, Some(PageRoom::of(READ_IN_PLACE)))
    }

    fn operations(&self) -> Operations<'_> {
        Operations {
            connection: &self.connection,
            sql: &self.readers.sql,
            busy_timeout: self.readers.options.busy_timeout,
            savepoints: false,
            look: self.readers.seen.before_reading(),
        }
    }

    /// Gives the connection back, with no transaction open.
    fn finish<T>(self, result: Result<T>) -> Result<T> {
        let ended = if self.connection.is_autocommit() { Ok(()) } else { self.operations().run("COMMIT") };
        if ended.is_ok() {
            self.readers.idle.lock().unwrap_or_else(PoisonError::into_inner).push(self.connection);
        }
        drop(self.permit);
        result
    }
}

/// Runs `work` where it may block; outside of a runtime, on this thread.
async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let Ok(runtime) = Handle::try_current() else { return work() };
    match runtime.spawn_blocking(work).await {
        Ok(result) => result,
        Err(stopped) => match stopped.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => Err(Error::Closed),
        },
    }
}
