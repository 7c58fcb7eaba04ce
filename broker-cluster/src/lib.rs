//! Brokers of a test's own: started in temporary folders and on free ports of 127.0.0.1, killed, frozen and started again on what
//! they have kept. They end with the value.
//!
//! `scripts/test` brings the programs.

mod broker;
mod nats;
mod process;
mod rabbitmq;

pub use broker::Broker;
pub use nats::Nats;
pub use rabbitmq::RabbitMq;
