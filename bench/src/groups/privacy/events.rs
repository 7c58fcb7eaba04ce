//! What is told of customers, each event twice: with encrypted fields, and in the clear.

use event_sourcery::Event;
use serde::{Deserialize, Serialize};

/// An event of three encrypted fields.
#[derive(Event, Serialize, Deserialize, Debug)]
#[event(name = "CustomerRegistered")]
pub struct Sealed {
    #[event(subject)]
    customer: usize,
    #[event(encrypted, mask = "forgotten")]
    name: String,
    #[event(encrypted, mask = "forgotten")]
    email: String,
    #[event(encrypted)]
    born_in: Option<u16>,
    country: String,
}

#[derive(Event, Serialize, Deserialize, Debug)]
#[event(name = "CustomerRegistered")]
pub struct InTheClear {
    customer: usize,
    name: String,
    email: String,
    born_in: Option<u16>,
    country: String,
}

/// An event of one.
#[derive(Event, Serialize, Deserialize, Debug)]
#[event(name = "CustomerMoved")]
pub struct MovedSealed {
    #[event(subject)]
    customer: usize,
    #[event(encrypted, mask = "somewhere")]
    street: String,
    city: String,
    number: usize,
}

#[derive(Event, Serialize, Deserialize, Debug)]
#[event(name = "CustomerMoved")]
pub struct MovedInTheClear {
    customer: usize,
    street: String,
    city: String,
    number: usize,
}

macro_rules! registered {
    ($($event:ident),*) => {$(
        impl $event {
            pub fn of(customer: usize, number: usize) -> Self {
                Self {
                    customer,
                    name: format!("Ada Lovelace the {number}th"),
                    email: format!("ada.{number}@example.com"),
                    born_in: Some(1815),
                    country: "England".into(),
                }
            }
        }
    )*};
}

registered!(Sealed, InTheClear);

macro_rules! moved {
    ($($event:ident),*) => {$(
        impl $event {
            pub fn of(customer: usize, number: usize) -> Self {
                let street = format!("{number} St James's Square");
                Self { customer, street, city: "London".into(), number }
            }
        }
    )*};
}

moved!(MovedSealed, MovedInTheClear);
