//! The value of an authority, in plain or in Huffman form.

/// One more than the last code of as many bits as the index (RFC 7541, appendix B). The same number of
/// bits of a longer code are never less. Characters of an authority have codes of at most 15 bits.
const CODES_END: [u16; 16] =
    [0, 0, 0, 0, 0, 0x0a, 0x2e, 0x7c, 0xfe, 0x1fc, 0x3fd, 0x7fd, 0xffc, 0x1ffe, 0x3ffe, 0x7fff];

/// The way in which a value is rewritten.
#[derive(Debug)]
pub(super) enum Rewrite {
    Nothing,
    Plain,
    Huffman(Code),
}

impl Rewrite {
    /// Rewrites the next bytes of the value.
    pub(super) fn apply(&mut self, bytes: &mut [u8]) {
        match self {
            Self::Nothing => {}
            Self::Plain => bytes.iter_mut().for_each(|byte| {
                *byte = match *byte {
                    b'%' => b'.',
                    b' ' => b'-',
                    b'/' => b'3',
                    other => other,
                };
            }),
            Self::Huffman(code) => bytes.iter_mut().for_each(|byte| code.rewrite(byte)),
        }
    }
}

/// The bits that have been read of the Huffman code of one character.
#[derive(Debug, Default)]
pub(super) struct Code {
    bits: u16,
    count: usize,
}

impl Code {
    /// Rewrites the next eight bits.
    fn rewrite(&mut self, byte: &mut u8) {
        for bit in (0..8).rev().map(|place| 1 << place) {
            // The next bit of space and `%`, and of `/`.
            if matches!((self.count, self.bits), (4, 0b0101) | (5, 0b01100)) {
                *byte |= bit;
            }
            // A longer code is of no character that may be in an authority: h2 will refuse it.
            let Some(end) = CODES_END.get(self.count + 1) else { return };
            self.bits = self.bits << 1 | u16::from(*byte & bit != 0);
            self.count += 1;
            if self.bits < *end {
                *self = Self::default();
            }
        }
    }
}
