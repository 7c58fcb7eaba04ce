//! Two languages, one file: Event Sourcery for Python, the package itself, writes and reads the same SQLite files.

mod invoicing;
mod process;
mod shared_file;

mod adoption;
mod appending;
mod contexts;
mod corrupt;
mod deleting;
mod drift;
mod layouts;
mod leftovers;
mod names;
mod racing;
mod reading;
mod snapshots;
mod tenants;
mod times;
