//! A file of events.

use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::line;
use super::origin::{Origin as _, StoreOrigin, Stretch};
use super::report::Exported;
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::store::EventStore;

/// Writes the events of a store, up to what is settled at the end, to a file: those of all tenants, or of the handle's. Nothing is
/// changed, nothing that is encrypted is opened, and no keys are written. A page is in memory.
///
/// The file is text in UTF-8, a JSON object a line; [`Copy::import`](super::Copy::import) reads it, and Python does with
/// `json.loads` of each line. The first line is `{"format":"event-sourcery events","version":1}`, the last one is
/// `{"end":true,"events":n}` with the number of events; a file that lacks it was not written to its end. Between them there is a line
/// for each event, in the order of the store, with these fields:
///
/// | field | what it is |
/// |---|---|
/// | `position` | where it stood: a number that rises from line to line |
/// | `tenant`, `category` | texts; null for the default tenant, and for no category |
/// | `stream`, `stream_name` | the UUID; and the name, or null |
/// | `version` | its number in the stream; null in a stream without versions |
/// | `id`, `name`, `schema_version` | the event's id, the stored name of its type, and the version of its form |
/// | `created_at` | the time in UTC, as RFC 3339 writes it, to the microsecond |
/// | `tags` | texts such as `course:c1`; left out where it has none |
/// | `context`, `data` | context and payload, character by character as they are stored: numbers have all their digits |
/// | `context_text`, `data_text` | in the place of these two, a text, where what is stored is no JSON, or has several lines |
///
/// # Errors
///
/// [`Error::File`] where the file cannot be written; and the backend's. An event that cannot be read is no error: it is left out, and
/// [reported](Exported::described).
///
/// ```
/// use event_sourcery::copy::{Copy, export};
/// use event_sourcery::{EventStore, MemoryBackend, RawEvent, StreamId};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let (store, another) = (EventStore::new(MemoryBackend::new()), EventStore::new(MemoryBackend::new()));
/// # store.append(&StreamId::random(), RawEvent::new("Paid", r#"{"euros": 7.10}"#)?).await?;
/// let mut file = Vec::new(); // or a file of tokio's
/// assert_eq!(export(&store, &mut file).await?.events, 1);
/// assert!(String::from_utf8_lossy(&file).contains(r#""data":{"euros": 7.10}"#));
///
/// assert_eq!(Copy::import(&file[..], &another).run().await?.written, 1);
/// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
/// ```
pub async fn export<B: Backend>(
    store: &EventStore<B>,
    file: &mut (impl AsyncWrite + Unpin + Send),
) -> Result<Exported> {
    let tenant = Some(store.tenant_id().clone()).filter(|tenant| !tenant.is_default());
    let mut origin = StoreOrigin::new(store.erased().backend().clone(), tenant);
    let mut exported = Exported::new();
    let mut lines = line::first()?;
    loop {
        let Stretch { records, up_to, has_more } = origin.read().await?;
        for record in &records {
            match record.event.check(&record.stream) {
                Ok(()) => {
                    lines.append(&mut line::of_event(record)?);
                    exported.events += 1;
                }
                Err(problem) => exported.left_out(record, problem),
            }
        }
        exported.up_to = up_to;
        if !has_more {
            lines.append(&mut line::last(exported.events)?);
        }
        file.write_all(&lines).await.map_err(|source| Error::File { source })?;
        lines.clear();
        if !has_more {
            file.flush().await.map_err(|source| Error::File { source })?;
            return Ok(exported);
        }
    }
}
