//! A way to the server that can be cut at a chosen moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What is lost when the connection breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// What the client said: the server never hears it.
    Question,
    /// What the server answered: it has done what it was told.
    Answer,
    /// The same, and nobody is told: the connection stays open, and silent.
    AnswerInSilence,
    /// The same, and from then on nobody comes to the server any more, until [`Proxy::mend`].
    AnswerAndWay,
}

/// Passes on what client and server say to each other, until it is to break a connection.
pub(crate) struct Proxy {
    port: u16,
    /// How many times clients may still speak before a connection breaks: 0 and below, none does.
    until_cut: Arc<AtomicI64>,
    is_closed: Arc<AtomicBool>,
}

impl Proxy {
    pub(crate) async fn to(server: u16, lost: Lost) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, until_cut) = (listener.local_addr().unwrap().port(), Arc::new(AtomicI64::new(0)));
        let is_closed = Arc::new(AtomicBool::new(false));
        let (counted, closed) = (Arc::clone(&until_cut), Arc::clone(&is_closed));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if closed.load(Ordering::SeqCst) {
                    continue;
                }
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                tokio::spawn(pass_on(client, server, lost, Arc::clone(&counted), Arc::clone(&closed)));
            }
        });
        Self { port, until_cut, is_closed }
    }

    /// The address of a database on that server, through here.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Breaks the connection on which a client speaks for the n-th time from now, counted over all of them.
    pub(crate) fn cut(&self, n: i64) {
        self.until_cut.store(n, Ordering::SeqCst);
    }

    /// The way leads to the server again.
    pub(crate) fn mend(&self) {
        self.is_closed.store(false, Ordering::SeqCst);
    }

    /// Whether it was broken.
    pub(crate) fn has_cut(&self) -> bool {
        self.until_cut.load(Ordering::SeqCst) <= 0
    }
}

async fn pass_on(
    mut client: TcpStream,
    mut server: TcpStream,
    lost: Lost,
    until_cut: Arc<AtomicI64>,
    is_closed: Arc<AtomicBool>,
) {
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (mut said, mut answered) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        tokio::select! {
            read = client.read(&mut said) => {
                let Ok(length @ 1..) = read else { return };
                let is_cut = until_cut.fetch_sub(1, Ordering::SeqCst) == 1;
                if is_cut && lost == Lost::Question {
                    return;
                }
                if server.write_all(&said[..length]).await.is_err() {
                    return;
                }
                if is_cut {
                    is_closed.store(lost == Lost::AnswerAndWay, Ordering::SeqCst);
                    // Once it answers, it is done.
                    let _ = server.read(&mut answered).await;
                    if lost == Lost::AnswerInSilence {
                        std::future::pending::<()>().await;
                    }
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
