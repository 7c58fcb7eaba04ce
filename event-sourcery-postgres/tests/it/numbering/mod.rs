//! Numbers that went back, or are used up: refused by name, with what repairs it.

mod behind;
mod used_up;
