//! What stands in the files of the store.

use std::fs;
use std::io;
use std::path::Path;

/// How often these bytes stand in the file, in its log, and in whatever else begins with its name.
pub(crate) fn places(file: &Path, wanted: &[u8]) -> io::Result<usize> {
    let Some(name) = file.file_name() else { return Ok(0) };
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut found = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(name.as_encoded_bytes()) {
            continue;
        }
        // SQLite removes a log as it goes.
        let bytes = fs::read(entry.path()).unwrap_or_default();
        found += bytes.windows(wanted.len()).filter(|window| *window == wanted).count();
    }
    Ok(found)
}
