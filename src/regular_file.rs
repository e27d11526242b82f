//! Reading single files: those that settings name (configuration, certificates, keys and tokens), and those
//! that the process keeps.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rustix::fs::OFlags;

use crate::model::{DecodeError, decode, decode_owned};

/// Bytes that such a file may have. A bundle of every public certification authority has a quarter of it.
const MAX_BYTES: u64 = 1024 * 1024;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Reads a file that settings name.
///
/// # Errors
/// Those of [`read_within`], for a bound of 1 MiB.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    read_within(path, MAX_BYTES)
}

/// Reads a file of at most that many bytes.
///
/// # Errors
/// It cannot be read, is too large, or is no regular file nor a link to one: a pipe could keep the process
/// waiting for its writer.
pub(crate) fn read_within(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("it has more than {most} bytes")));
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
    decode_owned(read(path)?).map_err(not_text)
}

/// Reads a file of certificates or keys in PEM.
///
/// # Errors
/// Those of [`read`], and that it is UTF-16.
pub(crate) fn read_pem(path: &Path) -> io::Result<Vec<u8>> {
    pem(read(path)?)
}

/// Takes the byte order mark from the bytes of a PEM file: with it the parser would not see the first line,
/// and so not the first certificate of a chain. Between certificates there may be text in any encoding.
///
/// # Errors
/// They are UTF-16.
pub(crate) fn pem(mut bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    if let Err(error @ DecodeError::Utf16) = decode(&bytes) {
        return Err(not_text(error));
    }
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(bytes)
}

fn not_text(error: DecodeError) -> io::Error {
    io::Error::other(format!("it is {error}"))
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
        let error = read_text(&path("file")).unwrap_err().to_string();
        assert_eq!(error, "it is not UTF-8 text: byte 0 is not valid");
    }

    #[test]
    fn files_as_windows_writes_them_are_read_as_meant_or_refused_by_name() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "\u{feff}a\r\n").unwrap();
        assert_eq!(read_text(&path).unwrap(), "a\r\n");
        assert_eq!(read_pem(&path).unwrap(), b"a\r\n");
        fs::write(&path, b"\xef\xbb\xbfM\xfcller").unwrap();
        assert_eq!(read_pem(&path).unwrap(), b"M\xfcller");
        fs::write(&path, b"\xff\xfea\0").unwrap();
        for refused in [read_text(&path).unwrap_err(), read_pem(&path).unwrap_err()] {
            assert_eq!(refused.to_string(), "it is not UTF-8 text: it looks like UTF-16");
        }
    }
}
