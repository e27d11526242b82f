//! Reading the single files that settings name: configuration, certificates, keys and tokens.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rustix::fs::OFlags;

/// Bytes that such a file may have. A bundle of every public certification authority has a quarter of it.
const MAX_BYTES: u64 = 1024 * 1024;

/// Reads a file.
///
/// # Errors
/// It cannot be read, is too large, or is no regular file nor a link to one: a pipe could keep the process
/// waiting for its writer.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("it has more than {MAX_BYTES} bytes")));
    }
    Ok(bytes)
}

/// Opens a file for reading. A pipe in its place is opened too, without waiting for a writer.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Reads a file of text.
///
/// # Errors
/// Those of [`read`], and that it is not UTF-8.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|_| io::Error::other("it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{fs, os::unix::fs::symlink, process::Command};

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn only_regular_files_of_a_bounded_size_are_read() {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "text").unwrap();
        symlink("file", path("link")).unwrap();
        assert_eq!(read_text(&path("link")).unwrap(), "text");
        assert!(Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        for odd in [path("pipe"), path("."), "/dev/zero".into()] {
            assert_eq!(read(&odd).unwrap_err().to_string(), "it is not a regular file");
        }
        fs::File::create(path("large")).unwrap().set_len(MAX_BYTES + 1).unwrap();
        assert!(read(&path("large")).unwrap_err().to_string().contains("more than"));
        fs::write(path("file"), [0xff]).unwrap();
        assert_eq!(read_text(&path("file")).unwrap_err().to_string(), "it is not UTF-8");
    }
}
