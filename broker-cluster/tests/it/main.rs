//! The servers start, are killed, and start again where they were.

use broker_cluster::{Nats, RabbitMq};

#[test]
fn nats_is_killed_and_starts_again_under_its_address() {
    let mut nats = Nats::start();
    let url = nats.url();
    nats.kill();
    nats.start_again();
    assert_eq!(nats.url(), url);
    nats.freeze();
    nats.thaw();
}

#[test]
fn rabbitmq_is_killed_and_starts_again_with_what_it_has_kept() {
    let mut rabbitmq = RabbitMq::start(&[]);
    rabbitmq.ctl(&["add_vhost", "kept"]);
    rabbitmq.kill();
    rabbitmq.start_again();
    assert!(rabbitmq.ctl(&["list_vhosts"]).lines().any(|line| line == "kept"));
}
