//! Which process a member is of.
//!
//! A member's id says so: a tag of the system that it runs on, and the process's id and start there. Whoever runs on the same
//! system finds out whether that process is still there, and need not wait for the leases of one that is not: most often its
//! own predecessor, which was killed. Elsewhere, and where there is no `/proc`, nothing is known, and a lease lasts as long as it
//! lasts. Tokens make every mistake about it harmless.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::ErrorKind;

use uuid::{Builder, Uuid};

/// Where the parts of an id stand, of 128 bits; the rest is random.
const SYSTEM: u32 = 88;
const PROCESS: u32 = 16;
const PROCESS_BITS: u128 = (1 << 22) - 1;
const START_BITS: u128 = (1 << 16) - 1;

/// A process on a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    /// One boot of one machine, and what of it a process sees.
    system: u128,
    id: u32,
    /// When it was started, in ticks of that system, as far as an id has place for it.
    start: u128,
}

impl Process {
    /// This one, where it can be told.
    pub(super) fn own() -> Option<Self> {
        let id = std::process::id();
        // One that sees the processes of another namespace knows itself by another number.
        let is_seen = fs::read_link("/proc/self").ok()?.to_str()?.parse() == Ok(id);
        let start = start_of(id).ok()??;
        (is_seen && u128::from(id) <= PROCESS_BITS).then_some(Self { system: system()?, id, start })
    }

    /// The id of a new member of this process.
    pub(super) fn new_member(self) -> Uuid {
        let taken = u128::MAX << SYSTEM | PROCESS_BITS << PROCESS | START_BITS;
        let told = self.system << SYSTEM | u128::from(self.id) << PROCESS | self.start;
        let id = Uuid::new_v4().as_u128() & !taken | told;
        Builder::from_custom_bytes(id.to_be_bytes()).into_uuid()
    }

    /// Whether a member was of a process of this system that is not there any more.
    pub(super) fn has_seen_the_end_of(self, member: Uuid) -> bool {
        let id = member.as_u128();
        let (process, start) = (id >> PROCESS & PROCESS_BITS, id & START_BITS);
        let (8, true, Ok(process)) =
            (member.get_version_num(), id >> SYSTEM == self.system, u32::try_from(process))
        else {
            return false;
        };
        // The number may have been given again.
        matches!(start_of(process), Ok(found) if found != Some(start))
    }
}

/// A tag of this boot of this machine, and of the namespaces that make processes, their numbers and times look different. A user
/// may be kept from seeing those of others.
fn system() -> Option<u128> {
    let mut tag = DefaultHasher::new();
    fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.hash(&mut tag);
    fs::read_link("/proc/self/ns/pid").ok()?.hash(&mut tag);
    fs::read_link("/proc/self/ns/time").ok().hash(&mut tag);
    owner()?.hash(&mut tag);
    Some(u128::from(tag.finish() >> (SYSTEM - 64)))
}

#[cfg(unix)]
fn owner() -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    Some(fs::metadata("/proc/self").ok()?.uid())
}

#[cfg(not(unix))]
fn owner() -> Option<u32> {
    None
}

/// When a process was started, as far as an id has place for it; `None` where there is none of that number, or it has ended and
/// nobody has taken note.
fn start_of(process: u32) -> std::io::Result<Option<u128>> {
    let stat = match fs::read_to_string(format!("/proc/{process}/stat")) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        stat => stat?,
    };
    // Its name, in brackets, may have blanks and brackets in it. Behind it come the fields from the third on: the state, and
    // among others the 20th and the 22nd.
    let behind = stat.rsplit_once(')').map_or(&*stat, |(_, behind)| behind);
    let fields: Vec<_> = behind.split_ascii_whitespace().collect();
    let [state, threads, start] = [0, 17, 19].map(|field| fields.get(field).copied().unwrap_or_default());
    let has_ended = state == "Z" && matches!(threads, "0" | "1");
    let start: u128 = start.parse().map_err(|_| ErrorKind::InvalidData)?;
    Ok((!has_ended).then_some(start & START_BITS))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_process_that_was_killed_is_gone_and_the_others_are_there() {
        let own = Process::own().unwrap();
        assert!(!own.has_seen_the_end_of(own.new_member()));
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let start = start_of(child.id()).unwrap().unwrap();
        let member = Process { id: child.id(), start, ..own }.new_member();
        assert!(!own.has_seen_the_end_of(member));
        child.kill().unwrap();
        // First as one that nobody has waited for.
        let killed = Instant::now();
        while !own.has_seen_the_end_of(member) {
            assert!(killed.elapsed() < Duration::from_secs(30), "its end is seen");
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(own.has_seen_the_end_of(member));
    }

    #[test]
    fn one_that_was_given_the_number_of_another_is_not_the_other() {
        let own = Process::own().unwrap();
        let before = Process { start: own.start ^ 1, ..own }.new_member();
        assert!(own.has_seen_the_end_of(before));
    }

    #[test]
    fn of_another_system_and_of_ids_that_do_not_tell_nothing_is_known() {
        let own = Process::own().unwrap();
        let gone = Process { start: own.start ^ 1, ..own };
        assert!(!own.has_seen_the_end_of(Process { system: own.system ^ 1, ..gone }.new_member()));
        assert!(!own.has_seen_the_end_of(Uuid::new_v4()));
        let random = gone.new_member().as_u128() & !(0xf << 76) | 4 << 76;
        assert!(!own.has_seen_the_end_of(Uuid::from_u128(random)));
    }

    #[test]
    fn members_of_a_process_differ() {
        let own = Process::own().unwrap();
        let members: std::collections::HashSet<_> = (0..10_000).map(|_| own.new_member()).collect();
        assert_eq!(members.len(), 10_000);
    }
}
