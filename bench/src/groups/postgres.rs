//! The groups of figures on a PostgreSQL server, beside the same rows written by hand.

mod batch;
mod concurrent;
mod driver;
mod load;
mod lone;
mod read;
mod sequential;
mod tasks;

use crate::Result;
use crate::bench::Bench;
use crate::groups::{aggregate, deleting, held, listening, outbox, pages, privacy, subscribe, tags};
use crate::postgres::Server;

pub async fn measure(bench: &mut Bench, server: &Server) -> Result<()> {
    sequential::measure(bench, server).await?;
    concurrent::measure(bench, server).await?;
    batch::measure(bench, server).await?;
    load::measure(bench, server).await?;
    lone::measure(bench, server).await?;
    listening::postgres(bench, server).await?;
    outbox::postgres(bench, server).await?;
    pages::postgres(bench, server).await?;
    read::measure(bench, server).await?;
    subscribe::postgres(bench, server).await?;
    aggregate::postgres(bench, server).await?;
    tags::postgres(bench, server).await?;
    privacy::postgres(bench, server).await?;
    held::postgres(bench, server).await?;
    deleting::postgres(bench, server).await?;
    driver::measure(bench, server).await
}
