//! Listing streams by name: what a backend reads next, and when the page is full.

use super::listing::{Mark, Page};
use super::looking::{StreamSummary, StreamsRequest};
use crate::error::Result;
use crate::stream_id::{Category, TenantId};

/// Through how many tenants and categories a page of streams by name goes.
pub const GOES_THROUGH: usize = 256;

/// A page of streams by name in the making. It goes from place to place, each a tenant and a category, and within one from name to name.
/// A backend reads what it says, tells it what it has [found](Self::found), looks which place comes next, and lets it
/// [go on](Self::go_on) there, until one of the two gives the page.
#[derive(Debug)]
pub struct StreamsByName<'r> {
    request: &'r StreamsRequest,
    prefix: &'r str,
    tenant: String,
    category: String,
    from: String,
    items: Vec<StreamSummary>,
    places: usize,
}

impl StreamsRequest {
    /// How they are listed by name; `None` where that is not asked for.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`](crate::Error::InvalidOption) for a mark of another listing, or of a tenant or category that is not asked
    /// for.
    pub fn by_name(&self) -> Result<Option<StreamsByName<'_>>> {
        let Some(prefix) = self.named.as_deref() else { return Ok(None) };
        let [tenant, category, name] = self.begins()?;
        // No name holds a NUL: behind a name begins what goes on with the next character.
        let behind = format!("{name}\u{1}");
        let from = if name.is_empty() || *behind < *prefix { prefix.to_owned() } else { behind };
        let (request, items, places) = (self, Vec::new(), 0);
        Ok(Some(StreamsByName { request, prefix, tenant, category, from, items, places }))
    }

    /// With which tenant and category it begins, and behind which name of theirs; the empty one is before all.
    fn begins(&self) -> Result<[String; 3]> {
        let tenant = self.tenant.as_ref().map(TenantId::as_str);
        let category = self.category.as_ref().map(Category::as_str);
        let Some(from) = &self.from else {
            return Ok([tenant, category, None].map(|part| part.unwrap_or_default().to_owned()));
        };
        let parts: [&str; 3] = from.parts()?;
        let [of_tenant, of_category, _] = parts;
        let is_asked_for = tenant.is_none_or(|tenant| tenant == of_tenant)
            && category.is_none_or(|category| category == of_category);
        if is_asked_for { Ok(parts.map(str::to_owned)) } else { Err(Mark::foreign()) }
    }
}

impl StreamsByName<'_> {
    /// Whose streams are read next; empty for the default tenant.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Of which category; empty for none.
    #[must_use]
    pub fn category(&self) -> &str {
        &self.category
    }

    /// From which name on, by the order of its bytes.
    #[must_use]
    pub fn from(&self) -> &str {
        &self.from
    }

    /// How many streams the page still has room for. One more is read, to know whether there are more.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.request.limit.saturating_sub(self.items.len())
    }

    /// Takes what was read of the place: names in order, each with its stream, if that has events. Gives the page where that is full, or
    /// where nothing else was asked for.
    pub fn found(
        &mut self,
        streams: impl IntoIterator<Item = (Option<String>, Option<StreamSummary>)>,
    ) -> Option<Page<StreamSummary>> {
        let (missing, mut last) = (self.missing(), String::new());
        for (number, (name, stream)) in streams.into_iter().enumerate() {
            let Some(name) = name.filter(|name| name.starts_with(self.prefix)) else { break };
            if number == missing {
                let mark = Mark::of([&*self.tenant, &*self.category, &*last]);
                return Some(self.page(Some(mark)));
            }
            last = name;
            self.items.extend(stream);
        }
        let is_only_place = self.request.tenant.is_some() && self.request.category.is_some();
        is_only_place.then(|| self.page(None))
    }

    /// Whether the next place is the next tenant, with the same category; otherwise it is the next of all.
    #[must_use]
    pub const fn keeps_category(&self) -> bool {
        self.request.category.is_some()
    }

    /// Goes on with this tenant and category. Gives the page where there is none, or none that is asked for, or where the page has gone
    /// through [as many](GOES_THROUGH) as it may.
    pub fn go_on(&mut self, next: Option<(String, String)>) -> Option<Page<StreamSummary>> {
        let wanted = self.request.tenant.as_ref().map(TenantId::as_str);
        let next = next.filter(|(tenant, _)| wanted.is_none_or(|wanted| wanted == tenant));
        let Some((tenant, category)) = next else { return Some(self.page(None)) };
        (self.tenant, self.category) = (tenant, category);
        self.prefix.clone_into(&mut self.from);
        self.places += 1;
        if self.places < GOES_THROUGH {
            return None;
        }
        let mark = Mark::of([&*self.tenant, &*self.category, ""]);
        Some(self.page(Some(mark)))
    }

    fn page(&mut self, next: Option<Mark>) -> Page<StreamSummary> {
        Page::new(std::mem::take(&mut self.items), next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_goes_through_so_many_places_and_the_next_one_goes_on_there() {
        let request = StreamsRequest::named("a", 10);
        let mut listing = request.by_name().unwrap().unwrap();
        let place = |number: usize| Some((format!("tenant {number:03}"), "red".to_owned()));
        for number in 1..GOES_THROUGH {
            assert_eq!(listing.found([]), None);
            assert_eq!(listing.go_on(place(number)), None);
        }
        assert_eq!(listing.found([]), None);
        let next = listing.go_on(place(256)).unwrap().next;
        assert_eq!(next, Some(Mark::of(["tenant 256", "red", ""])));
        let request = request.with_from(next);
        let listing = request.by_name().unwrap().unwrap();
        assert_eq!([listing.tenant(), listing.category(), listing.from()], ["tenant 256", "red", "a"]);
    }
}
