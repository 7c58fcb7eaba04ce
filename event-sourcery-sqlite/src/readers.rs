//! The connections that read.

mod long_load;

use std::future::Future;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event_sourcery::backend::{LoadRequest, LoadSink, LoadedStream, in_a_task};
use event_sourcery::{Error, Position, Result};
use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::long_load::{HandOver, Rest};
use crate::connection;
use crate::file::OpenedFile;
use crate::numbering::Seen;
use crate::operations::{LoadProgress, Operations};
use crate::options::SqliteOptions;
use crate::sql::Sql;

/// How long a load waits for whoever is to take what was read.
const PATIENCE: Duration = Duration::from_millis(100);

/// Connections that read: opened when they are first needed, and kept.
#[derive(Debug)]
pub(crate) struct Readers {
    options: SqliteOptions,
    sql: Sql,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
    /// How many of them may read long streams: half, so that others are read meanwhile.
    long: Arc<Semaphore>,
    seen: Arc<Seen>,
    file: Arc<OpenedFile>,
}

impl Readers {
    pub(crate) fn new(options: SqliteOptions, seen: Arc<Seen>, file: Arc<OpenedFile>) -> Arc<Self> {
        Arc::new(Self {
            sql: Sql::new(&options.prefix),
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(options.readers)),
            long: Arc::new(Semaphore::new((options.readers / 2).max(1))),
            options,
            seen,
            file,
        })
    }

    /// Loads a stream, part by part. The first part is read on the caller's thread: handing it to another thread and back costs a
    /// tenth of that again.
    pub(crate) async fn load(self: &Arc<Self>, request: LoadRequest, sink: &mut dyn LoadSink) -> Result<()> {
        let (wanted, long) = (request.clone(), Arc::clone(&self.long));
        let loading = self.with_reader(async move |reader| match reader.start_load(&wanted) {
            Ok(progress) if progress.is_finished() => {
                reader.finish(Ok(progress)).map(Loading::whole).map(Some)
            }
            Ok(progress) => match long.try_acquire_owned() {
                Ok(turn) => reader.load_on(progress, turn).map(Some),
                Err(_) => reader.finish(Ok(None)),
            },
            Err(error) => reader.finish(Err(error)),
        });
        let mut loading = match loading.await? {
            Some(loading) => loading,
            None => self.load_in_turn(request).await?,
        };
        sink.take(loading.first)?;
        while let Some(rest) = &mut loading.rest
            && let Some(part) = rest.next().await?
        {
            sink.take(part)?;
        }
        Ok(())
    }

    /// Loads a long stream, once fewer of them are loaded.
    async fn load_in_turn(self: &Arc<Self>, request: LoadRequest) -> Result<Loading> {
        let readers = Arc::clone(self);
        in_a_task(async move {
            let turn = Arc::clone(&readers.long).acquire_owned().await.map_err(|_| Error::Closed)?;
            let reader = readers.reader().await?;
            match reader.start_load(&request) {
                Ok(progress) => reader.load_on(progress, turn),
                Err(error) => reader.finish(Err(error)),
            }
        })
        .await
    }

    /// Runs `work` in a read transaction, where it may block.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(Operations<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.with_reader(|reader| {
            on_blocking_thread(move || {
                let result = reader.begin().and_then(work);
                reader.finish(result)
            })
        })
        .await
    }

    pub(crate) async fn position(self: &Arc<Self>) -> Result<Position> {
        self.with_reader(async |reader| {
            let position = reader.operations().position();
            reader.finish(position)
        })
        .await
    }

    /// Does `work` with a connection, as soon as one is free. Who has to wait for one does so in a task: a connection that is given
    /// to a future that nobody polls would be used by nobody.
    async fn with_reader<T, F>(self: &Arc<Self>, work: impl FnOnce(Reader) -> F + Send + 'static) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send,
    {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return work(self.connected(permit)?).await;
        }
        let readers = Arc::clone(self);
        in_a_task(async move { work(readers.reader().await?).await }).await
    }

    /// A connection, as soon as one is free.
    async fn reader(self: &Arc<Self>) -> Result<Reader> {
        self.connected(Arc::clone(&self.permits).acquire_owned().await.map_err(|_| Error::Closed)?)
    }

    fn connected(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Result<Reader> {
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

/// A load that has begun: its first part, and where the others come from.
struct Loading {
    first: LoadedStream,
    rest: Option<Rest>,
}

impl Loading {
    /// Of what was read at once.
    fn whole(mut progress: LoadProgress) -> Self {
        Self { first: progress.part(), rest: None }
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

    /// Begins a load and reads the first part, on this thread.
    fn start_load(&self, request: &LoadRequest) -> Result<LoadProgress> {
        let operations = self.begin()?;
        operations.load_part(operations.start_load(request)?)
    }

    /// Reads the rest, on a thread that may block, for as long as somebody waits for it; outside of a runtime, on this thread.
    fn load_on(self, mut progress: LoadProgress, turn: OwnedSemaphorePermit) -> Result<Loading> {
        let mut first = progress.part();
        if Handle::try_current().is_err() {
            let read = self.read_on(progress, &mut first);
            return self.finish(read.map(|()| Loading { first, rest: None }));
        }
        let rest = Rest::of(PATIENCE, move |hand_over| {
            let read = self.hand_over(progress, hand_over);
            drop(turn);
            self.finish(read)
        });
        Ok(Loading { first, rest: Some(rest) })
    }

    fn read_on(&self, mut progress: LoadProgress, into: &mut LoadedStream) -> Result<()> {
        while !progress.is_finished() {
            progress = self.operations().load_part(progress)?;
            into.take(progress.part())?;
        }
        Ok(())
    }

    fn hand_over(&self, mut progress: LoadProgress, mut hand_over: HandOver) -> Result<()> {
        while !progress.is_finished() {
            hand_over.make_room()?;
            progress = self.operations().load_part(progress)?;
            hand_over.part(progress.part())?;
        }
        Ok(())
    }

    fn operations(&self) -> Operations<'_> {
        Operations {
            connection: &self.connection,
            sql: &self.readers.sql,
            busy_timeout: self.readers.options.busy_timeout,
            savepoints: false,
            look: self.readers.seen.before_reading(),
            listeners: None,
            depth: 0,
            guard: None,
            leftovers: None,
            traces: None,
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

#[cfg(test)]
mod tests;
