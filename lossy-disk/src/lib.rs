//! A file system that forgets what was not synced when its power is cut. For tests only, on Linux: what fails panics.
//!
//! It is mounted by root, and served by this process. Whoever is to lose power works in a process of its own, and is killed first: what
//! it had not synced by then, it loses.
//!
//! ```no_run
//! use std::fs;
//!
//! let mut disk = lossy_disk::LossyDisk::mount();
//! let note = disk.path().join("note");
//! fs::write(&note, "written, and not synced").unwrap();
//! disk.lose_power();
//! assert!(!note.exists());
//! ```
//!
//! # What it assumes
//!
//! - `fsync` and `fdatasync` make all that was written to that one file durable, by whichever process, and nothing else does.
//! - A file's name, and that it has another or none, is durable once its folder was synced. A file that was synced, and whose folder was
//!   not, is gone: no file system is as hard as that, and none has to be kinder.
//! - A rename within a folder is there wholly or not at all.
//! - Owners and permissions are durable at once.
//! - Nothing is really synced: all of it is in memory.

#![cfg(target_os = "linux")]

mod serve;
mod tree;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuser::{BackgroundSession, Config, MountOption, SessionACL};
use tempfile::TempDir;

use self::serve::Serving;
use self::tree::Tree;

/// A disk that is mounted on a temporary folder, until it loses its power or the value ends.
#[derive(Debug)]
pub struct LossyDisk {
    folder: TempDir,
    tree: Arc<Mutex<Tree>>,
    /// None once the power is cut.
    session: Option<BackgroundSession>,
}

impl LossyDisk {
    /// Mounts an empty one.
    ///
    /// # Panics
    ///
    /// Where that does not work, which it does for root where there is `/dev/fuse`.
    #[must_use]
    pub fn mount() -> Self {
        let folder = TempDir::with_prefix("lossy-disk-").expect("a temporary folder");
        // Other users go through it, when it is mounted and afterwards.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("a folder just created");
        let tree = Arc::new(Mutex::new(Tree::new()));
        let mut config = Config::default();
        let name = MountOption::FSName("lossy-disk".into());
        config.mount_options = vec![name, MountOption::DefaultPermissions];
        config.acl = SessionACL::All;
        let session = fuser::spawn_mount2(Serving::new(Arc::clone(&tree)), folder.path(), &config);
        let session = session.unwrap_or_else(|error| {
            let path = folder.path().display();
            panic!("no file system can be mounted on {path}, which takes root and /dev/fuse: {error}")
        });
        Self { folder, tree, session: Some(session) }
    }

    /// Where it is mounted; and where the survivors are, once its power was cut.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Makes all that there is durable, as it is in time on a machine that goes on.
    pub fn sync(&self) {
        self.tree().sync_all();
    }

    /// Cuts the power: in its place there is an ordinary folder now, with what was synced. Whoever worked on it has been killed.
    ///
    /// # Panics
    ///
    /// When it was cut already, or when the survivors cannot be written.
    pub fn lose_power(&mut self) {
        let session = self.session.take().expect("a disk that has power");
        self.unmount(session);
        self.tree().write_survivors(self.folder.path()).expect("a temporary folder takes the survivors");
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unmount(&self, session: BackgroundSession) {
        if session.umount_and_join().is_err() {
            // Somebody works there still: a test has failed, and its processes end later.
            let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).status();
        }
    }
}

impl Drop for LossyDisk {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.unmount(session);
        }
    }
}
