//! Files that nobody but the relay's user may read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Makes the data directory, for the relay's user alone, if it is not there.
///
/// # Errors
/// Whatever the file system says.
pub fn make_private_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes an empty file, for the relay's user alone, if it is not there.
pub(crate) fn touch_private(path: &Path) -> io::Result<()> {
    open(path, OpenOptions::new().append(true).create(true)).map(drop)
}

/// Writes a file that was not there, for the relay's user alone, so that it is whole after a crash or not there at all.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let partial = path.with_extension("partial");
    let mut file = open(&partial, OpenOptions::new().write(true).create(true).truncate(true))?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(partial, path)
}

fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.mode(0o600).open(path)
}
