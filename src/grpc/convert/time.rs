//! Conversion between protobuf's times and Cedar's milliseconds.

use crate::model::Timestamp;

const NANOS_OF_MILLI: i32 = 1_000_000;
const NANOS_OF_SECOND: i32 = 1_000_000_000;
/// About 10,000 years, which is all that `google.protobuf.Duration` allows.
const SECONDS_OF_SPAN: i64 = 315_576_000_000;

/// Converts a moment; what is finer than a millisecond is cut off.
pub(super) fn moment(sent: &prost_types::Timestamp) -> Result<Timestamp, &'static str> {
    let second = Timestamp::from_seconds(sent.seconds);
    if !second.is_in_range() {
        return Err("out of range: send a moment of the years 1 to 9999");
    }
    if !(0..NANOS_OF_SECOND).contains(&sent.nanos) {
        return Err("`nanos` is out of range: send 0 to 999,999,999");
    }
    Ok(Timestamp::from_millis(second.as_millis() + i64::from(sent.nanos / NANOS_OF_MILLI)))
}

/// Converts a span to milliseconds; what is finer is cut off.
pub(super) fn span(sent: &prost_types::Duration) -> Result<i64, &'static str> {
    if sent.seconds.unsigned_abs() > SECONDS_OF_SPAN.unsigned_abs() {
        return Err("out of range: send a span of at most 10,000 years");
    }
    if sent.nanos.unsigned_abs() >= NANOS_OF_SECOND.unsigned_abs() {
        return Err("`nanos` is out of range: send -999,999,999 to 999,999,999");
    }
    if sent.seconds.signum() * i64::from(sent.nanos.signum()) < 0 {
        return Err("`seconds` and `nanos` have different signs: send both with the same sign");
    }
    Ok(sent.seconds * 1_000 + i64::from(sent.nanos / NANOS_OF_MILLI))
}

/// Converts a moment to protobuf.
pub(super) fn to_moment(moment: Timestamp) -> prost_types::Timestamp {
    let (seconds, millis) =
        (moment.as_millis().div_euclid(1_000), moment.as_millis().rem_euclid(1_000));
    prost_types::Timestamp { seconds, nanos: nanos(millis) }
}

/// Converts less than a second's milliseconds to nanoseconds.
fn nanos(millis: i64) -> i32 {
    i32::try_from(millis).unwrap_or_default() * NANOS_OF_MILLI
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_protobuf_does_not_allow_is_refused() {
        let refused = |seconds, nanos| moment(&prost_types::Timestamp { seconds, nanos }).is_err();
        let (first, last) = (-62_135_596_800, 253_402_300_799);
        assert!(!refused(first, 0) && !refused(last, 999_999_999));
        assert!(refused(first - 1, 0) && refused(last + 1, 0));
        assert!(refused(i64::MIN, 0) && refused(i64::MAX, 0));
        assert!(refused(0, -1) && refused(0, 1_000_000_000));

        let refused = |seconds, nanos| span(&prost_types::Duration { seconds, nanos }).is_err();
        assert!(!refused(SECONDS_OF_SPAN, 1) && !refused(-SECONDS_OF_SPAN, -1));
        assert!(refused(SECONDS_OF_SPAN + 1, 0) && refused(i64::MIN, 0) && refused(i64::MAX, 0));
        assert!(refused(0, i32::MIN) && refused(0, 1_000_000_000));
        assert!(refused(1, -1) && refused(-1, 1));
    }

    #[test]
    fn what_is_finer_than_a_millisecond_is_cut_off() {
        let millis = |seconds, nanos| {
            moment(&prost_types::Timestamp { seconds, nanos }).unwrap().as_millis()
        };
        assert_eq!(millis(1, 999_999_999), 1_999);
        assert_eq!(millis(-1, 999_999), -1_000);
        assert_eq!(span(&prost_types::Duration { seconds: 0, nanos: -1_999_999 }), Ok(-1));
    }

    proptest! {
        #[test]
        fn moments_and_spans_come_back(millis in -62_135_596_800_000..253_402_300_799_000_i64) {
            let moment_sent = to_moment(Timestamp::from_millis(millis));
            prop_assert_eq!(moment(&moment_sent).unwrap().as_millis(), millis);
            let sent = prost_types::Duration { seconds: millis / 1_000, nanos: nanos(millis % 1_000) };
            prop_assert_eq!(span(&sent).unwrap(), millis);
        }
    }
}
