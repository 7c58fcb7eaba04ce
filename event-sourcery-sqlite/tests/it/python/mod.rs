//! Two languages, one file: Event Sourcery for Python, the package itself, writes and reads the same SQLite files.

mod shared_file;

mod leftovers;
mod long_deletions;
mod long_names;
mod nan;
mod rebuilding;
mod tables;
mod untyped;
mod wall_clock;

use self::shared_file::SharedFile;

reference::both_languages!(SharedFile);
