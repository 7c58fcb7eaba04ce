//! `serve`: a browser for the store, on this machine.

use std::net::SocketAddr;

use clap::Args;
use event_sourcery_browser::Browser;
use serde::Serialize;
use tokio::net::TcpListener;

use crate::failure::Failure;
use crate::output::Output;
use crate::session::{Access, Session};

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The store's address, in the place of --store
    pub(super) url: Option<String>,

    /// Where it listens: an address of this machine alone, and a port, 0 for any
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", value_parser = of_this_machine)]
    listen: SocketAddr,

    /// Lets whoever is on this machine replay and skip failed events
    #[arg(long)]
    allow_actions: bool,
}

/// What a program gets.
#[derive(Serialize)]
struct ServedJson<'a> {
    address: &'a str,
}

impl Serve {
    pub(crate) async fn run(self, session: &Session, out: &mut Output) -> Result<(), Failure> {
        let access = if self.allow_actions { Access::Change } else { Access::Look };
        let mut browser = Browser::new(session.open(access).await?);
        if self.allow_actions {
            use event_sourcery_browser::Access;
            browser = browser.allow(|request| Access::of_this_machine(request).and_act());
        }
        let listener = TcpListener::bind(self.listen).await.map_err(|error| Failure::Refused {
            what: format!("{} cannot be listened at: {error}", self.listen),
            to_do: "give another port, or none: a free one is taken".to_owned(),
        })?;
        let address = format!("http://{}/", listener.local_addr()?);
        if out.is_json() {
            out.json(&ServedJson { address: &address })?;
        } else {
            out.line(&format!("{address} until Ctrl-C"))?;
        }
        out.flush()?;
        let service = browser.router().into_make_service_with_connect_info::<SocketAddr>();
        Ok(axum::serve(listener, service).await?)
    }
}

/// The browser knows no users: whoever reaches it may look.
fn of_this_machine(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "write an address and a port, such as 127.0.0.1:8080".to_owned())?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    let to_do = "it asks nobody who they are, so it listens on this machine alone: 127.0.0.1 or [::1]. For others, mount it in \
                 a service that asks: see the crate event-sourcery-browser";
    Err(to_do.to_owned())
}
