//! Whether servers sync what they acknowledge. JetStream does not tell its clients; the system account is told.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::stream::ClusterInfo;
use event_sourcery::{Error, Result};
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::from_slice;
use tokio::time::timeout;

/// Every server answers to this, in the system account.
const QUESTION: &str = "$SYS.REQ.SERVER.PING.JSZ";

/// How long the slowest server may take.
const PATIENCE: Duration = Duration::from_secs(2);

const OPTION: &str = "servers_sync_always";

#[derive(Deserialize)]
struct Answer {
    server: Server,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Server {
    name: String,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    disabled: bool,
    config: Option<JetStream>,
}

#[derive(Deserialize)]
struct JetStream {
    #[serde(default)]
    sync_always: bool,
}

/// Refuses where nobody knows.
pub(crate) fn unknown() -> Error {
    refused(
        "nobody has said that the servers sync what they acknowledge, and by default a loss of power takes what was acknowledged \
         within two minutes, or all of it. Put `sync_interval: always` into the block `jetstream` of each server's configuration, and \
         say so with `servers_sync_always()`, or let it be found out with `system_account(..)`"
            .to_owned(),
    )
}

/// Asks the servers, and refuses where one that holds a replica does not sync, or does not answer.
pub(crate) async fn ask(system: &Client, cluster: Option<&ClusterInfo>) -> Result<()> {
    let found = answers(system).await?;
    for name in holders(cluster, &found) {
        match found.get(&name) {
            Some(true) => {}
            Some(false) => {
                return Err(refused(format!(
                    "the server {name} does not sync what it acknowledges: put `sync_interval: always` into the block `jetstream` \
                     of its configuration"
                )));
            }
            None => {
                return Err(refused(format!(
                    "the server {name} has not answered in the system account: start it, or say that it syncs what it acknowledges"
                )));
            }
        }
    }
    if found.is_empty() {
        return Err(refused(
            "no server has answered in the system account: is it a connection of the system account?"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Those that hold the streams, as far as it is told; else every server that has JetStream.
fn holders(cluster: Option<&ClusterInfo>, found: &HashMap<String, bool>) -> Vec<String> {
    let Some(cluster) = cluster.filter(|cluster| cluster.name.is_some()) else {
        return found.keys().cloned().collect();
    };
    let replicas = cluster.replicas.iter().map(|peer| peer.name.clone());
    replicas.chain(cluster.leader.clone()).collect()
}

/// Which servers have JetStream, and whether they sync each message.
async fn answers(system: &Client) -> Result<HashMap<String, bool>> {
    let inbox = system.new_inbox();
    let mut answers = system.subscribe(inbox.clone()).await.map_err(Error::unavailable)?;
    let sent = system.publish_with_reply(QUESTION, inbox, "{\"config\":true}".into()).await;
    sent.map_err(Error::unavailable)?;
    let mut found = HashMap::new();
    while let Ok(Some(answer)) = timeout(PATIENCE, answers.next()).await {
        let Ok(Answer { server, data }) = from_slice(&answer.payload) else { continue };
        if let Some(Data { disabled: false, config: Some(config) }) = data {
            found.insert(server.name, config.sync_always);
        }
    }
    Ok(found)
}

fn refused(problem: String) -> Error {
    Error::InvalidOption { option: OPTION, problem }
}
