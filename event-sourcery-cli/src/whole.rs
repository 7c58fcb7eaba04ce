//! A file that is there under its name once it is whole and on disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use event_sourcery::uuid::Uuid;
use tokio::fs::File;

/// A file on its way. It is removed unless it is [kept](Self::keep).
pub(crate) struct Whole<'p> {
    path: &'p Path,
    /// Beside it, under a name of its own: somebody else may be writing the same file.
    part: PathBuf,
}

impl<'p> Whole<'p> {
    /// Begins it, and overwrites nothing.
    pub(crate) fn begin(path: &'p Path) -> io::Result<(Self, File)> {
        if path.exists() && !path.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a folder or a device is there"));
        }
        let own = Uuid::new_v4().as_fields().0;
        let part = path.with_added_extension(format!("{own:08x}.part"));
        let file = fs::File::create_new(&part)?;
        Ok((Self { path, part }, File::from_std(file)))
    }

    /// It gets the name that it is written for. From there on nobody interrupts it, so that what is told of it is true.
    pub(crate) async fn keep(self, file: File) -> io::Result<()> {
        file.sync_all().await?;
        fs::rename(&self.part, self.path)?;
        #[cfg(unix)]
        {
            let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
            fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Ok(())
    }
}

impl Drop for Whole<'_> {
    fn drop(&mut self) {
        // Where it was kept, there is none.
        let _ = fs::remove_file(&self.part);
    }
}
