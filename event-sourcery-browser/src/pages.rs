//! The pages, each in a file of its own.

mod act;
mod beside;
mod causes;
mod event;
mod holders;
mod outbox;
mod search;
mod store;
mod stream;
mod streams;
mod subscription;
mod subscriptions;
mod waiting;

pub(crate) use self::act::act;
use crate::ask::Ask;
use crate::failure::Failure;
use crate::layout::Sheet;

/// How many items a page has.
const ITEMS: usize = 50;

/// The page of this name.
pub(crate) async fn page(ask: &Ask<'_>, name: &str) -> Result<Sheet, Failure> {
    match name {
        "store" => store::page(ask).await,
        "streams" => streams::page(ask).await,
        "stream" => stream::page(ask).await,
        "beside" => beside::page(ask).await,
        "event" => event::page(ask).await,
        "causes" => causes::below(ask).await,
        "correlation" => causes::correlation(ask).await,
        "search" => search::page(ask).await,
        "subscriptions" => subscriptions::page(ask).await,
        "subscription" => subscription::page(ask).await,
        "waiting" => waiting::page(ask).await,
        "outbox" => outbox::page(ask).await,
        "holders" => holders::page(ask).await,
        _ => Err(Failure::NotFound("page")),
    }
}
