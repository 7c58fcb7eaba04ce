//! Brokers of a test's own, and a key service: started in temporary folders and on free ports of 127.0.0.1, killed, frozen and started again on what
//! they have kept. They end with the value.
//!
//! `scripts/test` brings the programs.

mod broker;
mod nats;
mod nats_cluster;
mod network;
mod openbao;
mod process;
mod rabbitmq;

pub use broker::Broker;
pub use nats::Nats;
pub use nats_cluster::NatsCluster;
pub use openbao::OpenBao;
pub use rabbitmq::RabbitMq;
