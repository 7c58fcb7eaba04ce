//! The bank: accounts, and transfers between them.

use event_sourcery::{CommandError, Error, EventStore, Repository, StreamId};
use event_sourcery_sqlite::SqliteBackend;

use crate::account::{Account, Refused};

#[derive(Clone)]
pub(crate) struct Bank {
    store: EventStore<SqliteBackend>,
    accounts: Repository<Account>,
}

impl Bank {
    pub(crate) fn new(store: &EventStore<SqliteBackend>) -> Self {
        Self { store: store.clone(), accounts: Repository::new(store).snapshot_every(100) }
    }

    /// Opens an account that has been paid something into, unless it is open already.
    pub(crate) async fn open(
        &self,
        id: &StreamId,
        owner: &str,
        cents: u64,
    ) -> Result<(), CommandError<Refused>> {
        let opened = self
            .accounts
            .aggregate(id, |account| {
                Account::open(account, owner)?;
                Account::deposit(account, cents)
            })
            .await;
        match opened {
            Ok(_) | Err(CommandError::Rejected(Refused::OpenAlready)) => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// Moves an amount from one account to another: both, or neither.
    pub(crate) async fn transfer(
        &self,
        from: &StreamId,
        to: &StreamId,
        cents: u64,
    ) -> Result<(), CommandError<Refused>> {
        let (accounts, from, to) = (self.accounts.clone(), from.clone(), to.clone());
        self.store
            .transaction(move |tx| {
                let send = |account: &mut _| Account::send(account, to.uuid(), cents);
                accounts.on(&mut *tx).aggregate(&from, send).run()?;
                let receive = |account: &mut _| Account::receive(account, from.uuid(), cents);
                accounts.on(&mut *tx).aggregate(&to, receive).run()?;
                Ok(())
            })
            .await
    }

    pub(crate) async fn balance(&self, id: &StreamId) -> Result<u64, Error> {
        Ok(self.accounts.load(id).await?.balance)
    }
}
