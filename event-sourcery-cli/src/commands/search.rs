//! `search`: events by name, category and time.

use std::sync::Arc;

use clap::Args;
use event_sourcery::EventStore;
use event_sourcery::jiff::{SignedDuration, Timestamp};
use event_sourcery::look::{EventsRequest, Mark, Page, Seen};

use crate::events::{EventJson, OF_ALL, cells_of_all, time};
use crate::failure::Failure;
use crate::going_on::{Listing, MOST_PAGES, Paging, how_to_go_on};
use crate::output::{Output, for_shell};
use crate::session::{Access, Session, category};

/// How many events a page has where some of them are left out by their time.
const BY_TIME: usize = 1_000;

#[derive(Debug, Args)]
pub(crate) struct Search {
    /// Of this type, by its stored name; may be given several times
    #[arg(long)]
    name: Vec<String>,

    /// Of streams of this category
    #[arg(long)]
    category: Option<String>,

    /// That happened then or later: 2026-12-01T03:00:00Z, or 90m, 12h, 3d ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,

    /// That happened before then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,

    #[command(flatten)]
    paging: Paging,
}

impl Search {
    pub(crate) async fn run(self, session: &Session, out: &mut Output) -> Result<(), Failure> {
        let store = session.open(Access::Look).await?;
        let request = self.request()?;
        let mut listing = Listing::begin(out, OF_ALL);
        let mut is_further_back = None;
        let page = async |from: Option<Mark>, most: usize| -> Result<_, Failure> {
            // What is stored before that was stored before an event that is too old: it is not looked through unasked.
            if is_further_back.is_some() {
                return Ok(Page::new(Vec::new(), from));
            }
            let mut request = request.clone().with_from(from);
            request.limit = if self.is_about_time() { BY_TIME } else { most };
            let page = self.in_time(store.look().events(request).await?, most);
            is_further_back = self.is_before(&store, page.next.as_ref()).await?;
            Ok(page)
        };
        let show = |seen: Seen| listing.item(|| EventJson::of(&seen), || cells_of_all(&seen));
        let next = self.paging.walk(MOST_PAGES, page, show).await?;
        let none = match (is_further_back, &next) {
            (Some(_), _) => "There is no such event since then.",
            (None, Some(_)) => "None was found so far.",
            (None, None) => "There is no such event.",
        };
        let told = match (is_further_back, &next) {
            (Some(at), Some(next)) => format!(
                "What stands before that was stored before an event of {}. If times were set by hand, look on with: \
                 --from {}",
                time(at),
                for_shell(&next.to_string())
            ),
            _ => how_to_go_on(next.as_ref()),
        };
        listing.end_saying(next.as_ref(), none, &told)
    }

    fn request(&self) -> Result<EventsRequest, Failure> {
        let mut request = EventsRequest::newest(1);
        request.category = category(self.category.as_deref())?;
        if !self.name.is_empty() {
            let names: Vec<Arc<str>> = self.name.iter().map(|name| Arc::from(name.as_str())).collect();
            request = request.with_names(names);
        }
        Ok(request)
    }

    const fn is_about_time(&self) -> bool {
        self.since.is_some() || self.until.is_some()
    }

    /// At most so many of the page that happened in the time that is meant.
    fn in_time(&self, mut page: Page<Seen>, most: usize) -> Page<Seen> {
        page.items.retain(|seen| {
            self.since.is_none_or(|since| seen.created_at() >= since)
                && self.until.is_none_or(|until| seen.created_at() < until)
        });
        if page.items.len() > most {
            page.items.truncate(most);
            page.next = page.items.last().map(|last| Mark::at(last.position().to_i64()));
        }
        page
    }

    /// Whether what stands where the next page begins happened before the time that is meant, and when.
    async fn is_before(&self, store: &EventStore, next: Option<&Mark>) -> Result<Option<Timestamp>, Failure> {
        let (Some(since), Some(next)) = (self.since, next) else { return Ok(None) };
        let from = Mark::at(next.number()?.saturating_sub(1));
        let there = store.look().events(EventsRequest::first(1).with_from(Some(from))).await?;
        let at = there.items.first().map(Seen::created_at);
        Ok(at.filter(|at| *at < since))
    }
}

/// A time, or how long ago.
fn moment(text: &str) -> Result<Timestamp, String> {
    let ago = || {
        let unit = text.chars().next_back()?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return None,
        };
        let number: i64 = text.strip_suffix(unit)?.parse().ok().filter(|number| *number >= 0)?;
        Timestamp::now().checked_sub(SignedDuration::from_secs(number.checked_mul(seconds)?)).ok()
    };
    let wrong =
        |_| "write a time as 2026-12-01T03:00:00Z, or how long ago it is: 30s, 90m, 12h, 3d".to_owned();
    ago().map_or_else(|| text.parse().map_err(wrong), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_as_it_is_or_by_how_long_ago_it_is() {
        let at: Timestamp = "2026-12-01T03:00:00Z".parse().unwrap();
        assert_eq!(moment("2026-12-01T04:00:00+01:00").unwrap(), at);
        let (before, told) = (Timestamp::now(), moment("90m").unwrap());
        let ago = |now: Timestamp| now.checked_sub(SignedDuration::from_secs(5_400)).unwrap();
        assert!((ago(before)..=ago(Timestamp::now())).contains(&told), "{told}");
        for wrong in ["", "yesterday", "-3h", "99999999999999999999d", "9999999999999999d", "3"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
