//! Contract 2.10: what was acknowledged survives; what was not is whole or absent.

mod cut_wal;
mod failing_disk;
mod kill;
mod kill_worker;
#[cfg(target_os = "linux")]
mod power_cut;
mod power_loss;
