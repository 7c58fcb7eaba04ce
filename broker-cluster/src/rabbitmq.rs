//! A RabbitMQ server.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::{PATIENCE, PORTS, Process, pause, random_port};

/// What a client says first, and what it is answered: the beginning of a frame.
const HELLO: &[u8] = b"AMQP\x00\x00\x09\x01";

/// A RabbitMQ server of the test's own: its data, its cookie, its name and its `epmd` are its own, in a temporary folder. It ends with
/// the value, and its folder is removed. A start takes some seconds.
#[derive(Debug)]
pub struct RabbitMq {
    /// Dropped before what it needs, and before the folder that it writes to.
    process: Option<Process>,
    epmd: Option<Process>,
    folder: TempDir,
    port: u16,
}

impl RabbitMq {
    /// Starts a new, empty server with these lines of `rabbitmq.conf`.
    ///
    /// # Panics
    ///
    /// When the server does not start, with its log.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        let folder = TempDir::with_prefix("rabbitmq-").expect("a temporary folder");
        let mut configuration = "disk_free_limit.absolute = 1MB\n".to_owned();
        settings.iter().for_each(|(name, value)| configuration.push_str(&format!("{name} = {value}\n")));
        write(folder.path(), "rabbitmq.conf", &configuration);
        write(folder.path(), "enabled_plugins", "[].");
        // Others' cookies are not taken, nor shown.
        let cookie = write(folder.path(), ".erlang.cookie", "A-TEST-S-OWN-COOKIE");
        fs::set_permissions(cookie, fs::Permissions::from_mode(0o400)).expect("a file of ours");
        let mut rabbitmq = Self { process: None, epmd: None, folder, port: 0 };
        let mut log = String::new();
        for _ in 0..PORTS {
            rabbitmq.port = 20_000 + random_port() % 4_000;
            match rabbitmq.launch() {
                Ok(()) => return rabbitmq,
                Err(said) => log = said,
            }
        }
        panic!("RabbitMQ did not start: {log}")
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    /// SIGKILL to the server and what it has started: nothing more is written, no client is told.
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn kill(&mut self) {
        self.process.take().expect("a server that runs").kill();
        self.epmd = None;
    }

    /// SIGSTOP: connections stay open, and nobody answers.
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn freeze(&self) {
        self.process.as_ref().expect("a server that runs").signal("STOP");
    }

    /// SIGCONT: it goes on as if nothing had been.
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn thaw(&self) {
        self.process.as_ref().expect("a server that runs").signal("CONT");
    }

    /// Starts the killed server again, on the same data and the same port.
    ///
    /// # Panics
    ///
    /// When it runs already, or does not start, with its log.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "the server runs already");
        let deadline = Instant::now() + PATIENCE;
        while let Err(log) = self.launch() {
            assert!(Instant::now() < deadline, "RabbitMQ did not start again: {log}");
            pause();
        }
    }

    /// Runs `rabbitmqctl` with these arguments, and returns what it prints.
    ///
    /// # Panics
    ///
    /// When it fails, with what it says.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        let ran = self.command("rabbitmqctl").args(arguments).stdin(Stdio::null()).output();
        let ran = ran.expect("rabbitmqctl starts");
        assert!(ran.status.success(), "rabbitmqctl: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8_lossy(&ran.stdout).into_owned()
    }

    fn launch(&mut self) -> Result<(), String> {
        let log = self.folder.path().join("output");
        let _ = fs::remove_file(&log);
        self.epmd = None;
        let mut epmd = Command::new("epmd");
        epmd.args(["-address", "127.0.0.1", "-port", &self.epmd_port().to_string()]);
        let epmd_answers = || TcpStream::connect(("127.0.0.1", self.epmd_port())).is_ok();
        self.epmd = Some(Process::launch(epmd, &log, epmd_answers)?);
        let server = self.command("rabbitmq-server");
        self.process = Some(Process::launch(server, &log, || answers(self.port))?);
        Ok(())
    }

    /// The three ports that a server needs lie beside each other.
    fn epmd_port(&self) -> u16 {
        self.port + 4_000
    }

    fn distribution_port(&self) -> u16 {
        self.port + 8_000
    }

    /// A program of the server's, which finds nothing of another one's.
    fn command(&self, program: &str) -> Command {
        let folder = self.folder.path();
        let mut command = Command::new(programs().join(program));
        command
            .env("HOME", folder)
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", self.epmd_port().to_string())
            .env("RABBITMQ_NODENAME", format!("test-{}@localhost", self.port))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", self.distribution_port().to_string())
            .env("RABBITMQ_MNESIA_BASE", folder.join("data"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_LOGS", "-")
            .env("RABBITMQ_PID_FILE", folder.join("pid"))
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq"))
            .env("RABBITMQ_CONF_ENV_FILE", folder.join("none"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", folder.join("none"))
            .env("RABBITMQ_GENERATED_CONFIG_DIR", folder.join("generated"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("enabled_plugins"))
            .env("RABBITMQ_FEATURE_FLAGS_FILE", folder.join("feature_flags"));
        command
    }
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).expect("a folder of ours");
    path
}

/// It listens last, and is asked whether it speaks.
fn answers(port: u16) -> bool {
    let Ok(mut connection) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut frame = [0; 1];
    let within = connection.set_read_timeout(Some(Duration::from_secs(1)));
    within.is_ok()
        && connection.write_all(HELLO).is_ok()
        && connection.read_exact(&mut frame).is_ok()
        && frame == [1]
}

/// Debian's programs: not those in `/usr/sbin`, which are for one server only, and for its user.
fn programs() -> PathBuf {
    let folder = PathBuf::from("/usr/lib/rabbitmq/bin");
    assert!(
        folder.join("rabbitmq-server").exists(),
        "there is no RabbitMQ in {}: run scripts/test, which brings it (apt-get install rabbitmq-server)",
        folder.display()
    );
    folder
}
