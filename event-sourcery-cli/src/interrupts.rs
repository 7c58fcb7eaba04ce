//! Ctrl-C, and a reader who has had enough: what was begun is let go, and the store is closed.

use std::future::poll_fn;
use std::process;
use std::task::Poll;

use tokio::signal::ctrl_c;
use tokio::sync::oneshot;

use crate::arguments::Arguments;
use crate::commands;
use crate::failure::{Failure, INTERRUPTED};

/// Carries out a command until it is done, or somebody interrupts it. One that goes on for ever ends well however it is ended; of any
/// other, something is missing then.
pub(crate) async fn heeding(arguments: Arguments) -> Result<(), Failure> {
    let (ends_so, left) = (arguments.command.ends_when_interrupted(), arguments.command.interrupted());
    let interrupted = interrupts().await;
    tokio::select! {
        ended = commands::run(arguments) => match ended {
            Err(Failure::NobodyReads) if ends_so => Ok(()),
            ended => ended,
        },
        () = once_told(interrupted) => if ends_so { Ok(()) } else { Err(Failure::Interrupted(left)) },
    }
}

async fn once_told(interrupted: oneshot::Receiver<()>) {
    // Where nobody can be told, nobody interrupts.
    if interrupted.await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Tells of the first Ctrl-C. At the second one the process ends at once, whatever it is held up by: a pipe that nobody reads, say.
async fn interrupts() -> oneshot::Receiver<()> {
    let (tell, told) = oneshot::channel();
    let mut first = Box::pin(ctrl_c());
    // It is listened for from here on.
    let is_over = poll_fn(|context| Poll::Ready(first.as_mut().poll(context).is_ready())).await;
    if !is_over {
        tokio::spawn(async move {
            if first.await.is_ok() {
                let _ = tell.send(());
                if ctrl_c().await.is_ok() {
                    process::exit(INTERRUPTED.into());
                }
            }
        });
    }
    told
}
