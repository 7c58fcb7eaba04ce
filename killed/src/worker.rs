//! Processes that run a subscription, to be killed, frozen, and stopped.

use std::io::{Write as _, stdin};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio, exit, id};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot::{Receiver, channel};

/// A process, as the test sees it. It ends with the value.
pub struct Worker(Child);

impl Worker {
    /// Starts a process.
    pub fn start(mut command: Command) -> Self {
        Self(command.stdin(Stdio::piped()).spawn().expect("the test binary starts again"))
    }

    /// Kills the process, which must not have ended before.
    pub fn kill(mut self) {
        assert_eq!(self.0.try_wait().unwrap(), None, "the worker ended by itself; its message is above");
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Tells the process to stop; its end has to be clean.
    pub fn stop(mut self) {
        self.0.stdin.take().unwrap().write_all(b"stop\n").expect("the worker listens");
        let deadline = Instant::now() + crate::PATIENCE;
        while self.0.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the worker does not stop");
            thread::sleep(Duration::from_millis(5));
        }
        assert!(self.0.wait().unwrap().success(), "its end is clean; if not, its message is above");
    }

    /// How the process ends, which nobody has told it to.
    pub fn ended_by_itself(mut self) -> ExitStatus {
        let _open = self.0.stdin.take();
        self.0.wait().unwrap()
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it stands still.
    pub fn is_frozen(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        status.rsplit_once(')').is_some_and(|(_, behind_name)| behind_name.trim_start().starts_with('T'))
    }

    /// Lets it stand still. It may hold a lock that others wait for.
    pub fn freeze(&self) {
        signal("-STOP", self.id());
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        signal("-CONT", self.id());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Freezes this process, until it is thawed, the first time that this is called for a folder. Tells whether it did. Whoever calls it in
/// this process meanwhile waits.
pub fn freeze_once(folder: &Path) -> bool {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let is_first = std::fs::create_dir(folder.join("frozen")).is_ok();
    if is_first {
        signal("-STOP", id());
    }
    is_first
}

fn signal(name: &str, process: u32) {
    let sent = Command::new("kill").args([name, &process.to_string()]).status();
    assert!(sent.expect("a program `kill`").success(), "{name} is sent to {process}");
}

/// In a worker: done when it is told to stop. It ends at once when nobody is there any more to tell it.
pub fn told_to_stop() -> Receiver<()> {
    let (tell, told) = channel();
    thread::spawn(move || match stdin().read_line(&mut String::new()) {
        Ok(1..) => drop(tell.send(())),
        _ => exit(1),
    });
    told
}
