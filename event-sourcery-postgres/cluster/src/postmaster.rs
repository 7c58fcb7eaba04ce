//! The process of a running server, and the processes it started.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long a server may take to start or to vanish.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server's first process. The ones it starts for connections and upkeep all work in its data folder.
#[derive(Debug)]
pub(crate) struct Postmaster {
    process: Child,
    data: PathBuf,
}

impl Postmaster {
    /// Starts the server and waits until it takes connections. Where it does not, the end of its log says why.
    pub(crate) fn launch(mut command: Command, data: &Path, log: &Path) -> Result<Self, String> {
        let output = fs::File::create(log).map_err(|error| error.to_string())?;
        let errors = output.try_clone().map_err(|error| error.to_string())?;
        let process = command
            .stdout(output)
            .stderr(errors)
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut postmaster = Self { process, data: data.to_owned() };
        let deadline = Instant::now() + PATIENCE;
        while !postmaster.is_ready() {
            if !postmaster.is_alive() || Instant::now() > deadline {
                postmaster.kill();
                return Err(fs::read_to_string(log).unwrap_or_default());
            }
            pause();
        }
        Ok(postmaster)
    }

    /// Whether the server says so itself. The number in the first line tells its word from that of one killed before.
    fn is_ready(&self) -> bool {
        let said = fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
        let mut lines = said.lines().map(str::trim);
        lines.next() == Some(&self.process.id().to_string()) && lines.nth(6) == Some("ready")
    }

    fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Waits for a server that has been told to stop.
    pub(crate) fn wait(mut self) {
        self.process.wait().expect("a child of ours");
    }

    /// SIGKILL to the server and to all it started. None is left when this returns.
    ///
    /// All of them stop before the first one dies, as in a power cut. Where the first process dies alone, a commit that waits for a
    /// standby gives up to wait, and others see it for as long as they live: readers were handed what no standby has.
    pub(crate) fn kill(&mut self) {
        if self.is_alive() {
            self.signal("STOP");
        }
        self.process.kill().expect("a child of ours");
        self.process.wait().expect("a child of ours");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = self.processes_in_data();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "still there after SIGKILL: processes {left:?}");
            send("KILL", &left);
            pause();
        }
    }

    /// A signal to the server and to all it started.
    pub(crate) fn signal(&self, signal: &str) {
        send(signal, &[self.process.id().to_string()]);
        send(signal, &self.processes_in_data());
    }

    /// The processes whose working directory is the data folder. Without `/proc` they cannot be told; they end by
    /// themselves when their postmaster is gone, and a new start waits for that.
    fn processes_in_data(&self) -> Vec<String> {
        let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
        processes
            .flatten()
            .filter(|process| fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == self.data))
            .filter_map(|process| process.file_name().into_string().ok())
            .collect()
    }
}

/// By the shell, as the `kill` of its own is always there.
fn send(signal: &str, processes: &[String]) {
    let kill = ["-c", "signal=$1; shift; kill -\"$signal\" \"$@\"", "sh", signal];
    let _ = Command::new("sh").args(kill).args(processes).stderr(Stdio::null()).status();
}

/// Between two looks at a condition that is waited for.
pub(crate) fn pause() {
    thread::sleep(Duration::from_millis(10));
}
