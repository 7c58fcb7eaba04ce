//! A server of the test's own, to configure, to kill and to start again.

use std::{
    env,
    fs::{self, OpenOptions},
    hash::{BuildHasher as _, RandomState},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use tempfile::TempDir;

use crate::{
    Database, Server,
    postmaster::{PATIENCE, Postmaster, pause},
    programs::{self, Programs},
    unprivileged::User,
};

/// How many ports to try before the fault must be another.
const PORTS: u32 = 5;

/// What a server killed while it takes shared memory leaves in it is never found again. In files under the data folder
/// it goes with the folder.
const SHARED_MEMORY: (&str, &str) = ("dynamic_shared_memory_type", "mmap");

/// A PostgreSQL server of the test's own, in a temporary folder and on a port of its own.
///
/// Its role is `postgres`, a superuser without a password; it listens on 127.0.0.1 only. It ends with the value, also
/// when the test panics, and its folder is removed.
#[derive(Debug)]
pub struct Cluster {
    /// Removed with the value, after the server has ended.
    _folder: TempDir,
    /// The folder's path as the system knows it, without symbolic links.
    pub(crate) path: PathBuf,
    user: Option<User>,
    programs: Programs,
    server: Server,
    port: u16,
    postmaster: Option<Postmaster>,
}

impl Cluster {
    /// Starts a new, empty server with these settings of `postgresql.conf`. Without any it is durable. Takes a second.
    ///
    /// # Panics
    ///
    /// When the server does not start, with its log, and without the variables of `scripts/with-postgres`.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_in(&env::temp_dir(), settings)
    }

    /// The same, in a folder within this one, which its user can go through.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub fn start_in(parent: &Path, settings: &[(&str, &str)]) -> Self {
        let cluster = Self::in_new_folder_of(parent);
        let mut initdb = cluster.command("initdb");
        initdb.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"]);
        initdb.arg(cluster.data());
        programs::run(initdb).unwrap_or_else(|failure| panic!("{failure}"));
        cluster.configure(settings);
        cluster.launched_on_a_free_port()
    }

    /// SIGKILL to the server and to every process it started: nothing more is written, no client is told.
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn kill(&mut self) {
        self.postmaster.as_mut().expect("a server that runs").kill();
        self.postmaster = None;
    }

    /// SIGSTOP to the server and to every process it started: connections stay open, and nobody answers.
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn freeze(&self) {
        self.postmaster.as_ref().expect("a server that runs").signal("STOP");
    }

    /// SIGCONT: it goes on as if nothing had been.
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn thaw(&self) {
        self.postmaster.as_ref().expect("a server that runs").signal("CONT");
    }

    /// Stops the server in order: connections are closed, open transactions rolled back, all is written.
    ///
    /// # Panics
    ///
    /// When it does not run or does not stop.
    pub fn stop_fast(&mut self) {
        self.stop("fast").unwrap_or_else(|failure| panic!("{failure}"));
    }

    /// Starts the stopped or killed server again, on the same data and the same port.
    ///
    /// # Panics
    ///
    /// When it runs already, or does not start within a minute, with its log.
    pub fn start_again(&mut self) {
        assert!(self.postmaster.is_none(), "the server runs already");
        let deadline = Instant::now() + PATIENCE;
        // What is left of the killed server may hold the port or the shared memory for a moment.
        while let Err(log) = self.launch() {
            assert!(Instant::now() < deadline, "PostgreSQL did not start again: {log}");
            pause();
        }
    }

    /// The port it listens on, the same after every start.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server by its address.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// See [`Server::url`].
    pub fn url(&self, database: &str) -> String {
        self.server.url(database)
    }

    /// See [`Server::create_database`].
    pub fn create_database(&self) -> Database {
        self.server.create_database()
    }

    /// See [`Server::psql`].
    pub fn psql(&self, database: &str, script: &str) -> String {
        self.server.psql(database, script)
    }

    /// See [`Server::dump`].
    pub fn dump(&self, database: &str) -> String {
        self.server.dump(database)
    }

    /// See [`Server::restore`].
    pub fn restore(&self, database: &str, dump: &str) {
        self.server.restore(database, dump);
    }

    pub(crate) fn in_new_folder() -> Self {
        Self::in_new_folder_of(&env::temp_dir())
    }

    fn in_new_folder_of(parent: &Path) -> Self {
        let programs = Programs::shared();
        let folder = TempDir::with_prefix_in("postgres-", parent).expect("a temporary folder");
        let path = folder.path().canonicalize().expect("a folder just created");
        let user = User::to_serve(&path);
        if let Some(user) = user {
            user.own(&path);
        }
        let server = Server::on_port(0, programs.clone());
        Self { _folder: folder, path, user, programs, server, port: 0, postmaster: None }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// A program as the server's user, in the server's folder: the present one may be closed to that user.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = self.programs.command(program);
        command.current_dir(&self.path);
        if let Some(user) = self.user {
            user.run(&mut command);
        }
        command
    }

    pub(crate) fn configure(&self, settings: &[(&str, &str)]) {
        let file = self.data().join("postgresql.conf");
        let mut file = OpenOptions::new().append(true).open(file).expect("the configuration initdb wrote");
        for (name, value) in [&[SHARED_MEMORY], settings].concat() {
            writeln!(file, "{name} = '{}'", value.replace('\'', "''")).expect("a file just opened");
        }
    }

    /// Another process may take a port between the choice and the start: then another port is tried.
    pub(crate) fn launched_on_a_free_port(mut self) -> Self {
        let mut log = String::new();
        for _ in 0..PORTS {
            self.port = random_port();
            self.server = Server::on_port(self.port, self.programs.clone());
            match self.launch() {
                Ok(()) => return self,
                Err(said) => log = said,
            }
        }
        panic!("PostgreSQL did not start: {log}")
    }

    fn launch(&mut self) -> Result<(), String> {
        let mut postgres = self.command("postgres");
        postgres.arg("-D").arg(self.data());
        postgres.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-k"]).arg(&self.path);
        self.with_its_clock(&mut postgres);
        self.postmaster = Some(Postmaster::launch(postgres, &self.data(), &self.path.join("log"))?);
        Ok(())
    }

    fn stop(&mut self, mode: &str) -> Result<(), String> {
        let mut pg_ctl = self.command("pg_ctl");
        pg_ctl.args(["stop", "--silent", "-m", mode, "-D"]).arg(self.data());
        programs::run(pg_ctl)?;
        if let Some(postmaster) = self.postmaster.take() {
            postmaster.wait();
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // A killed server leaves a segment of shared memory behind. The next start takes it up, and a stop releases it.
        if self.postmaster.is_none() && fs::exists(self.data().join("postmaster.pid")).unwrap_or(false) {
            let _ = self.launch();
        }
        // A frozen one would not hear that it is to stop.
        self.postmaster.iter().for_each(|postmaster| postmaster.signal("CONT"));
        if self.postmaster.is_some() && self.stop("immediate").is_err() {
            self.kill();
        }
    }
}

/// A port below the range that connections take theirs from: none of them gets it while the server is down.
pub(crate) fn random_port() -> u16 {
    20_000 + (RandomState::new().hash_one(0) % 12_000) as u16
}
