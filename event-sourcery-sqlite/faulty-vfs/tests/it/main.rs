//! The VFS under SQLite: what a database keeps and loses, and whether it works on after a fault.

mod harness;

mod disk_full;
mod failed_sync;
mod handle;
mod power_loss;
mod rollback_journal;
