//! Moments, as Cedar counts them, and their text.

use std::{fmt, str::FromStr, time::Duration};

use jiff::{SignedDuration, Timestamp as Instant, civil, fmt::temporal::Pieces};

/// A moment, in milliseconds since 1970-01-01T00:00:00Z, which is the resolution of Cedar's
/// `datetime`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

/// The text is no moment that can be decided with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// The text is not a date and time.
    #[error("`{0}` is not a date and time: write it as RFC 3339, e.g. `2026-01-31T09:00:00Z`")]
    Unreadable(String),
    /// The moment is before the year 1 or after the year 9999, which protobuf and RFC 3339 cannot
    /// say.
    #[error("`{0}` is out of range: send a moment of the years 1 to 9999")]
    OutOfRange(String),
}

impl Timestamp {
    /// The first moment of the year 1.
    pub const FIRST: Self = Self(-62_135_596_800_000);
    /// The last moment of the year 9999.
    pub const LAST: Self = Self(253_402_300_799_999);

    /// Makes the moment that many milliseconds after (or before) 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Makes the moment that many seconds after (or before) 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }

    /// Makes the moment that long after 1970-01-01T00:00:00Z; what is finer than a millisecond is
    /// cut off.
    #[must_use]
    pub fn after_1970(elapsed: Duration) -> Self {
        Self(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
    }

    /// Returns the milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Returns whether the moment is in the years 1 to 9999, in UTC.
    #[must_use]
    pub const fn is_in_range(self) -> bool {
        Self::FIRST.0 <= self.0 && self.0 <= Self::LAST.0
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    /// Reads RFC 3339, and a bare date as its first moment in UTC.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shown = || text.chars().take(80).collect();
        let moment = read(text).ok_or_else(|| TimestampError::Unreadable(shown()))?;
        if moment.is_in_range() { Ok(moment) } else { Err(TimestampError::OutOfRange(shown())) }
    }
}

fn read(text: &str) -> Option<Timestamp> {
    let pieces = Pieces::parse(text).ok()?;
    let offset = match (pieces.time(), pieces.to_numeric_offset()) {
        (Some(_), Some(offset)) => offset.seconds(),
        (None, None) => 0,
        _ => return None,
    };
    let local = pieces.date().to_datetime(pieces.time().unwrap_or_else(civil::Time::midnight));
    let elapsed = local.duration_since(EPOCH) - SignedDuration::from_secs(offset.into());
    let millis = elapsed.as_nanos().div_euclid(1_000_000);
    i64::try_from(millis).ok().map(Timestamp)
}

const EPOCH: civil::DateTime = civil::date(1970, 1, 1).at(0, 0, 0, 0);

impl fmt::Display for Timestamp {
    /// Writes RFC 3339 in UTC, as short as it can be.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match EPOCH.checked_add(SignedDuration::from_millis(self.0)) {
            Ok(moment) if self.is_in_range() => write!(f, "{moment}Z"),
            _ => write!(f, "{} ms since 1970", self.0),
        }
    }
}

/// Writes a moment in UTC with microseconds, always in the same length, so that lines sort as their
/// times do.
#[must_use]
pub fn rfc3339_micros(after_1970: Duration) -> String {
    let moment = SignedDuration::try_from(after_1970).map(Instant::from_duration);
    format!("{:.6}", moment.ok().and_then(Result::ok).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn moments_are_read_and_written() {
        for (text, millis, written) in [
            ("1970-01-01", 0, "1970-01-01T00:00:00Z"),
            ("2026-01-31T09:00:00Z", 1_769_850_000_000, "2026-01-31T09:00:00Z"),
            ("2026-01-31t10:00:00.5+01:00", 1_769_850_000_500, "2026-01-31T09:00:00.5Z"),
            ("1969-12-31T23:59:59.9999Z", -1, "1969-12-31T23:59:59.999Z"),
            ("0001-01-01T00:00:00Z", Timestamp::FIRST.0, "0001-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.999Z", Timestamp::LAST.0, "9999-12-31T23:59:59.999Z"),
        ] {
            let moment: Timestamp = text.parse().unwrap();
            assert_eq!(moment.as_millis(), millis, "{text}");
            assert_eq!(moment.to_string(), written);
            assert_eq!(written.parse(), Ok(moment));
        }
    }

    #[test]
    fn moments_out_of_range_are_told_from_text_that_is_none() {
        for text in [
            "0000-01-01",
            "0000-12-31T23:59:59Z",
            "0001-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-01:00",
            "-000001-01-01T00:00:00Z",
        ] {
            let error = text.parse::<Timestamp>().unwrap_err();
            assert_eq!(error, TimestampError::OutOfRange(text.to_owned()));
        }
        for text in ["", "soon", "2026-02-30", "2026-01-31T09:00:00", "09:00:00Z", "10000-01-01"] {
            let error = text.parse::<Timestamp>().unwrap_err();
            assert_eq!(error, TimestampError::Unreadable(text.to_owned()));
        }
        for millis in [Timestamp::FIRST.0 - 1, Timestamp::LAST.0 + 1, i64::MIN, i64::MAX] {
            let written = Timestamp::from_millis(millis).to_string();
            assert_eq!(written, format!("{millis} ms since 1970"));
        }
    }

    #[test]
    fn times_of_records_have_microseconds() {
        let written = |micros| rfc3339_micros(Duration::from_micros(micros));
        assert_eq!(written(1_769_850_000_000_000), "2026-01-31T09:00:00.000000Z");
        assert_eq!(written(1_769_850_000_012_345), "2026-01-31T09:00:00.012345Z");
    }
}
