//! Divides the bytes that were read.

/// The bytes cannot be followed any further.
#[derive(Debug)]
pub(super) struct CannotFollow;

/// Divides bytes into the first `count`, or fewer where there are no more, and the rest.
pub(super) fn split(bytes: &mut [u8], count: usize) -> (&mut [u8], &mut [u8]) {
    bytes.split_at_mut(count.min(bytes.len()))
}
