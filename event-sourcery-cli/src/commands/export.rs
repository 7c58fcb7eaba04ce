//! `export`: a file of events, as JSON lines.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use clap::Args;
use event_sourcery::copy::{self, Exported};
use event_sourcery::{Error, EventStore};
use serde::Serialize;
use tokio::io::AsyncWrite;

use super::left_out::{self, LeftOutJson};
use crate::asking::Consent;
use crate::failure::Failure;
use crate::location::Location;
use crate::output::Output;
use crate::progress::Progress;
use crate::session::{Access, Session};
use crate::whole::Whole;

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The file, written over where it is there and that was agreed to; without, the standard output
    file: Option<PathBuf>,

    #[command(flatten)]
    consent: Consent,
}

/// What a program gets.
#[derive(Serialize)]
struct ExportedJson<'a> {
    events: u64,
    left_out: u64,
    /// The first of what was left out.
    described: Vec<LeftOutJson<'a>>,
    up_to: i64,
}

impl Export {
    pub(crate) const fn is_to_file(&self) -> bool {
        self.file.is_some()
    }

    pub(crate) async fn run(self, session: &Session, out: &mut Output) -> Result<(), Failure> {
        let Some(path) = &self.file else { return to_output(session).await };
        if path.to_str().is_some_and(|path| Location::parse(path).is_ok()) {
            return Err(Failure::Usage {
                what: "events are exported to a file, and that is the address of a store".to_owned(),
                to_do: "name a file; into another store they are copied: `event-sourcery copy`".to_owned(),
            });
        }
        let store = session.open(Access::Look).await?;
        if path.exists() {
            self.consent.to(&format!("write over {}", path.display())).await?;
        }
        let exported = to_file(&store, path).await?;
        let told = if out.is_json() {
            out.json(&ExportedJson::of(&exported))
        } else {
            left_out::tell(exported.left_out, &exported.described, out)
                .and_then(|()| out.line(&told(&exported)))
        };
        out.end(told, exported.left_out == 0, Failure::NotEqual)
    }
}

impl<'a> ExportedJson<'a> {
    fn of(exported: &'a Exported) -> Self {
        Self {
            events: exported.events,
            left_out: exported.left_out,
            described: exported.described.iter().map(LeftOutJson::of).collect(),
            up_to: exported.up_to.to_i64(),
        }
    }
}

fn told(exported: &Exported) -> String {
    let Exported { events, left_out, up_to, .. } = exported;
    format!("{events} events written, up to position {up_to}; {left_out} that cannot be read were left out.")
}

/// Writes to the standard output. What is told about it stands in the standard error.
async fn to_output(session: &Session) -> Result<(), Failure> {
    if io::stdout().is_terminal() {
        return Err(Failure::Usage {
            what: "events as they are stored are nothing for a terminal".to_owned(),
            to_do: "name a file, or hand the output on: `event-sourcery export | gzip`".to_owned(),
        });
    }
    let store = session.open(Access::Look).await?;
    let exported = copy::export(&store, &mut Counting::new(tokio::io::stdout())).await?;
    // Where nobody hears it, the exit code tells.
    for left_out in &exported.described {
        let _ = writeln!(io::stderr(), "{}", left_out::line(left_out));
    }
    let _ = writeln!(io::stderr(), "{}", told(&exported));
    if exported.left_out == 0 { Ok(()) } else { Err(Failure::NotEqual) }
}

/// Writes to a file, which is there once it is whole and on disk.
async fn to_file(store: &EventStore, path: &Path) -> Result<Exported, Failure> {
    let cannot = |error: io::Error| Failure::Refused {
        what: format!("{} cannot be written: {error}", path.display()),
        to_do: "mind its path, the rights in its folder, and the room on its disk".to_owned(),
    };
    let (whole, file) = Whole::begin(path).map_err(cannot)?;
    let mut file = Counting::new(file);
    let exported = copy::export(store, &mut file).await.map_err(|error| match error {
        Error::File { source, .. } => cannot(source),
        error => error.into(),
    })?;
    whole.keep(file.to).await.map_err(cannot)?;
    Ok(exported)
}

/// What is written, counted by its lines, to tell how far it has come.
struct Counting<W> {
    to: W,
    lines: u64,
    progress: Progress,
}

impl<W> Counting<W> {
    fn new(to: W) -> Self {
        Self { to, lines: 0, progress: Progress::new() }
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Counting<W> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.to).poll_write(context, bytes))?;
        let lines = bytes.iter().take(written).filter(|byte| **byte == b'\n').count();
        this.lines += lines as u64;
        this.progress.tell(this.lines, None);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().to).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().to).poll_shutdown(context)
    }
}
