//! `migrate`: the store's tables, made or brought up to date.

use clap::Args;
use serde::Serialize;

use crate::asking::Consent;
use crate::failure::Failure;
use crate::location::Location;
use crate::output::{Output, safe};
use crate::session::{Access, Session};

#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Prints the SQL and changes nothing
    #[arg(long)]
    print: bool,

    /// Makes the file where there is none
    #[arg(long)]
    create: bool,

    #[command(flatten)]
    consent: Consent,
}

/// What a program gets.
#[derive(Serialize)]
struct MigrationJson {
    /// What is missing, or was until now; empty where nothing is.
    sql: String,
    is_done: bool,
}

impl Migrate {
    pub(crate) async fn run(self, session: &Session, out: &mut Output) -> Result<(), Failure> {
        if let Location::Sqlite { path, .. } = session.location()
            && !self.create
            && !path.exists()
        {
            return Err(Failure::Refused {
                what: format!("there is no file {}", path.display()),
                to_do: "mind the path; --create makes a store there".to_owned(),
            });
        }
        let sql = session.migration().await?;
        if self.print {
            return tell(out, MigrationJson { sql, is_done: false });
        }
        if !sql.is_empty() {
            let statements = sql.matches(";\n").count();
            let question = format!("migrate {} ({statements} statements, see --print)", session.location());
            self.consent.to(&question).await?;
            drop(session.open(Access::Migrate).await?);
        }
        if out.is_json() {
            return out.json(&MigrationJson { sql, is_done: true });
        }
        let told = if sql.is_empty() { "has nothing to migrate" } else { "is migrated" };
        out.line(&safe(&format!("{} {told}.", session.location()), ""))
    }
}

fn tell(out: &mut Output, migration: MigrationJson) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(&migration);
    }
    out.text(&safe(&migration.sql, "\n\t"))
}
