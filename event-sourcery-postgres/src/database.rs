//! What the clones of a backend share, and how its calls get a connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use event_sourcery::backend::{
    LoadRequest, LoadedStream, OutboxRequest, PresenceRecord, ProgressRequest, ReadRecords, ReadRequest,
    ScanPage, ScanRequest, SubscriptionChange, SubscriptionId, SubscriptionRecord,
};
use event_sourcery::{Error, Position, Result};
use sqlx::{Postgres, SqlSafeStr, Transaction};

use crate::append::Appends;
use crate::at_work::{AtWork, Mark, Process};
use crate::beginning::begin_on;
use crate::connections::Connections;
use crate::failure::met_damage;
use crate::hand_over::Taker;
use crate::layout::{self, Prepared};
use crate::listening::Listeners;
use crate::operations::{Operations, takes_one_statement};
use crate::options::PostgresOptions;
use crate::places::Purpose;
use crate::pooler;
use crate::settled::{Record, Run, Settled, mark, reached_by};
use crate::sql::Sql;
use crate::transaction::PostgresTransaction;
use crate::waiting::Looks;
use crate::wakeups::Wakeups;

/// How often it is looked how far the store is settled, while a lock is in the way.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How often a page is read anew, or progress made again, because the server runs anew each time.
pub(crate) const RUNS: usize = 8;

/// The most events of a page that is read again because a payload in it is lost: their size is not known before.
pub(crate) const FEW: usize = 8;

/// What the clones of a backend share.
pub(crate) struct Database {
    pub(crate) connections: Arc<Connections>,
    pub(crate) sql: Arc<Sql>,
    pub(crate) appends: Appends,
    pub(crate) settled: Arc<Settled>,
    pub(crate) wakeups: Arc<Wakeups>,
    pub(crate) looks: Looks,
    pub(crate) listeners: Arc<Listeners>,
}

/// A call on a connection of the store's own, made again while it waits for somebody's lock in vain: see
/// [`Patience`](crate::patience::Patience). It is counted from now, or from when it began; or its patience is
/// given.
macro_rules! call {
    ($database:expr, with $patience:expr, $operations:ident => $work:expr) => {{
        let (database, mut patience) = (&$database, $patience);
        loop {
            let mut lease = patience.acquire().await?;
            let mut $operations = $crate::operations::Operations::alone(&mut lease, &database.sql);
            let done = $work.await;
            let done = lease.keep_after(done);
            if let Some(done) = patience.last_word(done) {
                break done;
            }
        }
    }};
    ($database:expr, $operations:ident => $work:expr) => {
        $crate::database::call!($database, $crate::places::Purpose::Read, $operations => $work)
    };
    ($database:expr, $purpose:expr, $operations:ident => $work:expr) => {
        $crate::database::call!($database, $purpose, std::time::Instant::now(), $operations => $work)
    };
    ($database:expr, $purpose:expr, $since:expr, $operations:ident => $work:expr) => {
        $crate::database::call!($database, with $database.connections.patience($purpose, $since), $operations => $work)
    };
}
pub(crate) use call;

/// What puts down that a position was reached, made in the run of the server in which it may be: see
/// [`Settled::run_to_reach`]. Where it is nothing, because the server runs anew, it is made again after a look.
macro_rules! in_its_run {
    ($database:expr, $reached:expr, $run:ident => $work:expr) => {{
        let (database, reached) = (&$database, $reached);
        let mut looks = 0..$crate::database::RUNS;
        loop {
            if let Some($run) = database.settled.run_to_reach(reached)?
                && let Some(done) = $work?
            {
                break Ok(done);
            }
            if looks.next().is_none() {
                let problem = "the server runs anew, and has not settled yet what was reached";
                break Err(::event_sourcery::Error::unavailable(problem));
            }
            database.advance().await?;
        }
    }};
}
pub(crate) use in_its_run;

impl Database {
    pub(crate) async fn open(options: &PostgresOptions) -> Result<Self> {
        let connections = options.connections()?;
        if !options.transaction_pooler {
            pooler::refuse_shared_connections(&connections).await?;
        }
        let Prepared { tables, given, run } = layout::prepare(&connections, options).await?;
        let (sql, appends) = (Arc::new(Sql::new(&tables)), Appends::new(options.connection_count()));
        let notifies = options.notifications && !options.transaction_pooler;
        let wakeups = Wakeups::new(&connections, &sql, tables.table("events"), notifies);
        let _ = connections.wakeups.set(Arc::downgrade(&wakeups));
        let settled = Arc::new(Settled::opened(&run, given));
        let looks = Looks::new(options.look_every);
        Ok(Self { connections, sql, appends, settled, wakeups, looks, listeners: Arc::default() })
    }

    /// On a connection of the caller's pool.
    pub(crate) async fn begin_with(
        &self,
        statement: impl SqlSafeStr,
    ) -> Result<Transaction<'static, Postgres>> {
        begin_on(self.connections.pool(), statement, None).await
    }

    /// For a handler. The statement sets the mark.
    pub(crate) async fn begin_handling(
        &self,
        statement: impl SqlSafeStr,
        mark: Mark,
    ) -> Result<PostgresTransaction<'static>> {
        let at_work = AtWork::new(Arc::clone(&self.connections), Process::With(mark), Arc::default());
        let transaction = begin_on(self.connections.pools.handling(), statement, Some(&at_work)).await?;
        Ok(PostgresTransaction::new(transaction, Arc::clone(&self.wakeups), Some(at_work)))
    }

    pub(crate) async fn load(&self, request: &LoadRequest) -> Result<LoadedStream> {
        match self.load_all(request, false).await {
            Err(error) if met_damage(&error) => {
                let mut few = request.clone();
                few.limit = request.limit.map(|limit| limit.min(FEW));
                let mut loaded = self.load_all(&few, true).await?;
                let positions: Vec<_> = loaded.events.iter().map(|event| event.position.to_i64()).collect();
                let mut whole = call!(*self, operations => operations.whole(&positions))?;
                loaded.events.retain_mut(|event| whole.complete(event));
                Ok(loaded)
            }
            loaded => loaded,
        }
    }

    /// What the server cannot give, or what takes several statements, is handed over in one part. What turns out to be long gives
    /// its connection back while it is not its turn.
    pub(crate) async fn load_in_parts(&self, request: &LoadRequest, taker: &mut Taker<'_>) -> Result<()> {
        if !takes_one_statement(request) {
            return taker.take(self.load(request).await?).await;
        }
        let mut turn = None;
        let loaded = loop {
            let mut is_its_turn = || {
                turn = turn.take().or_else(|| self.connections.places.turn_at_once());
                turn.is_some()
            };
            let loaded = call!(*self, operations => {
                taker.restart();
                operations.load_in_parts(request, taker, &mut is_its_turn)
            });
            match loaded {
                Ok(false) => turn = Some(self.connections.turn().await?),
                loaded => break loaded.map(drop),
            }
        };
        match loaded {
            Err(error) if met_damage(&error) => {
                taker.restart();
                taker.take(self.load(request).await?).await
            }
            loaded => loaded,
        }
    }

    async fn load_all(&self, request: &LoadRequest, without_payloads: bool) -> Result<LoadedStream> {
        if takes_one_statement(request) {
            return call!(*self, operations => {
                operations.spares_payloads = without_payloads;
                operations.load(request)
            });
        }
        let mut patience = self.connections.patience(Purpose::Read, Instant::now());
        loop {
            let mut connection = patience.acquire().await?;
            let mut operations = Operations::of_one_moment(&mut connection, &self.sql, request);
            operations.spares_payloads = without_payloads;
            let loaded = operations.load_of_one_moment(request).await;
            if let Some(loaded) = patience.last_word(connection.keep_after(loaded)) {
                return loaded;
            }
        }
    }

    pub(crate) async fn read(&self, request: &ReadRequest) -> Result<ReadRecords> {
        call!(*self, operations => operations.read(request))
    }

    /// See [`Settled::was_given_elsewhere`].
    pub(crate) async fn was_given_elsewhere<T>(&self, appended: &Result<T>, given: i64) -> bool {
        self.settled.was_given_elsewhere(&self.connections, &self.sql, appended, given).await
    }

    pub(crate) async fn advance(&self) -> Result<Position> {
        self.look(Record::Now).await
    }

    /// Looks how far it is settled, and puts that on record.
    pub(crate) async fn look(&self, record: Record) -> Result<Position> {
        let since = Instant::now();
        loop {
            match self.settled.advance(&self.connections, &self.sql, record).await {
                // Somebody is at work on the table. It is waited for without a connection.
                Err(Error::Busy { .. }) if since.elapsed() < self.connections.lock_timeout => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Err(Error::Busy { .. }) => return Err(Error::busy(since.elapsed())),
                other => return other,
            }
        }
    }

    /// Looks how far readers may go: where the server runs anew, that may be less than before.
    pub(crate) async fn advance_readable(&self) -> Result<Position> {
        self.advance().await?;
        Ok(self.settled.known().readable)
    }

    pub(crate) async fn scan(&self, request: &ScanRequest) -> Result<ScanPage> {
        if let Some(up_to) = request.up_to {
            return self.scan_up_to(request, up_to).await;
        }
        let known = self.settled.known().readable;
        let mut read = None;
        if request.after < known {
            let page = self.scan_up_to(request, known).await?;
            if page.has_more {
                return Ok(page);
            }
            read = Some(page);
        }
        // What is settled is read in a statement that begins after it was known to be.
        let settled = self.advance_readable().await?;
        match read {
            Some(page) if settled == known => Ok(page),
            None if settled <= request.after => {
                self.refuse_beyond_end(request.after)?;
                Ok(ScanPage::new(Vec::new(), request.after, false))
            }
            _ => self.scan_up_to(request, settled).await,
        }
    }

    /// A page of entries. Like [`scan`](Self::scan), it is read in the run in which its end was settled.
    pub(crate) async fn outbox(&self, request: &OutboxRequest) -> Result<ScanPage> {
        if let Some(up_to) = request.up_to {
            return self.outbox_up_to(request, up_to).await;
        }
        let known = self.settled.known().readable;
        if request.after < known {
            let page = self.outbox_up_to(request, known).await?;
            if page.has_more {
                return Ok(page);
            }
        }
        let settled = self.advance_readable().await?;
        if settled <= request.after {
            self.refuse_beyond_end(request.after)?;
            return Ok(ScanPage::new(Vec::new(), request.after, false));
        }
        self.outbox_up_to(request, settled).await
    }

    async fn outbox_up_to(&self, request: &OutboxRequest, up_to: Position) -> Result<ScanPage> {
        for _ in 0..RUNS {
            let known = self.settled.known();
            if (up_to <= known.readable || up_to > known.position)
                && let Some(page) = self.entries(request, up_to, &known.run).await?
            {
                return Ok(page);
            }
            self.advance().await?;
        }
        Err(Error::unavailable("the server was replaced each time it was read"))
    }

    async fn entries(&self, request: &OutboxRequest, up_to: Position, run: &Run) -> Result<Option<ScanPage>> {
        let read = call!(*self, operations => operations.outbox(request, up_to, run));
        if !read.as_ref().is_err_and(met_damage) {
            return read;
        }
        call!(*self, operations => operations.whole_entries(request, up_to, run))
    }

    /// A page up to a position. Where it was settled, and the server runs anew since, it has to be so in that run too.
    async fn scan_up_to(&self, request: &ScanRequest, up_to: Position) -> Result<ScanPage> {
        for _ in 0..RUNS {
            let known = self.settled.known();
            if (up_to <= known.readable || up_to > known.position)
                && let Some(page) = self.page(request, up_to, &known.run).await?
            {
                return Ok(page);
            }
            self.advance().await?;
        }
        Err(Error::unavailable("the server was replaced each time it was read"))
    }

    async fn page(&self, request: &ScanRequest, up_to: Position, run: &Run) -> Result<Option<ScanPage>> {
        let read = call!(*self, operations => operations.scan(request, up_to, run));
        if !read.as_ref().is_err_and(met_damage) {
            return read;
        }
        let mut few = request.clone();
        few.limit = request.limit.min(FEW);
        let read = call!(*self, operations => {
            operations.spares_payloads = true;
            operations.scan(&few, up_to, run)
        })?;
        let Some(mut page) = read else { return Ok(None) };
        let positions: Vec<_> = page.records.iter().map(|record| record.event.position.to_i64()).collect();
        let mut whole = call!(*self, operations => operations.whole(&positions))?;
        page.records.retain_mut(|record| whole.complete_record(record));
        Ok(Some(page))
    }

    pub(crate) async fn progress(&self, request: &ProgressRequest) -> Result<()> {
        in_its_run!(*self, request.position.as_slice(), run =>
            call!(*self, Purpose::Write, operations => operations.progress(request, &run)))
    }

    /// Changes that put down no position are made in any run.
    pub(crate) async fn change_subscriptions(
        &self,
        changes: &[(SubscriptionId, SubscriptionChange)],
    ) -> Result<Vec<Option<SubscriptionRecord>>> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        // Leases count in the run in which they are given. One without a mark has another name as soon as somebody leaves one.
        let renews = changes.iter().any(|(_, change)| matches!(change, SubscriptionChange::Renew(_)));
        if renews && !self.settled.known().run.is_marked() {
            let mut connection = self.connections.acquire(Purpose::Write).await?;
            mark(&mut connection, &self.sql).await;
            connection.give_back();
        }
        let reached: Vec<_> = changes.iter().filter_map(|(_, change)| reached_by(change)).collect();
        in_its_run!(*self, &reached, run => {
            let run = (!reached.is_empty()).then_some(&run);
            if changes.len() > 1 {
                self.change_without_patience(changes, run).await
            } else {
                call!(*self, Purpose::Write, operations => operations.change_subscriptions(changes, run))
            }
        })
    }

    /// Waits for somebody's lock for a moment only: whoever waits for longer shares that with nobody.
    async fn change_without_patience(
        &self,
        changes: &[(SubscriptionId, SubscriptionChange)],
        run: Option<&Run>,
    ) -> Result<Option<Vec<Option<SubscriptionRecord>>>> {
        let mut connection = self.connections.acquire(Purpose::Write).await?;
        let changed = Operations::alone(&mut connection, &self.sql).change_subscriptions(changes, run).await;
        connection.keep_after(changed)
    }

    /// Waits for somebody's lock for a moment only: all members of a process wait for this, and each asks for itself where it fails.
    pub(crate) async fn renew_presence(&self, presence: i64) -> Result<Option<PresenceRecord>> {
        let mut connection = self.connections.acquire(Purpose::Write).await?;
        let renewed = Operations::alone(&mut connection, &self.sql).renew_presence(presence).await;
        connection.keep_after(renewed)
    }

    /// Refuses to wait for what comes after a position that was never given.
    pub(crate) fn refuse_beyond_end(&self, position: Position) -> Result<()> {
        let end = self.settled.known().end;
        if position > end { Err(Error::BeyondEnd { position, end }) } else { Ok(()) }
    }
}
