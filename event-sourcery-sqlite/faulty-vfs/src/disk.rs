//! What a disk would hold after a power loss: per file the durable bytes, and the changes not yet synced.

use std::{
    mem,
    path::{Path, PathBuf},
};

use crate::{
    Survivors,
    torn::{Dice, torn},
};

/// A file's place in [`Disk`]; valid as long as the file is open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileId(usize);

#[derive(Debug, Default)]
pub(crate) struct Disk {
    files: Vec<File>,
}

/// Everything known of one path.
#[derive(Debug)]
struct File {
    path: PathBuf,
    /// Whether the path names a file as long as the power is on.
    exists: bool,
    /// The bytes as of the last sync; `None` before the first one.
    durable: Option<Vec<u8>>,
    /// What has happened to the file since, oldest first.
    unsynced: Vec<Change>,
    /// The durable bytes of a deleted file of this name. It comes back unless the directory is synced.
    deleted: Option<Vec<u8>>,
}

#[derive(Debug, Clone)]
pub(crate) enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { len: usize },
}

impl Change {
    pub(crate) fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                image.resize(image.len().max(end), 0);
                image[*offset..end].copy_from_slice(bytes);
            }
            Self::Truncate { len } => image.truncate(*len),
        }
    }
}

impl Disk {
    /// The file at `path`. One never seen before is durable as found, unless it is empty: then it is new.
    pub(crate) fn open<E>(
        &mut self,
        path: &Path,
        content: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<FileId, E> {
        if let Some(known) = self.files.iter().position(|file| file.path == path) {
            self.files[known].exists = true;
            return Ok(FileId(known));
        }
        let durable = Some(content()?).filter(|found| !found.is_empty());
        self.files.push(File {
            path: path.to_owned(),
            exists: true,
            durable,
            unsynced: Vec::new(),
            deleted: None,
        });
        Ok(FileId(self.files.len() - 1))
    }

    pub(crate) fn change(&mut self, file: FileId, change: Change) {
        self.files[file.0].unsynced.push(change);
    }

    pub(crate) fn sync(&mut self, file: FileId) {
        let file = &mut self.files[file.0];
        let is_new = file.durable.is_none();
        let image = file.durable.get_or_insert_default();
        file.unsynced.drain(..).for_each(|change| change.apply(image));
        if is_new {
            let path = file.path.clone();
            self.sync_directory_of(&path);
        }
    }

    /// A sync failed: the kernel takes what it was to flush for clean, and no later sync will flush it.
    pub(crate) fn fail_sync(&mut self, file: FileId) {
        self.files[file.0].unsynced.clear();
    }

    pub(crate) fn delete(&mut self, path: &Path, sync_directory: bool) {
        if let Some(file) = self.files.iter_mut().find(|file| file.path == path) {
            file.exists = false;
            file.unsynced.clear();
            file.deleted = file.durable.take().or(mem::take(&mut file.deleted));
        }
        if sync_directory {
            self.sync_directory_of(path);
        }
    }

    fn sync_directory_of(&mut self, path: &Path) {
        let siblings = self.files.iter_mut().filter(|file| file.path.parent() == path.parent());
        siblings.for_each(|file| file.deleted = None);
    }

    pub(crate) fn survivors(&self, survivors: Survivors) -> Vec<(PathBuf, Vec<u8>)> {
        let mut dice = match survivors {
            Survivors::OnlySynced => None,
            Survivors::Torn { seed } => Some(Dice::new(seed)),
        };
        let image = |file: &File| match &mut dice {
            None => file.synced_image(),
            Some(dice) => file.torn_image(dice),
        };
        let images: Vec<_> = self.files.iter().map(image).collect();
        let named = self.files.iter().zip(images);
        named.filter_map(|(file, image)| Some((file.path.clone(), image?))).collect()
    }
}

impl File {
    fn synced_image(&self) -> Option<Vec<u8>> {
        self.durable.as_ref().or(self.deleted.as_ref()).cloned()
    }

    fn torn_image(&self, dice: &mut Dice) -> Option<Vec<u8>> {
        match &self.durable {
            Some(image) => Some(torn(image.clone(), &self.unsynced, dice)),
            None if dice.coin() => self.deleted.clone(),
            None => self.exists.then(|| torn(Vec::new(), &self.unsynced, dice)),
        }
    }
}
