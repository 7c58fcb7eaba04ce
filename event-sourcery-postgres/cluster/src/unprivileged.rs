//! The user that servers run as: PostgreSQL refuses to run as root.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, chown},
        process::CommandExt as _,
    },
    path::Path,
    process::Command,
};

/// A user other than root.
#[derive(Debug, Clone, Copy)]
pub(crate) struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// Who shall run the server in a folder that we have just created: `postgres`, or else `nobody`, when we are root.
    /// Anyone else runs it as themselves, which is `None`.
    pub(crate) fn to_serve(folder: &Path) -> Option<Self> {
        let owner = fs::metadata(folder).expect("a folder just created").uid();
        (owner == 0).then(|| {
            let passwd = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
            Self::named("postgres", &passwd)
                .or_else(|| Self::named("nobody", &passwd))
                .expect("a user postgres or nobody: PostgreSQL does not run as root")
        })
    }

    fn named(name: &str, passwd: &str) -> Option<Self> {
        let mut fields = passwd
            .lines()
            .map(|line| line.split(':'))
            .find_map(|mut it| (it.next() == Some(name)).then_some(it))?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Self { uid, gid })
    }

    pub(crate) fn own(self, folder: &Path) {
        chown(folder, Some(self.uid), Some(self.gid)).expect("root gives a folder away");
    }

    pub(crate) fn run(self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }
}
