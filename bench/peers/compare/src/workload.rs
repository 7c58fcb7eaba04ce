//! What is measured, and what was asked of us: ours to the best of the others.

use crate::place::Backend;

/// One of the orders that `peer-harness` knows, or what is looked at beside them.
pub struct Workload {
    pub name: &'static str,
    pub heading: &'static str,
    pub unit: &'static str,
    /// How many appends or events a round has.
    pub count: usize,
    pub asked: Asked,
}

/// What ours has to be, divided by the best of the others.
#[derive(Clone, Copy)]
pub struct Asked {
    on_sqlite: f64,
    on_postgres: f64,
}

impl Asked {
    pub const fn on(self, backend: Backend) -> f64 {
        match backend {
            Backend::Sqlite => self.on_sqlite,
            Backend::Postgres => self.on_postgres,
        }
    }
}

const AHEAD: Asked = Asked { on_sqlite: 1.0, on_postgres: 1.0 };
const AT_32_TASKS: Asked = Asked { on_sqlite: 8.0, on_postgres: 2.0 };
const READING: Asked = Asked { on_sqlite: 1.2, on_postgres: 1.2 };

const fn appends(name: &'static str, heading: &'static str, count: usize, asked: Asked) -> Workload {
    Workload { name, heading, unit: "appends/s", count, asked }
}

const fn reads(name: &'static str, heading: &'static str, count: usize) -> Workload {
    Workload { name, heading, unit: "events/s", count, asked: READING }
}

pub const WORKLOADS: [Workload; 12] = [
    appends("new", "one append to a new stream", 1_000, AHEAD),
    appends("existing", "to one that is there, its version known", 1_000, AHEAD),
    appends("loaded", "the same, loaded before", 1_000, AHEAD),
    Workload { name: "batch", heading: "100 events in one", unit: "events/s", count: 200, asked: AHEAD },
    appends("tasks/8", "8 tasks", 4_000, AHEAD),
    appends("tasks/32", "32 tasks", 6_400, AT_32_TASKS),
    appends("tasks/64", "64 tasks", 6_400, AT_32_TASKS),
    reads("load/10", "load of 10", 20_000),
    reads("load/100", "load of 100", 50_000),
    reads("load/1000", "load of 1,000", 100_000),
    reads("load/10000", "load of 10,000", 100_000),
    reads("catch-up", "catch-up of 100,000", 100_000),
];

/// What each process was asked beside its rounds: less is better. Nothing was asked of us.
pub const BESIDE: [(&str, &str, &str); 3] = [
    ("start", "start on an empty store", "ms"),
    ("memory", "memory held at most, at the end of catch-up", "MB"),
    ("disk", "disk, a million events", "MB"),
];
