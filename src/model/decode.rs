//! The text of files.

use std::str;

/// The bytes of a file are not text as it is read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They are in the encoding that editors and shells on Windows call "Unicode".
    #[error("not UTF-8 text: it looks like UTF-16")]
    Utf16,
    /// They are something else.
    #[error("not UTF-8 text: byte {0} is not valid")]
    NotUtf8(
        /// The number of the first byte that is not UTF-8, from 0.
        usize,
    ),
}

/// Decodes a text file. A byte order mark at its start is no part of the text.
///
/// # Errors
/// It is not UTF-8.
pub fn decode(bytes: &[u8]) -> Result<&str, DecodeError> {
    if is_utf16(bytes) {
        return Err(DecodeError::Utf16);
    }
    let text = str::from_utf8(bytes).map_err(|error| DecodeError::NotUtf8(error.valid_up_to()))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Decodes a text file as [`decode`] does, and keeps its bytes where they are.
///
/// # Errors
/// It is not UTF-8.
pub fn decode_owned(mut bytes: Vec<u8>) -> Result<String, DecodeError> {
    let mark = bytes.len() - decode(&bytes)?.len();
    bytes.drain(..mark);
    String::from_utf8(bytes).map_err(|error| DecodeError::NotUtf8(error.utf8_error().valid_up_to()))
}

/// Returns whether a text begins with the byte order mark of UTF-16, or as a text of letters does in it. The
/// latter is UTF-8 as well, and would be read as text with a NUL after each letter.
fn is_utf16(bytes: &[u8]) -> bool {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        [first, second, ..] => (*first == 0) != (*second == 0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        assert_eq!(decode(b"\xEF\xBB\xBFa").unwrap(), "a");
        assert_eq!(decode("a\u{feff}".as_bytes()).unwrap(), "a\u{feff}");
        assert_eq!(decode_owned(b"\xEF\xBB\xBFa\xEF\xBB\xBF".to_vec()).unwrap(), "a\u{feff}");
        assert_eq!(decode_owned(b"ab".to_vec()).unwrap(), "ab");
    }

    #[test]
    fn utf16_is_told_by_its_name() {
        let little: Vec<u8> = "entity".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "entity".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [&little, &big, &[b"\xff\xfe", &little[..]].concat(), &b"\xfe\xff".to_vec()] {
            assert_eq!(decode(bytes), Err(DecodeError::Utf16), "{bytes:?}");
        }
        assert_eq!(decode(b"a\xff\xfe"), Err(DecodeError::NotUtf8(1)));
        for text in ["", "a", "\0", "\0\0", "aa\0"] {
            assert_eq!(decode(text.as_bytes()), Ok(text));
        }
    }
}
