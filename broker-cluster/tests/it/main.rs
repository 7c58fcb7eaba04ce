//! The servers start, are killed, and start again where they were.

use broker_cluster::{Nats, NatsCluster, OpenBao, RabbitMq};
use serde_json::json;

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
fn a_node_of_nats_is_killed_by_its_name_and_the_others_stay() {
    let mut cluster = NatsCluster::start_with("jetstream { sync_interval: always }");
    let urls = cluster.urls();
    cluster.node("node1").kill();
    cluster.node("node1").start_again();
    assert_eq!(cluster.urls(), urls);
}

#[test]
fn rabbitmq_is_killed_and_starts_again_with_what_it_has_kept() {
    let mut rabbitmq = RabbitMq::start(&[]);
    rabbitmq.ctl(&["add_vhost", "kept"]);
    rabbitmq.kill();
    rabbitmq.start_again();
    assert!(rabbitmq.ctl(&["list_vhosts"]).lines().any(|line| line == "kept"));
}

#[test]
fn openbao_is_killed_and_starts_again_sealed_with_what_it_has_kept() {
    let mut openbao = OpenBao::start();
    openbao.done("POST", "transit/keys/kept", &json!({}));
    openbao.kill();
    openbao.start_again();
    assert_eq!(openbao.call("GET", "transit/keys/kept", &json!({})).0, 503);
    openbao.unseal();
    assert_eq!(openbao.done("GET", "transit/keys/kept", &json!({}))["data"]["name"], "kept");
}
