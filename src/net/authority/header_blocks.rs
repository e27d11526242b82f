//! The fields of header blocks, and the table that they share (RFC 7541).

use super::{
    split::{CannotFollow, split},
    value::{Code, Rewrite},
};

pub(super) const NAME: &[u8] = b":authority";
const NAME_IN_HUFFMAN: &[u8] = &[0xb8, 0x3b, 0x53, 0x39, 0xec, 0x32, 0x7d, 0x7f];

/// The indices of the static table; those of the dynamic one follow.
pub(super) const STATIC_ENTRIES: usize = 61;
const STATIC_AUTHORITY: usize = 1;

/// The header blocks of a connection, which share a dynamic table.
#[derive(Debug, Default)]
pub(super) struct HeaderBlocks {
    at: FieldPart,
    field: Field,
    /// A bit for each of the last 128 entries that were added, the newest in the lowest: set if its name
    /// is `:authority`. Evicted entries are the oldest, and nobody refers to them.
    authorities: u128,
}

/// The part of a field to which the next byte belongs.
#[derive(Debug, Default)]
enum FieldPart {
    #[default]
    Start,
    /// An integer after its first byte.
    Integer { of: Number, value: usize, shift: u32 },
    /// The form and length of a string.
    Length(Text),
    /// Bytes of the name, which is `:authority` if exactly these follow.
    Name { left: usize, expected: Option<&'static [u8]> },
    /// Bytes of the value.
    Value { left: usize, rewrite: Rewrite },
}

/// A literal field under way.
#[derive(Debug, Default)]
struct Field {
    is_authority: bool,
    /// True where it becomes an entry of the dynamic table.
    is_added: bool,
}

/// The meaning of an integer.
#[derive(Debug, Clone, Copy)]
enum Number {
    /// A whole field, or the size of the table.
    Nothing,
    NameIndex,
    LengthOf(Text, Form),
}

#[derive(Debug, Clone, Copy)]
enum Text {
    Name,
    Value,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Plain,
    Huffman,
}

impl HeaderBlocks {
    /// Rewrites the next bytes of a block.
    pub(super) fn rewrite(&mut self, mut bytes: &mut [u8]) -> Result<(), CannotFollow> {
        while !bytes.is_empty() {
            bytes = self.step(bytes)?;
        }
        Ok(())
    }

    /// Ends a block.
    pub(super) fn end(&self) -> Result<(), CannotFollow> {
        matches!(self.at, FieldPart::Start).then_some(()).ok_or(CannotFollow)
    }

    /// Walks through one part of a field, or what has come of it, and returns the bytes after it.
    fn step<'a>(&mut self, bytes: &'a mut [u8]) -> Result<&'a mut [u8], CannotFollow> {
        match &mut self.at {
            FieldPart::Start => {
                let (byte, rest) = bytes.split_first_mut().ok_or(CannotFollow)?;
                self.begin(*byte)?;
                Ok(rest)
            }
            FieldPart::Integer { of, value, shift } => {
                let (byte, rest) = bytes.split_first_mut().ok_or(CannotFollow)?;
                *value += usize::from(*byte & 0x7f) << *shift;
                *shift += 7;
                if *byte & 0x80 == 0 {
                    let (of, value) = (*of, *value);
                    self.take(of, value)?;
                } else if *shift == 28 {
                    // h2 takes integers of at most five bytes.
                    return Err(CannotFollow);
                }
                Ok(rest)
            }
            FieldPart::Length(text) => {
                let (byte, rest) = bytes.split_first_mut().ok_or(CannotFollow)?;
                let form = if *byte & 0x80 == 0 { Form::Plain } else { Form::Huffman };
                let of = Number::LengthOf(*text, form);
                self.integer(of, *byte, 0x7f)?;
                Ok(rest)
            }
            FieldPart::Name { left, expected } => {
                let (name, rest) = split(bytes, *left);
                *left -= name.len();
                *expected = expected.and_then(|expected| expected.strip_prefix(&*name));
                if *left == 0 {
                    self.field.is_authority = *expected == Some(&[]);
                    self.at = FieldPart::Length(Text::Value);
                }
                Ok(rest)
            }
            FieldPart::Value { left, rewrite } => {
                let (value, rest) = split(bytes, *left);
                *left -= value.len();
                rewrite.apply(value);
                if *left == 0 {
                    self.end_field();
                }
                Ok(rest)
            }
        }
    }

    /// Reads the first byte of a field or of a change of the table's size.
    fn begin(&mut self, byte: u8) -> Result<(), CannotFollow> {
        self.field = Field { is_authority: false, is_added: byte & 0xc0 == 0x40 };
        match byte {
            0x80.. => self.integer(Number::Nothing, byte, 0x7f),
            0x40.. => self.integer(Number::NameIndex, byte, 0x3f),
            0x20.. => self.integer(Number::Nothing, byte, 0x1f),
            _ => self.integer(Number::NameIndex, byte, 0x0f),
        }
    }

    /// Reads the first byte of an integer, which has room for less than `largest`.
    fn integer(&mut self, of: Number, byte: u8, largest: u8) -> Result<(), CannotFollow> {
        let value = usize::from(byte & largest);
        if value < usize::from(largest) {
            return self.take(of, value);
        }
        self.at = FieldPart::Integer { of, value, shift: 0 };
        Ok(())
    }

    /// Goes on after an integer.
    fn take(&mut self, of: Number, value: usize) -> Result<(), CannotFollow> {
        self.at = match of {
            Number::Nothing => FieldPart::Start,
            Number::NameIndex if value == 0 => FieldPart::Length(Text::Name),
            Number::NameIndex => {
                self.field.is_authority = self.is_authority(value)?;
                FieldPart::Length(Text::Value)
            }
            // h2 may leave out a field without a name, and go on.
            Number::LengthOf(Text::Name, _) if value == 0 => return Err(CannotFollow),
            Number::LengthOf(Text::Name, form) => {
                let expected = match form {
                    Form::Plain => NAME,
                    Form::Huffman => NAME_IN_HUFFMAN,
                };
                FieldPart::Name { left: value, expected: Some(expected) }
            }
            Number::LengthOf(Text::Value, _) if value == 0 => {
                self.end_field();
                return Ok(());
            }
            Number::LengthOf(Text::Value, form) => {
                let rewrite = match form {
                    _ if !self.field.is_authority => Rewrite::Nothing,
                    Form::Plain => Rewrite::Plain,
                    Form::Huffman => Rewrite::Huffman(Code::default()),
                };
                FieldPart::Value { left: value, rewrite }
            }
        };
        Ok(())
    }

    fn is_authority(&self, index: usize) -> Result<bool, CannotFollow> {
        let Some(entry) = index.checked_sub(STATIC_ENTRIES + 1) else {
            return Ok(index == STATIC_AUTHORITY);
        };
        let entry = u32::try_from(entry).map_err(|_| CannotFollow)?;
        Ok(self.authorities.checked_shr(entry).ok_or(CannotFollow)? & 1 == 1)
    }

    fn end_field(&mut self) {
        if self.field.is_added {
            self.authorities = self.authorities << 1 | u128::from(self.field.is_authority);
        }
        self.at = FieldPart::Start;
    }
}
