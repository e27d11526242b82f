//! The number of fields of a message, counted before it is decoded.
//!
//! Two bytes on the wire may become two hundred in memory: an entity of which nothing is said, for
//! example. So what a message holds is counted before it is read.

/// Levels to which messages are followed; prost reads no deeper.
const DEPTH: usize = 100;

/// Returns whether a message has more fields than a limit, those of the messages in it included. It need not be
/// well formed, for it is read up to its first mistake.
pub(super) fn has_more_parts(message: &[u8], limit: usize) -> bool {
    // Nearly every part is two bytes at least; one that is less takes no room.
    message.len() / 2 > limit && parts(message, DEPTH) > limit
}

/// Counts the fields up to the first mistake. Text is counted as the message that it could
/// be as well, which is none or a short one. Every byte is looked at once.
fn parts(mut bytes: &[u8], depth: usize) -> usize {
    let mut parts = 0;
    while let Some((content, rest)) = field(bytes) {
        parts += 1;
        if depth > 0 {
            parts += self::parts(content, depth - 1);
        }
        bytes = rest;
    }
    parts
}

/// The content of the first field, if it may be a message, and what follows it.
fn field(mut bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let nothing = &[][..];
    match varint(&mut bytes)? & 7 {
        0 => varint(&mut bytes).map(|_| (nothing, bytes)),
        1 => Some((nothing, bytes.get(8..)?)),
        5 => Some((nothing, bytes.get(4..)?)),
        2 => {
            let length = usize::try_from(varint(&mut bytes)?).ok()?;
            bytes.split_at_checked(length)
        }
        // The beginning or the end of a group: its fields are counted as if they stood outside.
        3 | 4 => Some((nothing, bytes)),
        _ => None,
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::proto::{Entity, IsAuthorizedRequest, Value, ValueSet, value::Kind};

    const PARTS: usize = 400_000;

    #[test]
    fn parts_are_counted_at_every_depth() {
        let numbers = |count| {
            let values = vec![Value { kind: Some(Kind::Long(1)) }; count];
            Value { kind: Some(Kind::Set(ValueSet { values })) }
        };
        let entity = |count| Entity {
            attributes: [("numbers".to_owned(), numbers(count))].into(),
            ..Entity::default()
        };
        let request = |count| IsAuthorizedRequest {
            entities: vec![entity(count), Entity::default()],
            ..IsAuthorizedRequest::default()
        };
        let counted = |count| parts(&request(count).encode_to_vec(), DEPTH);
        assert_eq!(counted(0) + 20, counted(10));
        assert!(!has_more_parts(&request(130_000).encode_to_vec(), PARTS));
        assert!(has_more_parts(&request(210_000).encode_to_vec(), PARTS));
    }

    #[test]
    fn a_mistake_hides_nothing_that_is_read_before_it() {
        let many = [0x32, 0].repeat(PARTS + 1);
        for (before, after) in [(&[][..], &[0xff; 11][..]), (&[0x7b, 0x7c], &[]), (&[], &[0x0f])] {
            assert!(has_more_parts(&[before, &many, after].concat(), PARTS));
        }
        for bytes in [&[0xff; 11][..], &[0x0a, 5, 1], &[0x0f], &[0x09, 1], &[0x08], &[]] {
            assert_eq!(parts(bytes, DEPTH), 0, "{bytes:?}");
        }
        let endless = [&[0x0a][..], &[0xff; 9], &[1]].concat();
        assert_eq!(parts(&endless, DEPTH), 0);
    }
}
