//! The import: what can be done with a source, a destination and a mapping.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use event_sourcery::EventStore;
use event_sourcery::backend::Backend;

use crate::comparing;
use crate::error::{Cause, ImportError, Result};
use crate::mapped::{Decode, Mapper};
use crate::mapping::{Holes, Mapping};
use crate::report::{Compared, Imported, Planned};
use crate::source::{Behind, ForeignStream, Mark, Order, Source, is_last};
use crate::writing::Writer;

/// How many events are read at once.
pub(crate) const PAGE: usize = 256;

/// How long nothing is read after all that is there was read, while it goes on being written.
const PAUSE: Duration = Duration::from_millis(200);

/// Who is told how far an import has come.
type Told<'a> = Box<dyn FnMut(&Imported) + Send + 'a>;

/// An import, in the making: from a store of another kind into one of ours, of whatever kind.
///
/// The destination's handle says whose events they become, unless the mapping does. Enrichers, keys and the outbox of the handle have
/// no part in it; listeners of the destination are called as for any append.
///
/// Nothing is kept beside the events: what is there already is recognised. So an import that was stopped or killed at any point is simply
/// run again, and each event is there once. A [mark](Imported::mark) saves the time of reading all again.
pub struct Import<'a> {
    source: Box<dyn Source + 'a>,
    backend: Arc<dyn Backend>,
    mapper: Mapper,
    mark: Mark,
    told: Option<Told<'a>>,
}

impl<'a> Import<'a> {
    /// From a source to a store, as the mapping says.
    pub fn new<B: Backend>(source: impl Source + 'a, destination: &EventStore<B>, mapping: Mapping) -> Self {
        let backend = Arc::clone(destination.erased().backend());
        let tenant = destination.tenant_id().clone();
        let mapper = Mapper { mapping: Arc::new(mapping), tenant, decode: None };
        Self { source: Box::new(source), backend, mapper, mark: Mark::START, told: None }
    }

    /// Goes on from where an earlier run came, without reading what is before it. Where the event there is another one by now, a run
    /// begins anew, and [says so](Imported::began_anew). A source without positions is looked through in each run.
    #[must_use]
    pub fn after(self, mark: Mark) -> Self {
        Self { mark, ..self }
    }

    /// Calls this with each payload, to get JSON out of it: where the other program compresses or encrypts.
    #[must_use]
    pub fn decoding(
        mut self,
        decode: impl Fn(&[u8]) -> Result<Vec<u8>, Cause> + Send + Sync + 'static,
    ) -> Self {
        let decode: Decode = Arc::new(decode);
        self.mapper.decode = Some(decode);
        self
    }

    /// Calls this after each page: 256 events, or fewer where they are large.
    #[must_use]
    pub fn on_progress(self, told: impl FnMut(&Imported) + Send + 'a) -> Self {
        Self { told: Some(Box::new(told)), ..self }
    }

    /// Reads everything, writes nothing, and reports what would become of it. It remembers each stream meanwhile, in memory.
    ///
    /// # Errors
    ///
    /// Those of the [source](Source), [`ImportError::Mapping`] and [`ImportError::NoHoles`].
    pub async fn dry_run(mut self) -> Result<Planned> {
        self.check()?;
        let mut planning = Planning::default();
        match self.source.order() {
            Order::Positions => {
                let up_to = self.source.horizon().await?;
                planning.planned.horizon = Some(up_to);
                let mut after = 0;
                loop {
                    let page = self.source.page(after, up_to, PAGE).await?;
                    page.iter().for_each(|event| planning.take(&self.mapper, event));
                    match page.last().and_then(|last| last.position).filter(|_| !is_last(&page, PAGE)) {
                        Some(last) => after = last,
                        None => break,
                    }
                }
            }
            Order::Streams => {
                for count in self.source.streams().await? {
                    let mut after = i64::MIN;
                    loop {
                        let page = self.source.events_of(&count.stream, after, PAGE).await?;
                        page.iter().for_each(|event| planning.take(&self.mapper, event));
                        match page.last().filter(|_| !is_last(&page, PAGE)) {
                            Some(last) => after = last.version,
                            None => break,
                        }
                    }
                }
            }
        }
        Ok(planning.end())
    }

    /// Imports what there is, up to what is certain to be complete. Run it again, as often as you like, while the other program writes.
    ///
    /// Events are written in appends to many streams each, for as long as their order allows it. Where the answer to one is lost, or the
    /// destination is busy, it is sent again for a minute.
    ///
    /// # Errors
    ///
    /// [`ImportError::Mapping`] and [`ImportError::NoHoles`]; [`ImportError::StillWriting`] and others of the source;
    /// [`ImportError::Destination`]. An event that cannot be stored is no error: it is left out, and [reported](Imported::left_out).
    pub async fn run(mut self) -> Result<Imported> {
        self.check()?;
        let (mut writer, mut imported) = self.begin();
        self.round(&mut writer, &mut imported).await?;
        Ok(imported)
    }

    /// The same, and goes on with what the other program writes, until `until` is ready; then once more up to what is certain. To stop
    /// at once, drop the future.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub async fn run_until(mut self, until: impl Future<Output = ()>) -> Result<Imported> {
        self.check()?;
        let (mut writer, mut imported) = self.begin();
        let mut until = pin!(until);
        let mut is_over = false;
        while !is_over {
            self.round(&mut writer, &mut imported).await?;
            is_over = tokio::select! {
                biased;
                () = &mut until => true,
                () = tokio::time::sleep(PAUSE) => false,
            };
        }
        self.round(&mut writer, &mut imported).await?;
        Ok(imported)
    }

    /// Compares the two, stream by stream and event by event, and changes nothing. Once the other program has stopped, and a
    /// [run](Self::run) has ended after that, this is the last step: it says that they are [equal](Compared::is_equal), or what is not.
    ///
    /// It needs no mark and trusts none: everything is read, so that what was rewritten or erased at the source is found as well. Each
    /// stream is remembered meanwhile, in memory.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run). A difference is no error.
    pub async fn compare(mut self) -> Result<Compared> {
        self.check()?;
        comparing::compare(&mut *self.source, &*self.backend, &self.mapper).await
    }

    fn check(&self) -> Result<()> {
        let mapping = &self.mapper.mapping;
        let refused = |problem: &str| Err(ImportError::Mapping { problem: problem.to_owned() });
        if mapping.from.is_empty() {
            return refused("`from` is empty: name the source");
        }
        if mapping.tenant == crate::TenantRule::Partition && !self.mapper.tenant.is_default() {
            return refused(
                "tenants by `partition` are written through the default handle of the destination",
            );
        }
        if mapping.holes == Holes::Keep && !self.backend.capabilities().version_holes {
            return Err(ImportError::NoHoles { destination: self.backend.name() });
        }
        Ok(())
    }

    fn begin(&self) -> (Writer, Imported) {
        let writer = Writer::new(Arc::clone(&self.backend), self.mapper.clone());
        (writer, Imported::new(self.mark.clone()))
    }

    async fn round(&mut self, writer: &mut Writer, imported: &mut Imported) -> Result<()> {
        match self.source.order() {
            Order::Positions => self.by_positions(writer, imported).await,
            Order::Streams => self.by_streams(writer, imported).await,
        }
    }

    async fn by_positions(&mut self, writer: &mut Writer, imported: &mut Imported) -> Result<()> {
        let up_to = self.source.horizon().await?;
        loop {
            let Some(behind) = imported.mark.next(&mut *self.source, up_to, PAGE).await? else {
                (imported.mark, imported.began_anew) = (Mark::START, true);
                continue;
            };
            let Behind { events, is_last, is_uncertain } = behind;
            let mut mark = imported.mark.clone();
            match events.last() {
                Some(last) => mark.pass(last),
                None => return Ok(()),
            }
            writer.write(&mut *self.source, events, imported).await?;
            if is_uncertain && !imported.mark.holds(&mut *self.source).await? {
                (imported.mark, imported.began_anew) = (Mark::START, true);
                continue;
            }
            imported.mark = mark;
            if let Some(told) = &mut self.told {
                told(&*imported);
            }
            if is_last {
                return Ok(());
            }
        }
    }

    async fn by_streams(&mut self, writer: &mut Writer, imported: &mut Imported) -> Result<()> {
        let shift = self.mapper.mapping.first_version.saturating_sub(1);
        for count in self.source.streams().await? {
            let reached = match self.mapper.place(&count.stream) {
                Ok(place) => writer.reached(&place).await?,
                Err(_) => 0,
            };
            let mut after = if reached == 0 { i64::MIN } else { reached.saturating_add(shift) };
            loop {
                let page = self.source.events_of(&count.stream, after, PAGE).await?;
                let Some(last) = page.last() else { break };
                after = last.version;
                let is_last = is_last(&page, PAGE);
                writer.write(&mut *self.source, page, imported).await?;
                if let Some(told) = &mut self.told {
                    told(&*imported);
                }
                if is_last {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Nothing of what is imported.
impl fmt::Debug for Import<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, backend, mark, .. } = self;
        f.debug_struct("Import")
            .field("source", &source.name())
            .field("destination", &backend.name())
            .field("mark", mark)
            .finish_non_exhaustive()
    }
}

/// What a dry run has seen so far.
#[derive(Default)]
struct Planning {
    planned: Planned,
    /// Of each stream, how many events it has, and its highest version.
    streams: HashMap<ForeignStream, (i64, i64)>,
    places: HashMap<crate::mapped::Place, ForeignStream>,
    colliding: HashSet<ForeignStream>,
}

impl Planning {
    fn take(&mut self, mapper: &Mapper, event: &crate::ForeignEvent) {
        self.planned.events += 1;
        let first = mapper.mapping.first_version;
        let (events, highest) = self.streams.entry(event.stream.clone()).or_default();
        *events += 1;
        *highest = (*highest).max(event.version.saturating_sub(first).saturating_add(1));
        let mapped = match mapper.event(event) {
            Ok(mapped) => mapped,
            Err(problem) => return self.planned.left_out.add(event, problem),
        };
        *self.planned.types.entry(mapped.record.name.to_string()).or_default() += 1;
        self.planned.derived_ids += u64::from(mapped.otherwise.is_none());
        self.planned.given_times += u64::from(mapped.has_given_time);
        let holder = self.places.entry(mapped.place).or_insert_with(|| event.stream.clone());
        if *holder != event.stream && self.colliding.insert(event.stream.clone()) {
            let problem = format!("it would become the same stream as {:?}", holder.id);
            self.planned.collisions.add(event, problem);
        }
    }

    fn end(mut self) -> Planned {
        self.planned.streams = self.streams.len() as u64;
        let with_holes = self.streams.values().filter(|(events, highest)| events < highest).count();
        self.planned.streams_with_holes = with_holes as u64;
        self.planned
    }
}
