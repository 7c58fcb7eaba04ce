//! `completion`: what a shell needs to complete commands.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::output::Output;

#[derive(Debug, Args)]
pub(crate) struct Completion {
    /// For which shell
    shell: Shell,
}

impl Completion {
    pub(crate) fn run(&self, out: &mut Output) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "event-sourcery", &mut script);
        out.text(&String::from_utf8_lossy(&script))
    }
}
