//! Files and folders: as everybody sees them, and as they are on the disk.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::io;
use std::mem::take;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::time::SystemTime;

use fuser::{Errno, FileAttr, FileType, INodeNo};

/// The number of the folder that everything is in.
const ROOT: u64 = 1;

/// What is in a file.
#[derive(Debug, Default)]
struct Contents {
    now: Vec<u8>,
    on_disk: Vec<u8>,
    /// What has to be done to the one on the disk to make it the present one.
    pending: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write { offset: usize, data: Vec<u8> },
    Resize(usize),
}

impl Contents {
    fn write(&mut self, offset: usize, data: &[u8]) {
        put(&mut self.now, offset, data);
        self.pending.push(Change::Write { offset, data: data.to_vec() });
    }

    fn resize(&mut self, size: usize) {
        self.now.resize(size, 0);
        self.pending.push(Change::Resize(size));
    }

    fn sync(&mut self) {
        for change in take(&mut self.pending) {
            match change {
                Change::Write { offset, data } => put(&mut self.on_disk, offset, &data),
                Change::Resize(size) => self.on_disk.resize(size, 0),
            }
        }
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(data);
}

/// What is in a folder: names, and the numbers of what they name.
#[derive(Debug, Default)]
struct Entries {
    now: BTreeMap<OsString, u64>,
    on_disk: BTreeMap<OsString, u64>,
}

#[derive(Debug)]
enum Body {
    File(Contents),
    Folder(Entries),
    /// A socket, which no power cut leaves.
    Other,
}

#[derive(Debug)]
struct Node {
    kind: FileType,
    body: Body,
    permissions: u16,
    user: u32,
    group: u32,
    links: u32,
    changed: SystemTime,
}

impl Node {
    fn new(kind: FileType, permissions: u32, (user, group): (u32, u32)) -> Self {
        let body = match kind {
            FileType::RegularFile => Body::File(Contents::default()),
            FileType::Directory => Body::Folder(Entries::default()),
            _ => Body::Other,
        };
        let permissions = (permissions & 0o7777) as u16;
        Self { kind, body, permissions, user, group, links: 1, changed: SystemTime::now() }
    }

    fn attributes(&self, number: u64) -> FileAttr {
        let size = match &self.body {
            Body::File(contents) => contents.now.len() as u64,
            Body::Folder(_) | Body::Other => 0,
        };
        FileAttr {
            ino: INodeNo(number),
            size,
            blocks: size.div_ceil(512),
            atime: self.changed,
            mtime: self.changed,
            ctime: self.changed,
            crtime: self.changed,
            kind: self.kind,
            perm: self.permissions,
            nlink: self.links,
            uid: self.user,
            gid: self.group,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

/// What is to be changed of a node's attributes.
#[derive(Debug, Default)]
pub(crate) struct NewAttributes {
    pub(crate) permissions: Option<u32>,
    pub(crate) user: Option<u32>,
    pub(crate) group: Option<u32>,
    pub(crate) size: Option<u64>,
}

/// All of it. What nobody names any more stays in memory: somebody may have it open.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: HashMap<u64, Node>,
    next: u64,
}

impl Tree {
    pub(crate) fn new() -> Self {
        let root = Node::new(FileType::Directory, 0o755, (0, 0));
        Self { nodes: HashMap::from([(ROOT, root)]), next: ROOT + 1 }
    }

    pub(crate) fn attributes(&self, number: u64) -> Result<FileAttr, Errno> {
        Ok(self.node(number)?.attributes(number))
    }

    pub(crate) fn lookup(&self, folder: u64, name: &OsStr) -> Result<FileAttr, Errno> {
        self.attributes(self.named(folder, name)?)
    }

    /// What is in a folder.
    pub(crate) fn list(&self, folder: u64) -> Result<Vec<(u64, FileType, OsString)>, Errno> {
        let itself = |number, name: &str| (number, FileType::Directory, OsString::from(name));
        let mut list = vec![itself(folder, "."), itself(ROOT, "..")];
        for (name, number) in &self.entries(folder)?.now {
            list.push((*number, self.node(*number)?.kind, name.clone()));
        }
        Ok(list)
    }

    pub(crate) fn change(&mut self, number: u64, new: &NewAttributes) -> Result<FileAttr, Errno> {
        let node = self.node_mut(number)?;
        if let Some(permissions) = new.permissions {
            node.permissions = (permissions & 0o7777) as u16;
        }
        node.user = new.user.unwrap_or(node.user);
        node.group = new.group.unwrap_or(node.group);
        if let (Some(size), Body::File(contents)) = (new.size, &mut node.body) {
            contents.resize(size as usize);
        }
        node.changed = SystemTime::now();
        Ok(node.attributes(number))
    }

    pub(crate) fn make(
        &mut self,
        (folder, name): (u64, &OsStr),
        kind: FileType,
        permissions: u32,
        owner: (u32, u32),
    ) -> Result<FileAttr, Errno> {
        let entries = self.entries_mut(folder)?;
        if entries.now.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        let number = self.next;
        self.next += 1;
        self.entries_mut(folder)?.now.insert(name.to_owned(), number);
        self.nodes.insert(number, Node::new(kind, permissions, owner));
        self.attributes(number)
    }

    pub(crate) fn link(&mut self, number: u64, (folder, name): (u64, &OsStr)) -> Result<FileAttr, Errno> {
        let entries = self.entries_mut(folder)?;
        if entries.now.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        entries.now.insert(name.to_owned(), number);
        self.node_mut(number)?.links += 1;
        self.attributes(number)
    }

    pub(crate) fn remove(&mut self, folder: u64, name: &OsStr) -> Result<(), Errno> {
        let number = self.named(folder, name)?;
        self.unlink(number)?;
        self.entries_mut(folder)?.now.remove(name);
        Ok(())
    }

    pub(crate) fn rename(&mut self, from: (u64, &OsStr), to: (u64, &OsStr)) -> Result<(), Errno> {
        let moved = self.named(from.0, from.1)?;
        match self.named(to.0, to.1) {
            Ok(replaced) if replaced == moved => return Ok(()),
            Ok(replaced) => self.unlink(replaced)?,
            Err(_) => {}
        }
        self.entries_mut(to.0)?.now.insert(to.1.to_owned(), moved);
        self.entries_mut(from.0)?.now.remove(from.1);
        Ok(())
    }

    pub(crate) fn read(&self, number: u64, offset: u64, size: u32) -> Result<&[u8], Errno> {
        let Body::File(contents) = &self.node(number)?.body else { return Err(Errno::EISDIR) };
        let length = contents.now.len();
        let start = length.min(offset as usize);
        Ok(&contents.now[start..length.min(start + size as usize)])
    }

    pub(crate) fn write(&mut self, number: u64, offset: u64, data: &[u8]) -> Result<(), Errno> {
        let node = self.node_mut(number)?;
        let Body::File(contents) = &mut node.body else { return Err(Errno::EISDIR) };
        contents.write(offset as usize, data);
        node.changed = SystemTime::now();
        Ok(())
    }

    /// Makes a file's contents durable, or a folder's names.
    pub(crate) fn sync(&mut self, number: u64) -> Result<(), Errno> {
        sync(self.node_mut(number)?);
        Ok(())
    }

    pub(crate) fn sync_all(&mut self) {
        self.nodes.values_mut().for_each(sync);
    }

    /// Writes what is on the disk into an empty folder.
    pub(crate) fn write_survivors(&self, folder: &Path) -> io::Result<()> {
        self.write_folder(ROOT, folder)
    }

    fn write_folder(&self, number: u64, folder: &Path) -> io::Result<()> {
        let Some(Node { body: Body::Folder(entries), .. }) = self.nodes.get(&number) else { return Ok(()) };
        for (name, number) in &entries.on_disk {
            let (path, Some(node)) = (folder.join(name), self.nodes.get(number)) else { continue };
            match &node.body {
                Body::File(contents) => fs::write(&path, &contents.on_disk)?,
                Body::Folder(_) => {
                    fs::create_dir(&path)?;
                    self.write_folder(*number, &path)?;
                }
                Body::Other => continue,
            }
            chown(&path, Some(node.user), Some(node.group))?;
            fs::set_permissions(&path, Permissions::from_mode(node.permissions.into()))?;
        }
        Ok(())
    }

    fn node(&self, number: u64) -> Result<&Node, Errno> {
        self.nodes.get(&number).ok_or(Errno::ENOENT)
    }

    fn node_mut(&mut self, number: u64) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(&number).ok_or(Errno::ENOENT)
    }

    fn entries(&self, folder: u64) -> Result<&Entries, Errno> {
        match &self.node(folder)?.body {
            Body::Folder(entries) => Ok(entries),
            Body::File(_) | Body::Other => Err(Errno::ENOTDIR),
        }
    }

    fn entries_mut(&mut self, folder: u64) -> Result<&mut Entries, Errno> {
        match &mut self.node_mut(folder)?.body {
            Body::Folder(entries) => Ok(entries),
            Body::File(_) | Body::Other => Err(Errno::ENOTDIR),
        }
    }

    fn named(&self, folder: u64, name: &OsStr) -> Result<u64, Errno> {
        self.entries(folder)?.now.get(name).copied().ok_or(Errno::ENOENT)
    }

    /// Takes a name from a node, which is no folder with something in it.
    fn unlink(&mut self, number: u64) -> Result<(), Errno> {
        let node = self.node_mut(number)?;
        if let Body::Folder(entries) = &node.body
            && !entries.now.is_empty()
        {
            return Err(Errno::ENOTEMPTY);
        }
        node.links = node.links.saturating_sub(1);
        Ok(())
    }
}

fn sync(node: &mut Node) {
    match &mut node.body {
        Body::File(contents) => contents.sync(),
        Body::Folder(entries) => entries.on_disk = entries.now.clone(),
        Body::Other => {}
    }
}
