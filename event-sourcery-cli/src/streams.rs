//! A stream, as it is given on the command line.

use clap::Args;
use event_sourcery::look::{Look, StreamSummary, StreamsRequest};
use event_sourcery::uuid::Uuid;
use event_sourcery::{EventStore, StreamId};

use crate::failure::Failure;
use crate::output::{for_shell, safe};
use crate::session::category;

/// How many streams are suggested where the one that was asked for is not there.
const SUGGESTED: usize = 5;

/// Which stream.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Its name, or its UUID
    #[arg(value_name = "STREAM")]
    pub(crate) stream: String,

    /// Its category, if it is in one
    #[arg(long)]
    pub(crate) category: Option<String>,
}

impl Named {
    /// The stream that is there under this name, or this UUID.
    pub(crate) async fn find(&self, store: &EventStore) -> Result<StreamId, Failure> {
        let look = store.look();
        for stream in candidates(&self.stream, self.category.as_deref())? {
            if let Some(last) = look.backwards(&stream, None, 1).await?.items.first() {
                return Ok(last.stream_id().clone());
            }
        }
        Err(self.not_found(look).await)
    }

    async fn not_found(&self, look: Look<'_>) -> Failure {
        // It is a help, and no more than that.
        let named = StreamsRequest::named(self.stream.clone(), SUGGESTED);
        let others = look.streams(named).await.map(|page| page.items).unwrap_or_default();
        let to_do = match others.as_slice() {
            [] => "see which there are: `event-sourcery streams`; one of a category needs --category, one of a tenant \
                   --tenant"
                .to_owned(),
            others => {
                let others: Vec<String> = others.iter().map(as_arguments).collect();
                format!("there are others that begin so: {}", others.join("; "))
            }
        };
        Failure::Refused { what: format!("there is no stream {}", self.stream), to_do }
    }
}

/// Which streams may be meant: a UUID may also be a name.
pub(crate) fn candidates(named: &str, of: Option<&str>) -> Result<Vec<StreamId>, Failure> {
    let by_uuid = named.parse::<Uuid>().ok().map(StreamId::from_uuid);
    let by_name = StreamId::from_name(named)?;
    let category = category(of)?;
    let in_category = |stream: StreamId| match &category {
        Some(category) => stream.with_category(category.clone()),
        None => stream,
    };
    Ok(by_uuid.into_iter().chain([by_name]).map(in_category).collect())
}

/// A stream as it is given on the command line.
fn as_arguments(summary: &StreamSummary) -> String {
    let stream = &summary.stream;
    let name = name_of(stream);
    // It is to be copied into a shell: what a terminal would act upon, or this program take for a flag, goes by its UUID.
    let is_plain = safe(&name, "") == name && !name.starts_with('-');
    let mut arguments = if is_plain { for_shell(&name) } else { stream.uuid().to_string() };
    if let Some(category) = stream.category() {
        arguments += &format!(" --category {}", for_shell(category.as_str()));
    }
    if !summary.tenant.is_default() {
        arguments += &format!(" --tenant {}", for_shell(summary.tenant.as_str()));
    }
    arguments
}

/// Its name, or its UUID where it has none.
pub(crate) fn name_of(stream: &StreamId) -> String {
    stream.name().map_or_else(|| stream.uuid().to_string(), str::to_owned)
}
