//! Contract 2.10: what was acknowledged survives; what was not is whole or absent. And 2.7: who lost the answer repeats.

mod appender;
mod cut;
mod kill;
#[cfg(target_os = "linux")]
mod power_cut;
pub(crate) mod proxy;
mod server;
mod silence;
mod silence_in_transactions;
mod slow;
mod survived;
