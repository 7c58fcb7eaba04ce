//! What the figures were measured on, and how much memory this process holds.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::spread::Spread;

#[derive(Debug, Serialize, Deserialize)]
pub struct Machine {
    pub name: String,
    pub processor: String,
    pub cores: usize,
    pub memory_gb: f64,
    pub kernel: String,
    pub filesystem: String,
    /// One block appended to a file and synced, at the median and the quartiles, in microseconds.
    pub fdatasync: f64,
    pub fdatasync_quartiles: [f64; 2],
    pub sqlite: String,
    /// The server's version and settings that matter, if a server was measured.
    pub postgres: Option<String>,
    pub rustc: String,
    pub load_average: String,
    pub measured_at: String,
}

impl Machine {
    /// Looks at this machine; the disk is the one that holds the folder, and the version of SQLite is the caller's.
    pub fn look(folder: &Path, sqlite: &str) -> Result<Self> {
        let syncs = fdatasync(folder)?;
        Ok(Self {
            name: "machine".to_owned(),
            processor: field("/proc/cpuinfo", "model name")?,
            cores: std::thread::available_parallelism()?.get(),
            memory_gb: kilobytes("/proc/meminfo", "MemTotal")? / 1e6,
            kernel: first_line(fs::read_to_string("/proc/sys/kernel/osrelease")?),
            filesystem: filesystem(folder)?,
            fdatasync: syncs.median,
            fdatasync_quartiles: syncs.quartiles,
            sqlite: sqlite.to_owned(),
            postgres: None,
            rustc: first_line(String::from_utf8(Command::new("rustc").arg("-V").output()?.stdout)?),
            load_average: first_line(fs::read_to_string("/proc/loadavg")?),
            measured_at: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
        })
    }
}

/// The bytes of memory that this process holds.
pub fn resident() -> Result<f64> {
    Ok(kilobytes("/proc/self/status", "VmRSS")? * 1e3)
}

/// The bytes of memory that another process holds.
pub fn resident_of(process: u32) -> Result<f64> {
    Ok(kilobytes(&format!("/proc/{process}/status"), "VmRSS")? * 1e3)
}

/// For how long processors have been at work for this process, threads that have ended included.
pub fn processor_time() -> Result<Duration> {
    /// What Linux tells times in, whatever its own clock.
    const TICKS_A_SECOND: u64 = 100;
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name before it may have blanks in it.
    let (_, fields) = stat.rsplit_once(')').ok_or("no name in /proc/self/stat")?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || {
        Ok::<u64, Box<dyn std::error::Error + Send + Sync>>(fields.next().ok_or("too few fields")?.parse()?)
    };
    let (own, of_kernel) = (ticks()?, ticks()?);
    Ok(Duration::from_millis((own + of_kernel) * 1_000 / TICKS_A_SECOND))
}

/// How often the threads of this process that are there have slept, and were woken.
pub fn wake_ups() -> Result<f64> {
    let mut woken = 0.0;
    for thread in fs::read_dir("/proc/self/task")? {
        let status = thread?.path().join("status");
        // One that has just ended is not counted.
        if let Ok(count) = field(&status.to_string_lossy(), "voluntary_ctxt_switches") {
            woken += count.parse::<f64>()?;
        }
    }
    Ok(woken)
}

/// How many bytes this process has written, to files for the most part.
pub fn written() -> Result<f64> {
    Ok(field("/proc/self/io", "wchar")?.parse()?)
}

/// The most bytes of memory that this process has held.
pub fn most_resident() -> Result<f64> {
    Ok(kilobytes("/proc/self/status", "VmHWM")? * 1e3)
}

fn fdatasync(folder: &Path) -> Result<Spread> {
    let path = folder.join("fdatasync");
    let mut file = fs::File::create(&path)?;
    let mut times = Vec::new();
    for _ in 0..300 {
        file.write_all(&[1; 4096])?;
        let began = Instant::now();
        file.sync_data()?;
        times.push(began.elapsed().as_secs_f64() * 1e6);
    }
    fs::remove_file(path)?;
    Ok(Spread::of(times.into_iter()))
}

/// The type of the file system that holds the folder. One in memory is refused: nothing on it is durable.
pub fn filesystem(folder: &Path) -> Result<String> {
    let output = Command::new("findmnt").args(["-no", "FSTYPE", "-T"]).arg(folder).output()?;
    let kind = first_line(String::from_utf8(output.stdout)?);
    if ["tmpfs", "ramfs"].contains(&kind.as_str()) {
        return Err(format!("{} is on {kind}, and a disk is to be measured", folder.display()).into());
    }
    Ok(kind)
}

fn field(file: &str, name: &str) -> Result<String> {
    let text = fs::read_to_string(file)?;
    let value = text.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(':'));
    Ok(value.ok_or_else(|| format!("{file} has no {name}"))?.1.trim().to_owned())
}

fn kilobytes(file: &str, name: &str) -> Result<f64> {
    Ok(field(file, name)?.trim_end_matches(" kB").parse::<f64>()? * 1.024)
}

fn first_line(text: String) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
