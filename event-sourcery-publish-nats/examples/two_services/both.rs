//! The broker and both services, each a process, until every order is entered.

use std::env;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use broker_cluster::Nats;
use event_sourcery_sqlite::rusqlite::{Connection, OpenFlags};
use tokio::time::sleep;

use crate::Failure;
use crate::shop::CUSTOMERS;

/// Ends with the value.
struct Service(Child);

impl Service {
    fn start(arguments: &[&str]) -> Result<Self, Failure> {
        let service = Command::new(env::current_exe()?).args(arguments).stdin(Stdio::null()).spawn()?;
        Ok(Self(service))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs them in a temporary folder, and tells what the books say in the end.
pub(crate) async fn run(orders: u64) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let place = folder.path().to_str().ok_or("the temporary folder has a name that is no text")?;
    let nats = Nats::start();
    let (url, count) = (nats.url(), orders.to_string());
    let _books = Service::start(&["books", place, &url])?;
    let _shop = Service::start(&["shop", place, &url, &count])?;
    tokio::select! {
        told = tokio::signal::ctrl_c() => return Ok(told?),
        () = all_are_entered(folder.path(), orders) => {}
    }
    let books = Connection::open(folder.path().join("books.db"))?;
    let mut sums = books.prepare("SELECT customer, count(*), sum(cents) FROM sales GROUP BY 1 ORDER BY 1")?;
    let mut sums = sums.query([])?;
    while let Some(sum) = sums.next()? {
        let (customer, count, cents) =
            (sum.get::<_, String>(0)?, sum.get::<_, u64>(1)?, sum.get::<_, u64>(2)?);
        println!("{customer} has placed {count} orders, of {cents} cents");
    }
    Ok(())
}

async fn all_are_entered(folder: &Path, orders: u64) {
    while entered(folder).unwrap_or_default() < CUSTOMERS.len() as u64 * orders {
        sleep(Duration::from_millis(50)).await;
    }
}

fn entered(folder: &Path) -> Result<u64, Failure> {
    // Who only looks does not make the file.
    let books = Connection::open_with_flags(folder.join("books.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    Ok(books.query_row("SELECT count(*) FROM sales", [], |row| row.get(0))?)
}
