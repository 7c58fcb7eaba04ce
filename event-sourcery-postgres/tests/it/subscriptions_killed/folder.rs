//! Where the processes of a test find each other's files.

use std::path::PathBuf;

use crate::scene::Scene;

/// The folder, by the database's name.
pub(super) fn folder(database: &str) -> PathBuf {
    std::env::temp_dir().join(format!("event-sourcery-{database}"))
}

/// That folder, as long as the test lasts.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn of(scene: &Scene) -> Self {
        let folder = folder(scene.database.name());
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
