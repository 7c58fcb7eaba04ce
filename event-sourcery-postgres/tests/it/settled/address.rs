//! One address, behind which one server takes another's place.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Passes connections on to the server that it leads to at present.
pub(super) struct Address {
    port: u16,
    server: Arc<AtomicU16>,
    connections: Arc<Mutex<JoinSet<()>>>,
}

impl Address {
    pub(super) async fn of(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (server, connections) = (Arc::new(AtomicU16::new(server)), Arc::new(Mutex::new(JoinSet::new())));
        let (now, open) = (Arc::clone(&server), Arc::clone(&connections));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let port = now.load(Ordering::SeqCst);
                open.lock().unwrap().spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await {
                        let _ = client.set_nodelay(true);
                        let _ = server.set_nodelay(true);
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        Self { port, server, connections }
    }

    pub(super) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// From now on it is another server for whoever connects. Connections to the one before go on.
    pub(super) fn leads_newcomers_to(&self, server: u16) {
        self.server.store(server, Ordering::SeqCst);
    }

    /// From now on it is another server. Connections to the one before break.
    pub(super) fn leads_to(&self, server: u16) {
        self.leads_newcomers_to(server);
        self.connections.lock().unwrap().abort_all();
    }
}
