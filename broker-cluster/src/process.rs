//! A server's processes: started, waited for, signalled.

use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to start or to vanish.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// How many ports to try before the fault must be another.
pub(crate) const PORTS: u32 = 5;

/// A server's first process, at the head of a group that holds those it starts.
#[derive(Debug)]
pub(crate) struct Process {
    first: Child,
    /// Its number may be another one's by then.
    is_gone: bool,
}

impl Process {
    /// Starts it, its output in a file, and waits until it answers. Where it does not, the end of its log says why.
    pub(crate) fn launch(
        mut command: Command,
        log: &Path,
        mut answers: impl FnMut() -> bool,
    ) -> Result<Self, String> {
        let output =
            File::options().create(true).append(true).open(log).map_err(|error| error.to_string())?;
        let errors = output.try_clone().map_err(|error| error.to_string())?;
        let program = command.get_program().to_owned();
        let first = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let mut process = Self { first, is_gone: false };
        let deadline = Instant::now() + PATIENCE;
        while !answers() {
            if !process.is_alive() || Instant::now() > deadline {
                process.kill();
                return Err(fs::read_to_string(log).unwrap_or_default());
            }
            pause();
        }
        // Somebody else's server may have answered on the port that this one has not got.
        if process.is_alive() { Ok(process) } else { Err(fs::read_to_string(log).unwrap_or_default()) }
    }

    pub(crate) fn id(&self) -> u32 {
        self.first.id()
    }

    fn is_alive(&mut self) -> bool {
        matches!(self.first.try_wait(), Ok(None))
    }

    /// SIGKILL to all of the group.
    pub(crate) fn kill(&mut self) {
        if !self.is_gone {
            self.signal("KILL");
            let _ = self.first.wait();
            self.is_gone = true;
        }
    }

    /// A signal to all of the group: by the shell, as the `kill` of its own is always there.
    pub(crate) fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} -{}", self.first.id());
        let _ = Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status();
    }
}

/// Whoever drops it has ended with it.
impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Between two looks at a condition that is waited for.
pub(crate) fn pause() {
    thread::sleep(Duration::from_millis(10));
}

/// A port below the range that connections take theirs from: none of them gets it while the server is down.
pub(crate) fn random_port() -> u16 {
    20_000 + (RandomState::new().hash_one(0) % 12_000) as u16
}
