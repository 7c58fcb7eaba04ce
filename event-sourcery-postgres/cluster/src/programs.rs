//! The programs of one PostgreSQL version: psql, initdb, pg_dump and the others.

use std::{
    env,
    ffi::OsStr,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
};

#[derive(Debug, Clone)]
pub(crate) struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// The programs that belong to the shared server.
    pub(crate) fn shared() -> Self {
        Self { folder: variable("EVENT_SOURCERY_POSTGRES_BIN").into() }
    }

    /// A command that no `PG...` variable of the environment leads to another server.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.folder.join(program));
        for (name, _) in env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        command.stdin(Stdio::null());
        command
    }

    /// What psql prints for a script: rows as lines, columns separated by `|`.
    pub(crate) fn psql(&self, url: &str, script: &str) -> Result<String, String> {
        let mut psql = self.command("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url]);
        run_with_input(psql, script)
    }
}

/// A variable that `scripts/with-postgres` sets.
pub(crate) fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: these tests need a PostgreSQL server. Run `scripts/test`, or \
             `scripts/with-postgres cargo nextest run -p event-sourcery-postgres`"
        )
    })
}

/// What the command prints, or what it complains of.
pub(crate) fn run(command: Command) -> Result<String, String> {
    run_with_input(command, "")
}

fn run_with_input(mut command: Command, input: &str) -> Result<String, String> {
    let name = command.get_program().to_owned();
    let fail = |what: &dyn std::fmt::Display| format!("{}: {what}", OsStr::display(&name));
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| fail(&error))?;
    let mut stdin = child.stdin.take();
    // Written beside the reading: neither side waits for a full pipe. A program that ends early says why itself.
    let output = thread::scope(|scope| {
        scope.spawn(move || stdin.take().map(|mut pipe| pipe.write_all(input.as_bytes())));
        child.wait_with_output()
    })
    .map_err(|error| fail(&error))?;
    if !output.status.success() {
        return Err(fail(&String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned())
}
