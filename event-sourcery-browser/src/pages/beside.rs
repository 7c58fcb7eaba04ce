//! A few streams beside each other, on a time axis.

use std::fmt;
use std::str::FromStr;

use event_sourcery::jiff::Timestamp;
use event_sourcery::look::{Mark, Page, Seen};
use event_sourcery::uuid::Uuid;
use event_sourcery::{StreamId, TenantId};
use maud::{Markup, html};

use crate::ask::Ask;
use crate::failure::Failure;
use crate::layout::Sheet;
use crate::show::{event, named, stream_link, time};

/// How many streams are shown beside each other.
const LANES: usize = 6;

/// How many events of each.
const EVENTS: usize = 30;

/// How wide the picture of a lane is.
const WIDTH: f64 = 1_000.0;

/// A stream as a field tells it: a JSON array of its UUID, name, category and tenant, and where its events go on.
#[derive(Clone)]
pub(crate) struct Lane([String; 5]);

impl Lane {
    pub(crate) fn new(tenant: &TenantId, stream: &StreamId) -> Self {
        let (uuid, name) = (stream.uuid().to_string(), stream.name().unwrap_or_default());
        let parts = [uuid.as_str(), name, stream.stored_category(), tenant.as_str(), ""];
        Self(parts.map(str::to_owned))
    }

    /// The same, with its events from this mark on.
    fn going_on(&self, mark: &Mark) -> Self {
        let [uuid, name, category, tenant, _] = self.0.clone();
        Self([uuid, name, category, tenant, mark.to_string()])
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(&self.0).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Lane {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        serde_json::from_str(text)
            .map(Self)
            .map_err(|_| Failure::field("stream", "it is none of this page's"))
    }
}

/// A stream, and the events of it that are shown.
struct Shown {
    lane: Lane,
    tenant: TenantId,
    stream: StreamId,
    page: Page<Seen>,
}

pub(crate) async fn page(ask: &Ask<'_>) -> Result<Sheet, Failure> {
    let lanes = ask.fields.all("stream").map(Lane::from_str).collect::<Result<Vec<_>, _>>()?;
    let mut shown = Vec::new();
    for lane in lanes.iter().take(LANES) {
        shown.push(read(ask, lane).await?);
    }
    let body = html! {
        @if shown.is_empty() {
            p { "Choose streams in " a href=(ask.link("streams", &[])) { "their list" } ", and put them beside each other." }
        } @else {
            @if lanes.len() > LANES { p.note { "The first " (LANES) " of " (lanes.len()) " streams are shown." } }
            (axis(&shown))
            (table(ask, &shown))
            (older(ask, &shown))
            p { a href=(ask.link("streams", &[])) { "Choose others" } }
        }
    };
    Ok(Sheet::new("Streams beside each other", body))
}

async fn read(ask: &Ask<'_>, lane: &Lane) -> Result<Shown, Failure> {
    let [uuid, name, category, tenant, from] = &lane.0;
    let uuid: Uuid = uuid.parse().map_err(|_| Failure::field("stream", "it has no UUID"))?;
    let stream = StreamId::from_uuid_and_name(uuid, name).unwrap_or_else(|_| StreamId::from_uuid(uuid));
    let stream = stream.in_category(category)?;
    let store = ask.store_of(Some(tenant))?;
    let from = if from.is_empty() { None } else { Some(from.parse::<Mark>()?) };
    let page = store.look().backwards(&stream, from, EVENTS).await?;
    Ok(Shown { lane: lane.clone(), tenant: store.tenant_id().clone(), stream, page })
}

/// The events as dots over time. The table below has them in words.
fn axis(shown: &[Shown]) -> Markup {
    let times = || shown.iter().flat_map(|lane| &lane.page.items).map(Seen::created_at);
    let (Some(first), Some(last)) = (times().min(), times().max()) else { return html! {} };
    let lasting = seconds_between(first, last).max(0.001);
    let x = |at: Timestamp| format!("{:.1}", 12.0 + (WIDTH - 24.0) * seconds_between(first, at) / lasting);
    html! {
        figure.axis {
            @for lane in shown {
                div.lane {
                    (named(&lane.stream))
                    svg viewBox="0 0 1000 28" preserveAspectRatio="none" role="img"
                        aria-label={ "Events of " (lane.stream.to_string()) " over time; the table below has them" } {
                        line.ground x1="0" x2="1000" y1="14" y2="14" {}
                        @for seen in &lane.page.items {
                            path.dot d={ "M" (x(seen.created_at())) " 14h0" } {
                                title { (seen.name()) " \u{b7} " (lane.stream.to_string()) " \u{b7} " (seen.created_at().to_string()) }
                            }
                        }
                    }
                }
            }
            figcaption { "From " (time(first)) " to " (time(last)) }
        }
    }
}

fn seconds_between(first: Timestamp, last: Timestamp) -> f64 {
    last.duration_since(first).as_secs_f64()
}

/// The events by time, the newest first, each in the column of its stream.
fn table(ask: &Ask<'_>, shown: &[Shown]) -> Markup {
    let lanes = shown.iter().enumerate();
    let mut rows: Vec<(usize, &Seen)> =
        lanes.flat_map(|(number, lane)| lane.page.items.iter().map(move |seen| (number, seen))).collect();
    rows.sort_by_key(|(_, seen)| std::cmp::Reverse((seen.created_at(), seen.position())));
    html! {
        div.table tabindex="0" role="region" aria-label="Events by time" {
            table.beside {
                caption { "Events by time, the newest first" }
                thead {
                    tr {
                        th scope="col" { "Time (UTC)" }
                        @for lane in shown {
                            th scope="col" {
                                a href=(stream_link(ask, &lane.tenant, &lane.stream)) { (named(&lane.stream)) }
                                @if ask.sees_all() && !lane.tenant.is_default() { " of " (lane.tenant.as_str()) }
                            }
                        }
                    }
                }
                tbody {
                    @for (of, seen) in &rows {
                        tr {
                            th scope="row" { (time(seen.created_at())) }
                            @for number in 0..shown.len() {
                                td { @if number == *of { (event(ask, seen)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// For each stream that goes on: the same page, with older events of it.
fn older(ask: &Ask<'_>, shown: &[Shown]) -> Markup {
    let link = |older: usize, mark: &Mark| {
        let lanes = shown.iter().enumerate().map(|(number, of)| {
            if number == older { of.lane.going_on(mark).to_string() } else { of.lane.to_string() }
        });
        let lanes: Vec<String> = lanes.collect();
        ask.again("stream", &lanes.iter().map(String::as_str).collect::<Vec<_>>())
    };
    html! {
        @if shown.iter().any(|lane| lane.page.next.is_some()) {
            nav.pager aria-label="Older events" {
                @for (number, lane) in shown.iter().enumerate() {
                    @if let Some(mark) = &lane.page.next {
                        a href=(link(number, mark)) { "Older events of " (named(&lane.stream)) }
                    }
                }
            }
        }
    }
}
