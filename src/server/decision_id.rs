//! The name of one decision.

use tonic::metadata::MetadataMap;
use uuid::{NoContext, Uuid, fmt::Hyphenated};

use crate::time::Timestamp;

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
        Self::of_ascii(&new_v7(now))
    }

    /// The name that is written so.
    pub fn of_ascii(text: &[u8]) -> Self {
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
    Counted { now: Timestamp, last: [u8; Hyphenated::LENGTH] },
}

impl DecisionIds {
    /// Names for decisions that are made now, if the caller sent none.
    pub fn new(sent: Option<DecisionId>, now: Timestamp) -> Self {
        sent.map_or_else(|| Self::Counted { now, last: new_v7(now) }, Self::Sent)
    }

    /// The name of the next decision, in ASCII.
    pub fn next(&mut self) -> &[u8] {
        match self {
            Self::Sent(id) => id.0.as_bytes(),
            Self::Counted { now, last } => next_v7(*now, last),
        }
    }

    /// Puts the name of the next decision in the place of another's, which ends a text.
    #[inline]
    pub fn next_at_end(&mut self, text: &mut [u8]) {
        if let Self::Counted { now, last } = self
            && let Some(end) = text.last_chunk_mut()
        {
            *end = *next_v7(*now, last);
        }
    }
}

#[inline]
fn next_v7(now: Timestamp, last: &mut [u8; Hyphenated::LENGTH]) -> &[u8; Hyphenated::LENGTH] {
    if !count_on(last) {
        *last = new_v7(now);
    }
    last
}

/// Counts on in the last twelve digits, all of which are random. Whether there was a next number.
fn count_on(id: &mut [u8; Hyphenated::LENGTH]) -> bool {
    for digit in id.iter_mut().rev().take(12) {
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
fn new_v7(now: Timestamp) -> [u8; Hyphenated::LENGTH] {
    let since_epoch = u64::try_from(now.as_millis()).unwrap_or_default();
    let (seconds, millis) = (since_epoch / 1_000, since_epoch % 1_000);
    let nanos = u32::try_from(millis * 1_000_000).unwrap_or_default();
    // Without a context, which would be one lock for the whole process.
    let time = uuid::Timestamp::from_unix(NoContext, seconds, nanos);
    let mut text = [0; Hyphenated::LENGTH];
    Uuid::new_v7(time).hyphenated().encode_lower(&mut text);
    text
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

    fn text(id: &[u8]) -> String {
        String::from_utf8(id.to_vec()).unwrap()
    }

    #[test]
    fn names_of_one_call_are_valid_and_in_order() {
        let mut ids = DecisionIds::new(None, NOW);
        let ids: Vec<_> = (0..10_000).map(|_| text(ids.next())).collect();
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
        let last = |end: &str| format!("019b7a5c-0c00-7000-8000-{end}").into_bytes();
        let counted = |end: &str| {
            let mut id = last(end).try_into().unwrap();
            count_on(&mut id).then(|| text(&id).split_off(24))
        };
        assert_eq!(counted("000000000000").unwrap(), "000000000001");
        assert_eq!(counted("000000000009").unwrap(), "00000000000a");
        assert_eq!(counted("00000009ffff").unwrap(), "0000000a0000");
        assert_eq!(counted("ffffffffffff"), None);
        let last = last("ffffffffffff").try_into().unwrap();
        let mut ids = DecisionIds::Counted { now: NOW, last };
        assert!(text(ids.next()).parse::<Uuid>().is_ok());
    }

    #[test]
    fn a_name_that_was_sent_is_that_of_all() {
        let mut ids = DecisionIds::new(Some(DecisionId("mine".to_owned())), NOW);
        assert_eq!([text(ids.next()), text(ids.next())], ["mine"; 2]);
    }
}
