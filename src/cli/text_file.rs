//! Text files that flags name: tokens, questions, records. Unlike the files of settings they may be pipes, as
//! a shell makes them of `<(command)`.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use crate::model::{DecodeError, decode, decode_owned};

/// Bytes of a file that is read as a whole. The status of a thousand stores, each with all problems that are
/// kept of it, has fewer.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Reads a text file.
///
/// # Errors
/// It cannot be read, is too large, or is not UTF-8.
pub(super) fn read(path: &Path) -> io::Result<String> {
    text(File::open(path)?)
}

/// Reads a text file; `-` is the standard input.
///
/// # Errors
/// It cannot be read, is too large, or is not UTF-8.
pub(super) fn read_or_stdin(path: &Path) -> io::Result<String> {
    if path == Path::new("-") { text(io::stdin()) } else { read(path) }
}

/// Opens a text file of any size; `-` is the standard input. A byte order mark is left out.
///
/// # Errors
/// It cannot be read, or begins as UTF-16.
pub(super) fn open_or_stdin(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let mut text: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(BufReader::new(io::stdin()))
    } else {
        Box::new(BufReader::new(File::open(path)?))
    };
    let first = text.fill_buf()?;
    let begin = first.get(..2).unwrap_or_default();
    if let Err(error @ DecodeError::Utf16) = decode(begin) {
        return Err(not_text(error));
    }
    let mark = "\u{feff}".as_bytes();
    if first.starts_with(mark) {
        text.consume(mark.len());
    }
    Ok(text)
}

fn text(from: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(io::Error::other(format!("it has more than {MOST_BYTES} bytes")));
    }
    decode_owned(bytes).map_err(not_text)
}

fn not_text(error: DecodeError) -> io::Error {
    io::Error::other(format!("it is {error}"))
}
