//! The name of one decision.

use tonic::metadata::MetadataMap;
use uuid::{NoContext, Uuid, fmt::Hyphenated};

use crate::model::Timestamp;

/// The metadata key under which a caller may name its request.
const REQUEST_ID: &str = "x-request-id";
const LONGEST: usize = 128;

/// Names one decision in logs.
#[derive(Debug, Clone)]
pub(super) struct DecisionId(String);

impl DecisionId {
    /// The caller's own name for the request, if it sent one that can go into any log: 1 to 128
    /// visible ASCII characters.
    pub fn sent(metadata: &MetadataMap) -> Option<Self> {
        let id = metadata.get(REQUEST_ID)?.to_str().ok()?;
        let fits = (1..=LONGEST).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(id.to_owned()))
    }

    /// A new name for a decision that is made now. Names made later sort later.
    pub fn new(now: Timestamp) -> Self {
        let mut text = [0; Hyphenated::LENGTH];
        Self(new_v7(now).hyphenated().encode_lower(&mut text).to_owned())
    }

    /// The name that is written so.
    fn of_ascii(text: &[u8]) -> Self {
        Self(String::from_utf8_lossy(text).into_owned())
    }

    /// The name as text.
    pub fn as_string(&self) -> &String {
        &self.0
    }
}

/// The names of the decisions of one call.
#[derive(Debug)]
pub(super) enum DecisionIds {
    /// All have the one that the caller sent.
    Sent(DecisionId),
    /// Each has one of its own: that of the last, plus one (RFC 9562, section 6.2, method 2).
    Counted(Counted),
}

/// A UUID of version 7, of which the last digits count on.
#[derive(Debug)]
pub(super) struct Counted {
    now: Timestamp,
    /// All as it is written, but the last four digits, which are kept as a number: a text that was
    /// written digit by digit a moment ago keeps a processor waiting when it is copied.
    head: [u8; HEAD],
    tail: u16,
}

const HEAD: usize = Hyphenated::LENGTH - 4;

impl DecisionIds {
    /// Names for decisions that are made now, if the caller sent none.
    pub fn new(sent: Option<DecisionId>, now: Timestamp) -> Self {
        sent.map_or_else(|| Self::Counted(Counted::new(now)), Self::Sent)
    }

    /// The name of the next decision.
    pub fn next(&mut self) -> DecisionId {
        match self {
            Self::Sent(id) => id.clone(),
            Self::Counted(counted) => {
                let mut text = [0; Hyphenated::LENGTH];
                counted.next(&mut text);
                DecisionId::of_ascii(&text)
            }
        }
    }

    /// Puts the name of the next decision in the place of another's, which ends a text.
    #[inline]
    pub fn next_at_end(&mut self, text: &mut [u8]) {
        if let Self::Counted(counted) = self
            && let Some(end) = text.last_chunk_mut()
        {
            counted.next(end);
        }
    }
}

impl Counted {
    fn new(now: Timestamp) -> Self {
        let mut text = [0; Hyphenated::LENGTH];
        let id = new_v7(now);
        let text: &[u8] = id.hyphenated().encode_lower(&mut text).as_bytes();
        // A UUID has 128 bits, of which these are the last 16.
        let tail = id.as_u128() as u16;
        Self { now, head: text.first_chunk().copied().unwrap_or([b'0'; HEAD]), tail }
    }

    /// Writes the next one.
    #[inline]
    fn next(&mut self, text: &mut [u8; Hyphenated::LENGTH]) {
        self.tail = self.tail.wrapping_add(1);
        if self.tail == 0 && !count_on(&mut self.head) {
            *self = Self::new(self.now);
        }
        let (head, tail) = text.split_at_mut(HEAD);
        head.copy_from_slice(&self.head);
        tail.copy_from_slice(&digits(self.tail));
    }
}

/// The four digits of a number.
#[inline]
fn digits(number: u16) -> [u8; 4] {
    let number = u32::from(number);
    // One digit a byte, the first one lowest.
    let nibbles = number >> 12 | number & 0xf00 | (number & 0xf0) << 12 | (number & 0xf) << 24;
    // 1 in each byte that is ten or more, whose digit is a letter.
    let letters = (nibbles + 0x0606_0606) >> 4 & 0x0101_0101;
    let digits = nibbles + u32::from(b'0') * 0x0101_0101 + letters * u32::from(b'a' - b'9' - 1);
    digits.to_le_bytes()
}

/// Counts on in the last eight digits, all of which are random. Whether there was a next number.
#[cold]
fn count_on(head: &mut [u8; HEAD]) -> bool {
    for digit in head.iter_mut().rev().take(8) {
        match *digit {
            b'f' => *digit = b'0',
            b'9' => *digit = b'a',
            _ => *digit += 1,
        }
        if *digit != b'0' {
            return true;
        }
    }
    false
}

/// A new UUID of version 7. Those made later sort later.
fn new_v7(now: Timestamp) -> Uuid {
    let since_epoch = u64::try_from(now.as_millis()).unwrap_or_default();
    let (seconds, millis) = (since_epoch / 1_000, since_epoch % 1_000);
    let nanos = u32::try_from(millis * 1_000_000).unwrap_or_default();
    // Without a context, which would be one lock for the whole process.
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, nanos))
}

impl From<String> for DecisionId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

impl From<DecisionId> for String {
    fn from(id: DecisionId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashSet;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    #[test]
    fn names_of_one_call_are_valid_and_in_order() {
        let mut ids = DecisionIds::new(None, NOW);
        let ids: Vec<String> = (0..100_000).map(|_| ids.next().into()).collect();
        assert!(ids.is_sorted());
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        for id in &ids {
            let id: Uuid = id.parse().unwrap();
            assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
            assert_eq!(id.get_timestamp().unwrap().to_unix(), (1_767_225_600, 0));
        }
    }

    #[test]
    fn counting_carries_and_begins_anew_where_it_ends() {
        let counted = |head: &str, tail| {
            let head = format!("019b7a5c-0c00-7000-8000-{head}").into_bytes().try_into().unwrap();
            let mut ids = DecisionIds::Counted(Counted { now: NOW, head, tail });
            String::from(ids.next())
        };
        let end = |head, tail| counted(head, tail).split_off(24);
        assert_eq!(end("00000000", 0), "000000000001");
        assert_eq!(end("00000000", 9), "00000000000a");
        assert_eq!(end("00000009", 0xffff), "0000000a0000");
        assert_eq!(end("0fffffff", 0xffff), "100000000000");
        let anew = counted("ffffffff", 0xffff);
        assert!(anew.parse::<Uuid>().is_ok());
        assert!(!anew.ends_with("000000000000"));
    }

    #[test]
    fn a_number_has_its_digits() {
        for number in 0..=u16::MAX {
            assert_eq!(digits(number), *format!("{number:04x}").as_bytes());
        }
    }

    #[test]
    fn a_name_replaces_the_end_of_a_text() {
        let mut ids = DecisionIds::new(None, NOW);
        let first = String::from(ids.next());
        let mut text = format!("before{first}").into_bytes();
        ids.next_at_end(&mut text);
        let text = String::from_utf8(text).unwrap();
        let second = text.strip_prefix("before").unwrap();
        assert!(second.parse::<Uuid>().is_ok());
        assert!(*second > *first);
    }

    #[test]
    fn a_name_that_was_sent_is_that_of_all() {
        let mut ids = DecisionIds::new(Some(DecisionId("mine".to_owned())), NOW);
        assert_eq!([String::from(ids.next()), String::from(ids.next())], ["mine"; 2]);
    }
}
