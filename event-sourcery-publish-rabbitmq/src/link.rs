//! A connection with one channel, on which messages are confirmed.

use lapin::options::{ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::types::FieldTable;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, ExchangeKind};

/// Dropped, it is closed. One on which a round was not brought to its end is not used again: what comes late would be taken for an
/// answer to something else.
#[derive(Debug)]
pub(crate) struct Link {
    connection: Connection,
    pub(crate) channel: Channel,
}

impl Link {
    /// Opens one, and looks whether the exchange is there: a message for one that is not ends a channel, and all that is on its way.
    pub(crate) async fn open(address: &AMQPUri, exchange: &str) -> lapin::Result<Self> {
        let properties = ConnectionProperties::default().with_connection_name("event-sourcery outbox".into());
        let connection = Connection::connect_uri(address.clone(), properties).await?;
        let channel = connection.create_channel().await?;
        // The default exchange is always there, and may not be asked for.
        if !exchange.is_empty() {
            let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
            let (name, none) = (exchange.into(), FieldTable::default());
            channel.exchange_declare(name, ExchangeKind::Direct, passive, none).await?;
        }
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { connection, channel })
    }

    pub(crate) fn is_open(&self) -> bool {
        self.connection.status().connected() && self.channel.status().connected()
    }

    pub(crate) fn frame(&self) -> lapin::types::FrameSize {
        self.connection.configuration().frame_max()
    }
}
