//! A way to a server on which what a client says can be held up, or what it is answered lost.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Passes on what client and server say to each other.
pub(crate) struct Wire {
    port: u16,
    order: Arc<Mutex<Option<Order>>>,
}

/// What is to be done once, where a client says this.
struct Order {
    at: &'static str,
    what: What,
}

enum What {
    Hold(Arc<Held>),
    LoseAnswer,
}

/// What a client has said, until it is passed on.
#[derive(Default)]
pub(crate) struct Held {
    reached: Notify,
    released: Notify,
}

impl Held {
    /// Waits until the client has said it.
    pub(crate) async fn reached(&self) {
        self.reached.notified().await;
    }

    pub(crate) fn release(&self) {
        self.released.notify_one();
    }
}

impl Wire {
    /// To the server at this address.
    pub(crate) async fn to(url: &str) -> Self {
        let server = url.strip_prefix("nats://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wire = Self { port: listener.local_addr().unwrap().port(), order: Arc::default() };
        let order = Arc::clone(&wire.order);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // The server is away, perhaps.
                let Ok(server) = TcpStream::connect(&server).await else { continue };
                tokio::spawn(pass_on(client, server, Arc::clone(&order)));
            }
        });
        wire
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Holds up what a client says next with these words in it, and all that it says behind it.
    pub(crate) fn hold_at(&self, words: &'static str) -> Arc<Held> {
        let held = Arc::new(Held::default());
        self.give(words, What::Hold(Arc::clone(&held)));
        held
    }

    /// Passes on what a client says next with these words in it, and breaks the connection in place of the acknowledgement.
    pub(crate) fn lose_answer_to(&self, words: &'static str) {
        self.give(words, What::LoseAnswer);
    }

    /// Whether nothing is left to be done.
    pub(crate) fn is_done(&self) -> bool {
        self.order.lock().unwrap().is_none()
    }

    fn give(&self, at: &'static str, what: What) {
        *self.order.lock().unwrap() = Some(Order { at, what });
    }
}

async fn pass_on(mut client: TcpStream, mut server: TcpStream, order: Arc<Mutex<Option<Order>>>) {
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (mut said, mut answered) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        tokio::select! {
            read = client.read(&mut said) => {
                let Ok(length @ 1..) = read else { return };
                let met = order.lock().unwrap().take_if(|order| holds(&said[..length], order.at));
                let met = met.map(|order| order.what);
                if let Some(What::Hold(held)) = &met {
                    held.reached.notify_one();
                    held.released.notified().await;
                }
                if server.write_all(&said[..length]).await.is_err() {
                    return;
                }
                if matches!(met, Some(What::LoseAnswer)) {
                    acknowledged(&mut server).await;
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Waits until the server has said what it has stored.
async fn acknowledged(server: &mut TcpStream) {
    let (mut answers, mut answered) = (Vec::new(), vec![0; 1 << 16]);
    while !holds(&answers, "\"seq\":") {
        let Ok(length @ 1..) = server.read(&mut answered).await else { return };
        answers.extend_from_slice(&answered[..length]);
    }
}

fn holds(said: &[u8], words: &str) -> bool {
    said.windows(words.len()).any(|window| window == words.as_bytes())
}
