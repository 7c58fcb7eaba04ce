//! `mcp`: tools for an assistant, who has started this program.

use std::io;

use clap::Args;
use event_sourcery_mcp::Tools;

use crate::failure::Failure;
use crate::session::{Access, Session};

#[derive(Debug, Args)]
pub(crate) struct Mcp {
    /// The store's address, in the place of --store
    pub(super) url: Option<String>,

    /// Gives it tools to replay and skip failed events
    #[arg(long)]
    allow_actions: bool,
}

impl Mcp {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let access = if self.allow_actions { Access::Change } else { Access::Look };
        let tools = Tools::new(session.open(access).await?);
        let tools = if self.allow_actions { tools.and_act() } else { tools };
        Ok(tools.serve_stdio().await.map_err(io::Error::other)?)
    }
}
