//! The program: opens a store, and does what it is told, line by line.

use std::io::{self, Write as _};
use std::sync::Arc;

use crate::session::Session;
use crate::{Peer, Result};

/// Opens the store, says `ready`, and answers each line of its input: with what was measured, with `done`, or with `failed` and why.
///
/// `prepare WORKLOAD COUNT` fills the store, `round WORKLOAD COUNT` measures a round, `follow COUNT` tells what a subscriber is handed, and
/// `held` the most bytes that were held.
pub fn serve<P: Peer>(open: impl Future<Output = Result<P>>) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let peer = runtime.block_on(open)?;
    let mut session = Session::new(Arc::new(peer));
    say("ready")?;
    for line in io::stdin().lines() {
        match runtime.block_on(session.obey(&line?)) {
            Ok(answer) => say(&answer)?,
            Err(error) => say(&format!("failed {}", error.to_string().replace('\n', " ")))?,
        }
    }
    Ok(())
}

fn say(answer: &str) -> Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{answer}")?;
    Ok(output.flush()?)
}
