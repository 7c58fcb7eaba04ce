//! A RabbitMQ server.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::broker::Broker;
use crate::process::{Process, random_port};

/// What a client says first, and what it is answered: the beginning of a frame.
const HELLO: &[u8] = b"AMQP\x00\x00\x09\x01";

/// A RabbitMQ server of the test's own: its data, its cookie, its name and its `epmd` are its own, in a temporary folder. A start takes
/// some seconds.
#[derive(Debug)]
pub struct RabbitMq(Broker);

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
        Self(Broker::start("RabbitMQ", folder, || 20_000 + random_port() % 4_000, launch))
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port())
    }

    /// Runs `rabbitmqctl` with these arguments, and returns what it prints.
    ///
    /// # Panics
    ///
    /// When it fails, with what it says.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        let mut ctl = command(self.folder(), self.port(), "rabbitmqctl");
        let ran = ctl.args(arguments).stdin(Stdio::null()).output().expect("rabbitmqctl starts");
        assert!(ran.status.success(), "rabbitmqctl: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8_lossy(&ran.stdout).into_owned()
    }
}

impl Deref for RabbitMq {
    type Target = Broker;

    fn deref(&self) -> &Broker {
        &self.0
    }
}

impl DerefMut for RabbitMq {
    fn deref_mut(&mut self) -> &mut Broker {
        &mut self.0
    }
}

/// The server, and what finds it for `rabbitmqctl`.
fn launch(folder: &Path, port: u16) -> Result<Vec<Process>, String> {
    let log = folder.join("output");
    let _ = fs::remove_file(&log);
    let mut epmd = Command::new("epmd");
    epmd.args(["-address", "127.0.0.1", "-port", &epmd_port(port).to_string()]);
    let epmd_answers = || TcpStream::connect(("127.0.0.1", epmd_port(port))).is_ok();
    let epmd = Process::launch(epmd, &log, epmd_answers)?;
    let server = command(folder, port, "rabbitmq-server");
    Ok(vec![Process::launch(server, &log, || answers(port))?, epmd])
}

/// The three ports that a server needs lie beside each other.
fn epmd_port(port: u16) -> u16 {
    port + 4_000
}

fn distribution_port(port: u16) -> u16 {
    port + 8_000
}

/// A program of the server's, which finds nothing of another one's.
fn command(folder: &Path, port: u16, program: &str) -> Command {
    let mut command = Command::new(programs().join(program));
    command
        .env("HOME", folder)
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("ERL_EPMD_PORT", epmd_port(port).to_string())
        .env("RABBITMQ_NODENAME", format!("test-{port}@localhost"))
        .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODE_PORT", port.to_string())
        .env("RABBITMQ_DIST_PORT", distribution_port(port).to_string())
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
