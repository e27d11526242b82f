//! Moments, as Cedar counts them.

use std::{fmt, str::FromStr};

/// A moment, in milliseconds since 1970-01-01T00:00:00Z, which is the resolution of Cedar's
/// `datetime`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

/// The text is not a date and time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a date and time: write it as RFC 3339, e.g. `2026-01-31T09:00:00Z`")]
pub struct TimestampError(String);

impl Timestamp {
    /// Makes the moment that many milliseconds after (or before) 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Returns the milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    /// Reads RFC 3339, and a bare date as its first moment in UTC.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || TimestampError(text.chars().take(80).collect());
        if let Ok(moment) = text.parse::<jiff::Timestamp>() {
            return Ok(Self(moment.as_millisecond()));
        }
        let date: jiff::civil::Date = text.parse().map_err(|_| error())?;
        let moment = date.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| error())?;
        Ok(Self(moment.timestamp().as_millisecond()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(moment) => moment.fmt(f),
            Err(_) => write!(f, "{} ms since 1970", self.0),
        }
    }
}
