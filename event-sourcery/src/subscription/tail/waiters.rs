//! Who waits for the newest events, and for which: an event wakes those alone who want it.
//!
//! What a filter asks for is a few routes: one name or any, one category or any, one tenant or any. An event is on eight of them at
//! most, and who waits there is looked up; so it costs nothing that others wait for something else, however many they are.
//!
//! Nothing is lost between a look and the wait that follows it. Whoever begins to wait says up to where he has looked, under the lock
//! under which what is read is noted here. Where more was read by then, he does not wait; and of all that is read later, it is
//! noted whether he wants it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::backend::{Filter, StoredRecord};
use crate::position::Position;
use crate::stream_id::{Category, TenantId};

/// What somebody who waits is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::subscription) struct News {
    /// Up to here there is nothing for him.
    pub(in crate::subscription) passed: Position,
    /// Whether there may be something behind that.
    pub(in crate::subscription) may_be_more: bool,
}

/// Those who are to be told, by whoever does not hold the lock any more.
#[derive(Default)]
#[must_use = "nobody is told before `send`"]
pub(super) struct Tidings(Vec<(oneshot::Sender<News>, News)>);

/// Those who wait. Each is told once, and waits no more then.
#[derive(Default)]
pub(super) struct Waiters {
    next: u64,
    waiting: HashMap<u64, Waiter>,
    routes: HashMap<Route, BTreeSet<u64>>,
    /// What routes there are: how many of each shape.
    shapes: HashMap<Shape, usize>,
    /// Those for whom there was something in what is being read.
    wanted: Vec<u64>,
    /// Those who are told now and then, too, how far nothing was for them.
    of_progress: BTreeSet<u64>,
}

struct Waiter {
    /// Up to where he has looked.
    after: Position,
    filter: Filter,
    /// The first event for him, of what is being read.
    first: Option<Position>,
    tell: oneshot::Sender<News>,
}

/// Events of one name, category and tenant, or of any.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Route {
    name: Option<Arc<str>>,
    category: Option<Category>,
    tenant: Option<TenantId>,
}

/// Which of the three are one, and not any.
type Shape = [bool; 3];

impl Route {
    fn all_of(filter: &Filter) -> Vec<Self> {
        let Filter { tenant, category, names, .. } = filter;
        let route = |name| Self { name, category: category.clone(), tenant: tenant.clone() };
        match names {
            Some(names) => names.iter().map(|name| route(Some(Arc::clone(name)))).collect(),
            None => vec![route(None)],
        }
    }

    /// That of this shape on which an event is; none where it has no category, and one is asked for.
    fn of(record: &StoredRecord, [name, category, tenant]: Shape) -> Option<Self> {
        let own = record.stream.category();
        (own.is_some() || !category).then(|| Self {
            name: name.then(|| Arc::clone(&record.event.name)),
            category: own.filter(|_| category).cloned(),
            tenant: tenant.then(|| record.tenant.clone()),
        })
    }

    const fn shape(&self) -> Shape {
        [self.name.is_some(), self.category.is_some(), self.tenant.is_some()]
    }
}

impl Waiters {
    /// Somebody who has looked up to a position waits. With `progress`, he is told now and then how far nothing was for him.
    pub(super) fn add(
        &mut self,
        after: Position,
        filter: &Filter,
        progress: bool,
    ) -> (u64, oneshot::Receiver<News>) {
        let (number, (tell, told)) = (self.next, oneshot::channel());
        self.next += 1;
        for route in Route::all_of(filter) {
            let shape = route.shape();
            let on_route = self.routes.entry(route).or_insert_with(|| {
                *self.shapes.entry(shape).or_default() += 1;
                BTreeSet::new()
            });
            on_route.insert(number);
        }
        if progress {
            self.of_progress.insert(number);
        }
        self.waiting.insert(number, Waiter { after, filter: filter.clone(), first: None, tell });
        (number, told)
    }

    /// He waits no more.
    pub(super) fn remove(&mut self, number: u64) {
        self.take(number);
    }

    fn take(&mut self, number: u64) -> Option<Waiter> {
        let waiter = self.waiting.remove(&number)?;
        self.of_progress.remove(&number);
        for route in Route::all_of(&waiter.filter) {
            let Some(on_route) = self.routes.get_mut(&route) else { continue };
            on_route.remove(&number);
            if !on_route.is_empty() {
                continue;
            }
            self.routes.remove(&route);
            if let Some(count) = self.shapes.get_mut(&route.shape()) {
                *count -= 1;
            }
            self.shapes.retain(|_, count| *count > 0);
        }
        Some(waiter)
    }

    /// Notes for whom there is something in what was read. They are told once all of it was read.
    pub(super) fn note(&mut self, records: &[StoredRecord]) {
        let (routes, shapes) = (&self.routes, &self.shapes);
        for record in records {
            let on_routes = shapes.keys().filter_map(|shape| routes.get(&Route::of(record, *shape)?));
            for number in on_routes.flatten() {
                let Some(waiter) = self.waiting.get_mut(number) else { continue };
                let position = record.event.position;
                if waiter.first.is_none() && position > waiter.after && waiter.filter.takes(record) {
                    waiter.first = Some(position);
                    self.wanted.push(*number);
                }
            }
        }
    }

    /// Those for whom something was noted.
    pub(super) fn wanted(&mut self) -> Tidings {
        let wanted = std::mem::take(&mut self.wanted);
        self.tell(wanted, |waiter| {
            let passed = waiter.first.map_or(waiter.after, Position::previous);
            News { passed, may_be_more: true }
        })
    }

    /// Those who have looked less far than this. What lies before `noted` was noted; what lies behind it they read by themselves.
    pub(super) fn behind(&mut self, position: Position, noted: Position) -> Tidings {
        let behind = self.waiting.iter().filter(|(_, waiter)| waiter.after < position);
        let behind = behind.map(|(number, _)| *number).collect();
        self.tell(behind, |waiter| News { passed: waiter.after.max(noted), may_be_more: true })
    }

    /// All who wait: nobody reads for them any more.
    pub(super) fn all(&mut self) -> Tidings {
        self.wanted.clear();
        let all = self.waiting.keys().copied().collect();
        self.tell(all, |waiter| News { passed: waiter.after, may_be_more: true })
    }

    /// Those who are told of their progress, and had nothing up to this position, all of which was noted.
    pub(super) fn of_progress(&mut self, noted: Position) -> Tidings {
        let waiting = &self.waiting;
        let is_behind = |number: &u64| waiting.get(number).is_some_and(|waiter| waiter.after < noted);
        let behind = self.of_progress.iter().copied().filter(is_behind).collect();
        self.tell(behind, |_| News { passed: noted, may_be_more: false })
    }

    /// Whether there is anybody who is told of his progress.
    pub(super) fn want_progress(&self) -> bool {
        !self.of_progress.is_empty()
    }

    #[cfg(test)]
    #[cfg(feature = "testing")]
    pub(super) fn count(&self) -> usize {
        self.waiting.len()
    }

    /// How many have begun to wait, ever.
    #[cfg(test)]
    #[cfg(feature = "testing")]
    pub(super) const fn begun(&self) -> u64 {
        self.next
    }

    fn tell(&mut self, numbers: Vec<u64>, news: impl Fn(&Waiter) -> News) -> Tidings {
        let waiters = numbers.into_iter().filter_map(|number| self.take(number));
        let told = waiters.map(|waiter| {
            let news = news(&waiter);
            (waiter.tell, news)
        });
        Tidings(told.collect())
    }
}

impl Tidings {
    pub(super) fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Tells them. Who does not wait any more by now is not there.
    pub(super) fn send(self) {
        for (tell, news) in self.0 {
            let _ = tell.send(news);
        }
    }
}
