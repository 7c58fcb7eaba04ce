//! An account: what can happen to it, and what it refuses.

use event_sourcery::uuid::Uuid;
use event_sourcery::{Aggregate, Emitting, Event, SnapshotState};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(crate) enum AccountEvent {
    Opened { owner: String },
    Deposited { cents: u64 },
    Sent { to: Uuid, cents: u64 },
    Received { from: Uuid, cents: u64 },
}

#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the account is not open")]
    NotOpen,
    #[error("the account is open already")]
    OpenAlready,
    #[error("an amount has to be more than nothing")]
    Nothing,
    #[error("there are {balance} cents in the account, and {wanted} were wanted")]
    NotEnough { balance: u64, wanted: u64 },
}

#[derive(Default, Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) owner: Option<String>,
    pub(crate) balance: u64,
}

impl Aggregate for Account {
    type Event = AccountEvent;
    const CATEGORY: &'static str = "accounts";

    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Opened { owner } => self.owner = Some(owner.clone()),
            AccountEvent::Deposited { cents } | AccountEvent::Received { cents, .. } => self.balance += cents,
            AccountEvent::Sent { cents, .. } => self.balance -= cents,
        }
    }
}

impl SnapshotState for Account {
    const FORMAT: u16 = 1;
}

impl Account {
    pub(crate) fn open(account: &mut Emitting<Self>, owner: &str) -> Result<(), Refused> {
        if account.owner.is_some() {
            return Err(Refused::OpenAlready);
        }
        account.emit(AccountEvent::Opened { owner: owner.to_owned() });
        Ok(())
    }

    pub(crate) fn deposit(account: &mut Emitting<Self>, cents: u64) -> Result<(), Refused> {
        account.is_to_take(cents)?;
        account.emit(AccountEvent::Deposited { cents });
        Ok(())
    }

    /// Sends to another account, and tells what is left.
    pub(crate) fn send(account: &mut Emitting<Self>, to: Uuid, cents: u64) -> Result<u64, Refused> {
        account.is_to_give(cents)?;
        account.emit(AccountEvent::Sent { to, cents });
        Ok(account.balance)
    }

    pub(crate) fn receive(account: &mut Emitting<Self>, from: Uuid, cents: u64) -> Result<(), Refused> {
        account.is_to_take(cents)?;
        account.emit(AccountEvent::Received { from, cents });
        Ok(())
    }

    fn is_to_take(&self, cents: u64) -> Result<(), Refused> {
        match self.owner {
            None => Err(Refused::NotOpen),
            Some(_) if cents == 0 => Err(Refused::Nothing),
            Some(_) => Ok(()),
        }
    }

    fn is_to_give(&self, wanted: u64) -> Result<(), Refused> {
        self.is_to_take(wanted)?;
        if wanted > self.balance { Err(Refused::NotEnough { balance: self.balance, wanted }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use event_sourcery::testing::given;

    use super::AccountEvent::{Deposited, Opened, Received, Sent};
    use super::*;

    const OTHER: Uuid = Uuid::from_u128(7);

    fn opened() -> AccountEvent {
        Opened { owner: "Ada".into() }
    }

    #[test]
    fn an_account_is_opened_once() {
        given([]).when(|account| Account::open(account, "Ada")).then([opened()]);
        given([opened()]).when(|account| Account::open(account, "Ada")).then_error(Refused::OpenAlready);
    }

    #[test]
    fn what_is_paid_in_can_be_sent() {
        given([opened(), Deposited { cents: 500 }])
            .when(|account| Account::send(account, OTHER, 300))
            .then([Sent { to: OTHER, cents: 300 }])
            .then_value(200);
    }

    #[test]
    fn no_account_gives_more_than_it_has() {
        let history = || [opened(), Deposited { cents: 500 }, Sent { to: OTHER, cents: 100 }];
        let not_enough = |wanted| Refused::NotEnough { balance: 400, wanted };
        given(history()).when(|account| Account::send(account, OTHER, 401)).then_error(not_enough(401));
        given(history()).when(|account| Account::send(account, OTHER, 500)).then_error(not_enough(500));
        given(history())
            .when(|account| Account::send(account, OTHER, 400))
            .then([Sent { to: OTHER, cents: 400 }])
            .then_state(|account| assert_eq!(account.balance, 0));
    }

    #[test]
    fn what_is_received_can_be_sent_on() {
        given([opened(), Received { from: OTHER, cents: 9 }])
            .when(|account| Account::send(account, OTHER, 9))
            .then([Sent { to: OTHER, cents: 9 }]);
    }

    #[test]
    fn nothing_goes_in_or_out_of_an_account_that_is_not_open() {
        given([]).when(|account| Account::deposit(account, 1)).then_error(Refused::NotOpen);
        given([]).when(|account| Account::send(account, OTHER, 1)).then_error(Refused::NotOpen);
        given([]).when(|account| Account::receive(account, OTHER, 1)).then_error(Refused::NotOpen);
    }

    #[test]
    fn nothing_is_no_amount() {
        given([opened()]).when(|account| Account::deposit(account, 0)).then_error(Refused::Nothing);
        given([opened()]).when(|account| Account::send(account, OTHER, 0)).then_error(Refused::Nothing);
    }
}
