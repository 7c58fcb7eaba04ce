//! A way to the server that can be cut at a chosen moment.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

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
    cuts: Cuts,
}

/// When a connection is to break.
#[derive(Clone, Default)]
struct Cuts {
    /// How many times clients may still speak before a connection breaks: 0 and below, none does.
    until: Arc<AtomicI64>,
    /// A connection on which the first words were said breaks when the second are.
    at: Arc<Mutex<Option<(&'static str, &'static str)>>>,
    /// Whether nobody comes to the server any more.
    are_final: Arc<AtomicBool>,
    /// Whether those who were there are cut off, too.
    is_closed: Arc<watch::Sender<bool>>,
}

impl Cuts {
    /// Whether a connection breaks on which this is said.
    fn is_at(&self, said: &[u8], was_heard: &mut bool) -> bool {
        let is_said = |words: &str| said.windows(words.len()).any(|window| window == words.as_bytes());
        let at = self.at.lock().unwrap().take_if(|(first, second)| {
            *was_heard |= is_said(first);
            *was_heard && is_said(second)
        });
        at.is_some() || self.until.fetch_sub(1, Ordering::SeqCst) == 1
    }
}

impl Proxy {
    pub(crate) async fn to(server: u16, lost: Lost) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, cuts) = (listener.local_addr().unwrap().port(), Cuts::default());
        let known = cuts.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if known.are_final.load(Ordering::SeqCst) || *known.is_closed.borrow() {
                    continue;
                }
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                tokio::spawn(pass_on(client, server, lost, known.clone()));
            }
        });
        Self { port, cuts }
    }

    /// The address of a database on that server, through here.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Breaks the connection on which a client speaks for the n-th time from now, counted over all of them.
    pub(crate) fn cut(&self, n: i64) {
        self.cuts.until.store(n, Ordering::SeqCst);
    }

    /// Breaks every connection, and lets nobody come to the server any more, until [`Proxy::mend`].
    pub(crate) fn close(&self) {
        self.cuts.is_closed.send_replace(true);
    }

    /// The way leads to the server again.
    pub(crate) fn mend(&self) {
        self.cuts.are_final.store(false, Ordering::SeqCst);
        self.cuts.is_closed.send_replace(false);
    }

    /// Whether it was broken.
    pub(crate) fn has_cut(&self) -> bool {
        self.cuts.until.load(Ordering::SeqCst) <= 0
    }

    /// Breaks the connection on which a client has said the first words, once he says the second.
    pub(crate) fn cut_at(&self, first: &'static str, second: &'static str) {
        *self.cuts.at.lock().unwrap() = Some((first, second));
    }

    /// Whether those words were lost.
    pub(crate) fn has_cut_at(&self) -> bool {
        self.cuts.at.lock().unwrap().is_none()
    }
}

async fn pass_on(mut client: TcpStream, mut server: TcpStream, lost: Lost, cuts: Cuts) {
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (mut said, mut answered, mut was_heard) = (vec![0; 1 << 20], vec![0; 1 << 20], false);
    let mut closing = cuts.is_closed.subscribe();
    loop {
        tokio::select! {
            () = closed(&mut closing) => return,
            read = client.read(&mut said) => {
                let Ok(length @ 1..) = read else { return };
                let is_cut = cuts.is_at(&said[..length], &mut was_heard);
                if is_cut && lost == Lost::Question {
                    return;
                }
                if server.write_all(&said[..length]).await.is_err() {
                    return;
                }
                if is_cut {
                    cuts.are_final.store(lost == Lost::AnswerAndWay, Ordering::SeqCst);
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

async fn closed(closing: &mut watch::Receiver<bool>) {
    drop(closing.wait_for(|is_closed| *is_closed).await);
}
