//! What the driver costs: the pool beside a connection that is held, TCP beside a socket in the file system, and
//! `TCP_NODELAY`, which sqlx does not set. All written by hand.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Instant;

use event_sourcery::StreamId;
use postgres_cluster::Database;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::task::JoinSet;

use crate::Result;
use crate::bench::{Bench, microseconds, rate};
use crate::figure::Figure;
use crate::invoice::{InvoiceEvent, streams};
use crate::postgres::by_hand::append_on;
use crate::postgres::{CONNECTIONS, Server, open, pool};

const APPENDS: u64 = 1_000;
const TASKS: usize = 8;
const A_TASK: u64 = 300;
const STATEMENTS: usize = 1_000;
/// The sizes of the statements that go over TCP, and how many of them.
const SIZES: [(&str, usize, usize); 3] =
    [("200-B", 200, 1_000), ("50-KB", 50_000, 300), ("5-MB", 5_000_000, 20)];

pub async fn measure(bench: &mut Bench, server: &Server) -> Result<()> {
    if !bench.wants("postgres/driver") {
        return Ok(());
    }
    let database = server.database();
    drop(open(&database).await?);
    let pool = pool(&database, CONNECTIONS).await?;
    statement(bench, &pool).await?;
    append(bench, &pool).await?;
    tasks(bench, &pool).await?;
    unix_socket(bench, server, &database).await?;
    no_delay(bench, server, &database).await
}

/// A stream that exists, and the version to append to next.
struct Place {
    stream: StreamId,
    version: u64,
}

impl Place {
    async fn create(connection: &mut PgConnection, name: &str) -> Result<Self> {
        let stream = StreamId::from_name(name)?;
        append_on(connection, &stream, 0, &InvoiceEvent::nth(0)).await?;
        Ok(Self { stream, version: 1 })
    }

    /// Appends, each time on the connection that is handed out.
    async fn append_in(&mut self, pool: &PgPool, count: u64) -> Result<()> {
        for version in self.next(count) {
            append_on(pool, &self.stream, version, &InvoiceEvent::nth(version)).await?;
        }
        Ok(())
    }

    async fn append_on(&mut self, connection: &mut PgConnection, count: u64) -> Result<()> {
        for version in self.next(count) {
            append_on(&mut *connection, &self.stream, version, &InvoiceEvent::nth(version)).await?;
        }
        Ok(())
    }

    fn next(&mut self, count: u64) -> std::ops::Range<u64> {
        let first = self.version;
        self.version += count;
        first..self.version
    }
}

/// The smallest statement.
async fn statement(bench: &mut Bench, pool: &PgPool) -> Result<()> {
    let count = bench.count(STATEMENTS);
    let mut held = pool.acquire().await?;
    let pairs = bench
        .alternate(
            async || {
                let began = Instant::now();
                for _ in 0..count {
                    sqlx::query("SELECT 1").execute(pool).await?;
                }
                Ok(microseconds(began.elapsed()) / count as f64)
            },
            async || {
                let began = Instant::now();
                for _ in 0..count {
                    sqlx::query("SELECT 1").execute(&mut *held).await?;
                }
                Ok(microseconds(began.elapsed()) / count as f64)
            },
        )
        .await?;
    let name = "postgres/driver/pool/statement";
    bench.report(Figure::of(name, "µs from the pool", &pairs, "on a held connection", None))
}

/// One append after the other.
async fn append(bench: &mut Bench, pool: &PgPool) -> Result<()> {
    let count = bench.count(APPENDS as usize) as u64;
    let mut held = pool.acquire().await?;
    let mut pooled = Place::create(&mut held, "pooled").await?;
    let mut on_held = Place::create(&mut held, "held").await?;
    let pairs = bench
        .alternate(
            async || {
                let began = Instant::now();
                pooled.append_in(pool, count).await?;
                Ok(microseconds(began.elapsed()) / count as f64)
            },
            async || {
                let began = Instant::now();
                on_held.append_on(&mut held, count).await?;
                Ok(microseconds(began.elapsed()) / count as f64)
            },
        )
        .await?;
    let name = "postgres/driver/pool/append";
    bench.report(Figure::of(name, "µs from the pool", &pairs, "on a held connection", None))
}

/// As many tasks as connections, each with a stream of its own.
async fn tasks(bench: &mut Bench, pool: &PgPool) -> Result<()> {
    let a_task = bench.count(A_TASK as usize) as u64;
    let (mut pooled, mut held) = (Vec::new(), Vec::new());
    for (number, stream) in streams("tasks", 2 * TASKS)?.into_iter().enumerate() {
        let place = Place::create(&mut *pool.acquire().await?, stream.name().unwrap_or_default()).await?;
        if number < TASKS {
            pooled.push(place);
        } else {
            held.push((place, PgConnection::connect_with(&pool.connect_options()).await?));
        }
    }
    let appends = TASKS * a_task as usize;
    let pairs = bench
        .alternate(
            async || {
                let (mut tasks, began) = (JoinSet::<Result<Place>>::new(), Instant::now());
                for mut place in pooled.drain(..) {
                    let pool = pool.clone();
                    tasks.spawn(async move {
                        place.append_in(&pool, a_task).await?;
                        Ok(place)
                    });
                }
                while let Some(finished) = tasks.join_next().await {
                    pooled.push(finished??);
                }
                Ok(rate(appends, began))
            },
            async || {
                let (mut tasks, began) = (JoinSet::<Result<(Place, PgConnection)>>::new(), Instant::now());
                for (mut place, mut connection) in held.drain(..) {
                    tasks.spawn(async move {
                        place.append_on(&mut connection, a_task).await?;
                        Ok((place, connection))
                    });
                }
                while let Some(finished) = tasks.join_next().await {
                    held.push(finished??);
                }
                Ok(rate(appends, began))
            },
        )
        .await?;
    let name = "postgres/driver/pool/8-tasks";
    bench.report(Figure::of(name, "appends/s from the pool", &pairs, "on held connections", None))
}

async fn unix_socket(bench: &mut Bench, server: &Server, database: &Database) -> Result<()> {
    let count = bench.count(APPENDS as usize) as u64;
    let mut by_file = PgConnection::connect_with(&server.by_unix_socket(database)).await?;
    let mut by_tcp = PgConnection::connect(&database.url()).await?;
    let mut first = Place::create(&mut by_file, "by-file").await?;
    let mut second = Place::create(&mut by_tcp, "by-tcp").await?;
    let time = async |place: &mut Place, connection: &mut PgConnection| {
        let began = Instant::now();
        place.append_on(connection, count).await?;
        Ok(microseconds(began.elapsed()) / count as f64)
    };
    let pairs = bench
        .alternate(
            async || time(&mut first, &mut by_file).await,
            async || time(&mut second, &mut by_tcp).await,
        )
        .await?;
    let name = "postgres/driver/unix-socket";
    bench.report(Figure::of(name, "µs an append by socket file", &pairs, "by TCP", None))
}

async fn no_delay(bench: &mut Bench, server: &Server, database: &Database) -> Result<()> {
    let mut fast = PgConnection::connect(&database.url()).await?;
    if set_no_delay(server.port())? == 0 {
        return Err("the driver's sockets were not found".into());
    }
    let mut as_it_is = PgConnection::connect(&database.url()).await?;
    let statement = "SELECT octet_length($1)";
    for (kind, size, count) in SIZES {
        let (count, bytes) = (bench.count(count), vec![7_u8; size]);
        let time = async |connection: &mut PgConnection| {
            let began = Instant::now();
            for _ in 0..count {
                sqlx::query(statement).bind(bytes.as_slice()).execute(&mut *connection).await?;
            }
            Ok(microseconds(began.elapsed()) / count as f64)
        };
        let pairs =
            bench.alternate(async || time(&mut fast).await, async || time(&mut as_it_is).await).await?;
        let name = format!("postgres/driver/no-delay/{kind}");
        bench.report(Figure::of(&name, "µs with TCP_NODELAY", &pairs, "as sqlx does it", None))?;
    }
    Ok(())
}

/// Sets `TCP_NODELAY` on every connection of this process to the port, and tells how many there are.
fn set_no_delay(port: u16) -> Result<usize> {
    let this = pidfd_open(getpid(), PidfdFlags::empty())?;
    let mut found = 0;
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let number = entry?.file_name().to_string_lossy().parse()?;
        // The folder that is being read is among them, and may be gone.
        let Ok(file) = pidfd_getfd(&this, number, PidfdGetfdFlags::empty()) else { continue };
        let file: OwnedFd = file;
        let stream = TcpStream::from(file);
        if stream.peer_addr().is_ok_and(|peer: SocketAddr| peer.port() == port) {
            stream.set_nodelay(true)?;
            found += 1;
        }
    }
    Ok(found)
}
