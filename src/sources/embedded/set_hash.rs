//! A digest of a set of rows that follows each change of the set without reading the rest.

use sha2::{Digest as _, Sha256};

/// The number of words that the digest of one row has.
const WORDS: usize = 4;

/// The sum of the SHA-256 digests of all rows, word by word, and their number. The order of rows does
/// not matter. A row that is lost, added, doubled or altered by accident changes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SetHash {
    words: [u64; WORDS],
    rows: u64,
}

impl SetHash {
    /// The bytes of its text.
    pub const BYTES: usize = (WORDS + 1) * 8;

    /// Adds a row.
    pub fn add(&mut self, row: &[u8]) {
        for (word, more) in self.words.iter_mut().zip(words(row)) {
            *word = word.wrapping_add(more);
        }
        self.rows = self.rows.wrapping_add(1);
    }

    /// Takes a row away.
    pub fn remove(&mut self, row: &[u8]) {
        for (word, less) in self.words.iter_mut().zip(words(row)) {
            *word = word.wrapping_sub(less);
        }
        self.rows = self.rows.wrapping_sub(1);
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns the digest as it is stored.
    pub fn to_bytes(self) -> Vec<u8> {
        let words = self.words.iter().chain([&self.rows]);
        words.flat_map(|word| word.to_be_bytes()).collect()
    }

    /// Reads a stored digest; nothing where the bytes are none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (chunks, rest) = bytes.as_chunks::<8>();
        let mut stored = chunks.iter().map(|chunk| u64::from_be_bytes(*chunk));
        if bytes.len() != Self::BYTES || !rest.is_empty() {
            return None;
        }
        let mut hash = Self::default();
        for word in &mut hash.words {
            *word = stored.next()?;
        }
        hash.rows = stored.next()?;
        Some(hash)
    }
}

fn words(row: &[u8]) -> impl Iterator<Item = u64> {
    let digest: [u8; 32] = Sha256::digest(row).into();
    let (chunks, _) = digest.as_chunks::<8>();
    let words: Vec<_> = chunks.iter().map(|chunk| u64::from_be_bytes(*chunk)).collect();
    words.into_iter()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn it_is_that_of_the_rows_whatever_their_history() {
        let mut one = SetHash::default();
        one.add(b"a");
        one.add(b"b");
        one.add(b"c");
        one.remove(b"b");
        let mut other = SetHash::default();
        other.add(b"c");
        other.add(b"a");
        assert_eq!(one, other);
        assert_eq!(one.rows(), 2);
        assert_eq!(SetHash::from_bytes(&one.to_bytes()).unwrap(), one);
        // A pair of equal rows does not vanish.
        other.add(b"d");
        other.add(b"d");
        assert_ne!(one, other);
        assert_eq!(SetHash::from_bytes(b"short"), None);
    }
}
