//! Calls and closures that share a transaction.
//!
//! Each is refused alone, whatever it has written or left behind by then: everything is taken back, and the others run again, each under a
//! savepoint. They begin without one, because most refusals are found before anything is written. A member at whose error SQLite has rolled
//! back everything by itself, for want of room on the disk, is left out, and there may be room for the others. Where the disk is full at
//! the commit, each half runs again in a transaction of its own, and so on. Where the commit fails otherwise, every member fails and none
//! is acknowledged. One that panics is left out; the panic goes on in its caller.

use std::mem::take;
use std::time::{Duration, Instant};

use event_sourcery::Error;
use rusqlite::Connection;

use super::guard::Ending;
use super::member::{Member, Worked};
use super::{WriterThread, roll_back};
use crate::failure::Failure;
use crate::operations::Operations;

/// The most that share a transaction: bounds how long the first of them waits for the last.
pub(super) const LARGEST_GROUP: usize = 256;

/// After so long a group takes nobody else, once it has a closure. One that takes longer by itself is the last that runs beside
/// others, until one does not.
pub(super) const LONGEST: Duration = Duration::from_millis(20);

/// The name of the savepoint within a group.
pub(super) const SAVEPOINT: &str = "event_sourcery_group";
/// The name of the one around a call within a closure (`Operations::atomically`).
pub(super) const OF_A_CALL: &str = "event_sourcery";
const SET: &str = "SAVEPOINT event_sourcery_group";
const TAKE_BACK: &str = "ROLLBACK TO event_sourcery_group";
const RELEASE: &str = "RELEASE event_sourcery_group";

const BEGIN: &str = "BEGIN IMMEDIATE";
/// Not as a closure would write it: nobody asks the guard about what is prepared already.
pub(super) const COMMIT: &str = "COMMIT /* of a group */";

/// In the order of their turns.
type Members = Vec<Box<dyn Member>>;

/// Those who share one transaction.
///
/// A savepoint for each call costs more than the call itself: SQLite copies every page that it touches. Most
/// refusals are found before anything is written, so calls run without. Should one be refused after it has
/// written, everything is taken back, and all run again with savepoints. So they do, without it, when a call panics, and
/// when SQLite has rolled back everything at a call's error, as it does when there is no room on the disk for what that
/// one writes: then the group takes nobody else, so that nobody in it runs again for each that fails behind him.
///
/// A closure runs once. So what was done before it is settled, and a savepoint stands between that and the closure, to which
/// the closure alone is taken back when it fails. The calls behind it run again from the next savepoint on. Where SQLite rolls
/// back everything, the calls run again, and the closures that have run are lost: their callers are told to repeat them.
///
/// A savepoint that a closure has left open would be there for the next one, which could take back by its name what the first has
/// done. It goes with the one of ours that is set below it. The first of a group has none, unless closures are known to set any:
/// whoever shows that is alone from there on.
pub(super) struct Group<'c> {
    writer: &'c WriterThread,
    operations: Operations<'c>,
    began: Instant,
    /// Whether a closure may share the transaction.
    shares: bool,
    /// Closures, and what was done before them.
    settled: Members,
    /// What was done since: one closure, or calls.
    members: Members,
    /// Whether a savepoint stands between the two.
    has_savepoint: bool,
    /// Whether each call is looked at for constraints that it leaves violated.
    checks: bool,
    /// Why there is no transaction. Then every member fails.
    failure: Option<Failure>,
    /// Whether it takes nobody else.
    is_closed: bool,
}

/// What became of a call.
enum Ran {
    /// It is done, or refused, and the transaction goes on.
    Settled,
    /// It is refused, and something of what it wrote is there still.
    HalfWritten,
    /// It fails alone: SQLite has rolled back everything at its error, as it does when the disk is full, or would at the commit.
    Ended(Failure),
    /// It fails alone, by its panic or the error of its listener, whatever the transaction holds by now.
    Alone,
}

impl<'c> Group<'c> {
    /// Begins the transaction with its first member. Where it does not begin, that one fails alone: others may wait for a lock for
    /// some time yet.
    pub(super) fn begin(writer: &'c WriterThread, first: Box<dyn Member>) -> Option<Self> {
        let operations = writer.operations();
        if let Err(error) = run(&writer.connection, BEGIN) {
            first.answer(Err(operations.failed(error)));
            return None;
        }
        writer.guard.forget();
        let mut group = Self {
            writer,
            operations,
            began: Instant::now(),
            shares: writer.closures_share.get(),
            settled: Vec::new(),
            members: Vec::new(),
            has_savepoint: false,
            checks: false,
            failure: None,
            is_closed: false,
        };
        group.add(first);
        Some(group)
    }

    /// Whether there is room for another member.
    pub(super) fn has_room(&self) -> bool {
        self.settled.len() + self.members.len() < LARGEST_GROUP && !self.is_closed
    }

    /// Whether there is room for a closure.
    pub(super) fn takes_closures(&self) -> bool {
        self.shares
    }

    pub(super) fn add(&mut self, member: Box<dyn Member>) {
        let is_closure = member.is_closure();
        if is_closure || self.ends_in_closure() {
            self.settle();
        }
        self.begin_again();
        if self.failure.is_some() {
            self.members.push(member);
        } else if is_closure {
            self.add_closure(member);
        } else {
            self.add_call(member);
        }
        self.is_closed |= !self.has_savepoint && self.writer.guard.sets_savepoints();
    }

    fn add_call(&mut self, mut call: Box<dyn Member>) {
        match self.run(&mut *call) {
            Ran::Settled => self.members.push(call),
            Ran::HalfWritten => {
                self.members.push(call);
                self.operations.savepoints = true;
                self.run_again();
            }
            Ran::Ended(failure) => {
                call.answer(Err(self.operations.failed(failure)));
                self.is_closed = true;
                self.run_again();
            }
            Ran::Alone => {
                call.answer(Ok(()));
                self.run_again();
            }
        }
    }

    fn run(&self, call: &mut dyn Member) -> Ran {
        let changes = self.connection().total_changes();
        let refused = match call.run(self.operations) {
            Worked::Done => None,
            Worked::Refused(refused) => refused,
            Worked::Panicked => return Ran::Alone,
        };
        let was_ended = self.connection().is_autocommit();
        let is_half_written =
            refused.is_some() && !self.operations.savepoints && self.connection().total_changes() != changes;
        match refused {
            // It would be called again, and nothing tells that it would not fail.
            Some(Error::ListenerFailed { .. }) if was_ended || is_half_written => Ran::Alone,
            refused if was_ended => Ran::Ended(Failure::of_ended(refused)),
            _ if is_half_written => Ran::HalfWritten,
            _ if self.checks => self.violation().map_or(Ran::Settled, Ran::Ended),
            _ => Ran::Settled,
        }
    }

    fn add_closure(&mut self, mut closure: Box<dyn Member>) {
        let (connection, operations) = (self.connection(), self.operations);
        let (is_first, changes) = (self.settled.is_empty(), connection.total_changes());
        let began = Instant::now();
        let work = || matches!(closure.run(operations), Worked::Done);
        let (is_done, ending) = self.writer.guard.watch(work);
        let is_long = began.elapsed() >= LONGEST;
        let ending = if connection.is_autocommit() { Ending::Ended } else { ending };
        // Where nothing is written yet, the commit costs nothing, and nobody has to wait for another one's.
        let is_alone = is_first && connection.total_changes() == changes;
        match ending {
            Ending::Left if is_done => self.members.push(closure),
            // Answered after the commit: it may have failed by what others have written.
            Ending::Left => {
                self.take_back();
                self.settled.push(closure);
            }
            Ending::Refused | Ending::Ended => {
                closure.answer(if is_done { Err(ended_by_closure()) } else { Ok(()) });
                if ending == Ending::Ended { self.lose() } else { self.take_back() }
            }
        }
        if !is_alone {
            self.writer.closures_share.set(ending != Ending::Ended && !is_long);
        }
        let is_late = self.began.elapsed() >= LONGEST;
        self.is_closed |= is_alone || is_late || !self.shares || connection.is_autocommit();
    }

    fn ends_in_closure(&self) -> bool {
        self.members.last().is_some_and(|member| member.is_closure())
    }

    /// What was done so far stays as it is from here on, but for what leaves a constraint violated.
    fn settle(&mut self) {
        if self.failure.is_some() || self.members.is_empty() {
            return;
        }
        if self.writer.guard.was_lent()
            && let Some(failure) = self.violation()
        {
            self.leave_out_violators(failure);
        }
        if self.failure.is_none() && !self.members.is_empty() {
            let set = self.set_savepoint();
            self.fail_by(set);
            self.settled.append(&mut self.members);
        }
    }

    /// Sets the savepoint behind all that was done.
    fn set_savepoint(&mut self) -> rusqlite::Result<()> {
        if self.has_savepoint {
            run(self.connection(), RELEASE)?;
        }
        self.writer.guard.undo_settings(self.connection())?;
        run(self.connection(), SET)?;
        self.has_savepoint = true;
        Ok(())
    }

    /// Takes back what was done since the savepoint; without one, the whole transaction.
    fn take_back(&mut self) {
        if !self.has_savepoint {
            return roll_back(self.connection());
        }
        let (connection, guard) = (self.connection(), &self.writer.guard);
        let taken_back = run(connection, TAKE_BACK).and_then(|()| guard.undo_settings(connection));
        self.fail_by(taken_back);
    }

    /// Nobody knows what there is in the transaction.
    fn fail_by(&mut self, result: rusqlite::Result<()>) {
        if let Err(error) = result {
            roll_back(self.connection());
            (self.failure, self.has_savepoint, self.is_closed) = (Some(error.into()), false, true);
        }
    }

    /// Begins anew where the transaction is over; where closures set savepoints, with one of ours.
    fn begin_again(&mut self) {
        if self.failure.is_none() && self.connection().is_autocommit() {
            self.failure = run(self.connection(), BEGIN).err().map(Failure::from);
        }
        let is_first = self.settled.is_empty() && self.members.is_empty() && !self.has_savepoint;
        if self.failure.is_none() && is_first && self.writer.guard.sets_savepoints() {
            let set = self.set_savepoint();
            self.fail_by(set);
        }
    }

    /// Takes back the calls that were made since the savepoint, and makes them again.
    fn run_again(&mut self) {
        if self.has_savepoint && self.connection().is_autocommit() {
            return self.lose();
        }
        let calls = take(&mut self.members);
        self.take_back();
        for call in calls {
            self.add(call);
        }
    }

    /// The transaction is over, with all that was done in it: closures are lost, and calls are made again.
    fn lose(&mut self) {
        roll_back(self.connection());
        (self.has_savepoint, self.is_closed) = (false, true);
        let (closures, calls) = self.all();
        for closure in closures {
            closure.answer(Err(lost()));
        }
        for call in calls {
            self.add(call);
        }
    }

    /// Empties the group: its closures, and its calls.
    fn all(&mut self) -> (Members, Members) {
        let all = take(&mut self.settled).into_iter().chain(take(&mut self.members));
        all.partition(|member| member.is_closure())
    }

    /// What the commit would fail with, for a constraint that is deferred to it.
    fn violation(&self) -> Option<Failure> {
        match self.writer.constraints.are_violated(self.connection()) {
            Ok(false) => None,
            Ok(true) => Some(Failure::of_constraint()),
            Err(error) => Some(error.into()),
        }
    }

    /// Leaves out who has left a constraint violated: the closure that ran last, or which of the last calls shows when they are
    /// made again.
    fn leave_out_violators(&mut self, failure: Failure) {
        if !self.ends_in_closure() {
            self.checks = true;
            return self.run_again();
        }
        self.take_back();
        for closure in take(&mut self.members) {
            closure.answer(Err(self.operations.failed(failure.clone())));
        }
    }

    /// Commits, and answers every caller.
    pub(super) fn commit(mut self) {
        self.commit_or_fail();
        let is_shared = self.settled.len() + self.members.len() > 1;
        if is_shared && let Some(failure) = self.failure.take_if(|failure| failure.is_constraint()) {
            self.leave_out_violators(failure);
            self.commit_or_fail();
        }
        roll_back(self.connection());
        if is_shared && self.failure.as_ref().is_some_and(Failure::is_full_disk) {
            return self.commit_in_halves();
        }
        if self.failure.is_none() {
            self.writer.shared.groups.add(self.settled.len() + self.members.len());
        }
        let Self { operations, settled, members, failure, .. } = self;
        for member in settled.into_iter().chain(members) {
            let failure = failure.clone();
            member.answer(failure.map_or(Ok(()), |failure| Err(operations.failed(failure))));
        }
    }

    fn commit_or_fail(&mut self) {
        if self.failure.is_none() && !self.connection().is_autocommit() {
            self.failure = run(self.connection(), COMMIT).err().map(Failure::from);
            if self.failure.is_none() {
                self.writer.shared.own_writes.note();
            }
        }
    }

    /// Makes all calls again in two transactions: what is small is written to the disk at the commit alone, and there may be room for
    /// one half. There is none for closures.
    fn commit_in_halves(mut self) {
        let (closures, mut calls) = self.all();
        let failure = self.failure.take();
        for closure in closures {
            let failure = failure.clone().map_or_else(lost, |failure| self.operations.failed(failure));
            closure.answer(Err(failure));
        }
        let second = calls.split_off(calls.len() / 2);
        for half in [calls, second] {
            let mut calls = half.into_iter();
            let begun = calls.by_ref().find_map(|first| Self::begin(self.writer, first));
            let Some(mut group) = begun else { continue };
            for call in calls {
                group.add(call);
            }
            group.commit();
        }
    }

    const fn connection(&self) -> &'c Connection {
        &self.writer.connection
    }
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

fn ended_by_closure() -> Error {
    let problem = "the transaction ended inside the closure, and nothing of it is kept: leave its end to the store, and \
                   pass on the errors that you get";
    Error::backend("sqlite", problem)
}

fn lost() -> Error {
    Error::serialization_failure("another call in the same transaction made SQLite roll back all of it")
}
