//! `copy`: the events of this store into another one, while this one may go on being written.

use std::future::pending;

use clap::Args;
use event_sourcery::copy::{self, Copied};
use event_sourcery::{StreamId, TenantId};
use serde::Serialize;

use super::left_out::{self, LeftOutJson};
use crate::asking::Consent;
use crate::failure::Failure;
use crate::output::{Output, safe};
use crate::progress::Progress;
use crate::session::{Access, Session};

#[derive(Debug, Args)]
pub(crate) struct Copy {
    /// The address of the store that they are copied to; `event-sourcery migrate --create` makes one
    to: String,

    /// Deletes streams there that are not here any more
    #[arg(long)]
    deleting: bool,

    /// Carries the keys of data subjects over, each as it is wrapped
    #[arg(long)]
    with_keys: bool,

    /// Goes on with what is written here, until Ctrl-C; tells at once what it leaves out, in the standard error
    #[arg(long)]
    follow: bool,

    #[command(flatten)]
    consent: Consent,
}

/// What a program gets.
#[derive(Serialize)]
struct CopiedJson<'a> {
    written: u64,
    present: u64,
    sealed: u64,
    keys: u64,
    other_keys: u64,
    deleted: u64,
    /// The first of them.
    deleted_streams: Vec<DeletedJson<'a>>,
    extra: u64,
    left_out: u64,
    /// The first of what was left out.
    described: Vec<LeftOutJson<'a>>,
    up_to: i64,
    is_clean: bool,
}

#[derive(Serialize)]
struct DeletedJson<'a> {
    tenant: &'a TenantId,
    stream: &'a StreamId,
}

impl Copy {
    pub(crate) const fn follows(&self) -> bool {
        self.follow
    }

    pub(crate) async fn run(self, session: &Session, out: &mut Output) -> Result<(), Failure> {
        let there = session.at(&self.to)?;
        let source = session.open(Access::Look).await?;
        let destination = there.open(Access::Change).await?;
        let deleting =
            if self.deleting { ", and delete streams there that are not here any more" } else { "" };
        let question = format!("copy {} to {}{deleting}", session.location(), there.location());
        self.consent.to(&question).await?;
        let end = source.position().await?.to_i64();
        let (mut progress, follows, mut described) = (Progress::new(), self.follow, 0);
        let told = move |so_far: &Copied| {
            // What goes on has no last word.
            for left_out in so_far.described.iter().skip(described).filter(|_| follows) {
                progress.say(&left_out::line(left_out));
            }
            described = so_far.described.len();
            progress.tell(so_far.written + so_far.present, Some((so_far.up_to.to_i64(), end)));
        };
        let mut copying = copy::Copy::new(&source, &destination).on_progress(told);
        if self.deleting {
            copying = copying.deleting();
        }
        if self.with_keys {
            copying = copying.with_keys();
        }
        let copied = if self.follow { copying.run_until(pending()).await? } else { copying.run().await? };
        tell(&copied, out)
    }
}

/// Tells what was copied, and fails where that is not all.
pub(super) fn tell(copied: &Copied, out: &mut Output) -> Result<(), Failure> {
    let told = if out.is_json() { out.json(&CopiedJson::of(copied)) } else { tell_people(copied, out) };
    out.end(told, copied.is_clean(), Failure::NotEqual)
}

impl<'a> CopiedJson<'a> {
    fn of(copied: &'a Copied) -> Self {
        let deleted_streams = copied.deleted_streams.iter();
        Self {
            written: copied.written,
            present: copied.present,
            sealed: copied.sealed,
            keys: copied.keys,
            other_keys: copied.other_keys,
            deleted: copied.deleted,
            deleted_streams: deleted_streams.map(|(tenant, stream)| DeletedJson { tenant, stream }).collect(),
            extra: copied.extra,
            left_out: copied.left_out,
            described: copied.described.iter().map(LeftOutJson::of).collect(),
            up_to: copied.up_to.to_i64(),
            is_clean: copied.is_clean(),
        }
    }
}

fn tell_people(copied: &Copied, out: &mut Output) -> Result<(), Failure> {
    left_out::tell(copied.left_out, &copied.described, out)?;
    for (tenant, stream) in &copied.deleted_streams {
        let of = if tenant.is_default() { String::new() } else { format!(", of the tenant {tenant}") };
        out.line(&safe(&format!("deleted there: {stream}{of}"), ""))?;
    }
    let Copied { written, present, up_to, .. } = copied;
    out.line(&format!(
        "{written} events written, {present} were there, up to position {up_to} of the source."
    ))?;
    for (count, what) in [
        (
            copied.sealed,
            "of those written have encrypted fields, which nobody reads there without --with-keys",
        ),
        (copied.keys, "data subjects have their keys there"),
        (copied.other_keys, "data subjects have other keys there, which open nothing of this"),
        (copied.deleted, "streams were deleted there"),
        (copied.extra, "events stand there that are not here; --deleting deletes their streams"),
        (copied.left_out, "events were left out"),
    ] {
        if count > 0 {
            out.line(&format!("{count} {what}."))?;
        }
    }
    Ok(())
}
