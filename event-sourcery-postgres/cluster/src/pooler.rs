//! A pooler in front of a server: PgBouncer.

use std::{
    env, fs,
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Instant,
};

use tempfile::TempDir;

use crate::{
    Database, Server,
    cluster::random_port,
    postmaster::{PATIENCE, pause},
    unprivileged::User,
};

/// How many ports to try before the fault must be another.
const PORTS: u32 = 5;

/// For how long a client keeps a server connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// As long as it is connected.
    Session,
    /// For a transaction.
    Transaction,
    /// For a statement.
    Statement,
}

/// A PgBouncer of the test's own, in front of a server, on a port of its own. It ends with the value.
#[derive(Debug)]
pub struct Pooler {
    /// Removed with the value, after the pooler has ended.
    folder: TempDir,
    process: Option<Child>,
    port: u16,
}

impl Pooler {
    /// Starts one that has at most so many connections to a database of the server.
    ///
    /// # Panics
    ///
    /// When it does not start, with its log; `scripts/test` installs it.
    pub fn start(server: &Server, pooling: Pooling, connections: u16) -> Self {
        Self::start_with(server, pooling, connections, &[])
    }

    /// The same, with more settings of `pgbouncer.ini`.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub fn start_with(
        server: &Server,
        pooling: Pooling,
        connections: u16,
        settings: &[(&str, &str)],
    ) -> Self {
        let folder = TempDir::with_prefix("pgbouncer-").expect("a temporary folder");
        let mut pooler = Self { folder, process: None, port: 0 };
        for _ in 0..PORTS {
            pooler.port = random_port();
            pooler.configure(server.port(), pooling, connections, settings);
            if pooler.launch() {
                return pooler;
            }
        }
        panic!("PgBouncer did not start: {}", fs::read_to_string(pooler.file("log")).unwrap_or_default())
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of a database, through the pooler.
    pub fn url(&self, database: &Database) -> String {
        self.url_of(database.name())
    }

    /// The address of a database by its name.
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn configure(&self, server: u16, pooling: Pooling, connections: u16, more: &[(&str, &str)]) {
        let (users, mode) = (self.file("users"), format!("{pooling:?}").to_lowercase());
        fs::write(&users, "\"postgres\" \"\"\n").expect("a folder just created");
        let more: String = more.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = {mode}\n\
             default_pool_size = {connections}\nmax_client_conn = 500\n{more}",
            self.port,
            users.display()
        );
        fs::write(self.file("settings"), settings).expect("a folder just created");
    }

    /// Whether it takes connections. It does not run as root.
    fn launch(&mut self) -> bool {
        let user = User::to_serve(self.folder.path());
        if let Some(user) = user {
            for place in [self.folder.path().to_owned(), self.file("users"), self.file("settings")] {
                user.own(&place);
            }
        }
        let log = fs::File::create(self.file("log")).expect("a folder just created");
        let mut command = Command::new(program());
        command
            .arg(self.file("settings"))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        if let Some(user) = user {
            user.run(&mut command);
        }
        let mut process = command.spawn().expect("pgbouncer: run `scripts/test`, or install the package");
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if process.try_wait().is_ok_and(|ended| ended.is_some()) || Instant::now() > deadline {
                let _ = process.kill();
                let _ = process.wait();
                return false;
            }
            pause();
        }
        // Somebody else may have the port.
        let is_ours = process.try_wait().is_ok_and(|ended| ended.is_none());
        self.process = is_ours.then_some(process);
        is_ours
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Debian has it where users other than root do not look.
fn program() -> PathBuf {
    let folders = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&folders).chain(["/usr/sbin".into()]);
    folders
        .map(|folder| folder.join("pgbouncer"))
        .find(|program| program.exists())
        .unwrap_or("pgbouncer".into())
}
