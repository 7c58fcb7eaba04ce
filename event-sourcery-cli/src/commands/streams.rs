//! `streams`: which streams there are.

use clap::Args;
use event_sourcery::jiff::Timestamp;
use event_sourcery::look::{Mark, StreamSummary, StreamsRequest};
use event_sourcery::{StreamId, TenantId};
use serde::Serialize;

use crate::events::time;
use crate::failure::Failure;
use crate::going_on::{Listing, MOST_PAGES, Paging};
use crate::output::Output;
use crate::session::{Access, Session, category};
use crate::streams::name_of;
use crate::table::{Column, left, right};

const COLUMNS: &[Column] = &[
    left("Tenant"),
    left("Category"),
    left("Stream"),
    right("Version"),
    left("Last event"),
    left("Time"),
    right("Position"),
];

#[derive(Debug, Args)]
pub(crate) struct Streams {
    /// Those whose name begins so, by name; without, those that were begun last first
    prefix: Option<String>,

    /// All that have a name, by name
    #[arg(long, conflicts_with = "prefix")]
    by_name: bool,

    /// Those of this category
    #[arg(long)]
    category: Option<String>,

    #[command(flatten)]
    paging: Paging,
}

/// A stream as a program gets it.
#[derive(Serialize)]
struct StreamJson<'a> {
    tenant: &'a TenantId,
    stream: &'a StreamId,
    version: Option<u64>,
    position: i64,
    event_name: &'a str,
    created_at: Timestamp,
    unreadable: Option<&'a str>,
}

impl Streams {
    pub(crate) async fn run(self, session: &Session, out: &mut Output) -> Result<(), Failure> {
        let store = session.open(Access::Look).await?;
        let mut request = StreamsRequest::newest(1);
        request.named = self.prefix.or_else(|| self.by_name.then(String::new));
        request.category = category(self.category.as_deref())?;
        let mut listing = Listing::begin(out, COLUMNS);
        let page = async |from: Option<Mark>, most: usize| -> Result<_, Failure> {
            let mut request = request.clone().with_from(from);
            request.limit = most;
            Ok(store.look().streams(request).await?)
        };
        let next = self.paging.walk(MOST_PAGES, page, |stream| show(&mut listing, &stream)).await?;
        listing.end(next.as_ref(), "There is no such stream.")
    }
}

fn show(listing: &mut Listing<'_>, summary: &StreamSummary) -> Result<(), Failure> {
    let value = || StreamJson {
        tenant: &summary.tenant,
        stream: &summary.stream,
        version: summary.version,
        position: summary.position.to_i64(),
        event_name: &summary.event_name,
        created_at: summary.created_at,
        unreadable: summary.unreadable.as_deref(),
    };
    listing.item(value, || {
        vec![
            summary.tenant.as_str().to_owned(),
            summary.stream.stored_category().to_owned(),
            name_of(&summary.stream),
            summary.version.map(|version| version.to_string()).unwrap_or_default(),
            summary.event_name.to_string(),
            time(summary.created_at),
            summary.position.to_i64().to_string(),
        ]
    })
}
