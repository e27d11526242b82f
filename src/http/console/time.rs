//! Moments, as a reader wants them: when, and how long ago.

use std::time::{Duration, SystemTime};

use crate::model::Timestamp;

/// A moment.
#[derive(Debug, Clone)]
pub(super) struct TimeText {
    /// RFC 3339, in UTC, to the second.
    pub exact: String,
    /// E.g. `3 min ago`.
    pub ago: String,
}

impl TimeText {
    pub fn of(time: SystemTime) -> Self {
        let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let whole_seconds = Duration::from_secs(since_1970.as_secs());
        Self {
            exact: Timestamp::after_1970(whole_seconds).to_string(),
            ago: format!("{} ago", span(time.elapsed().unwrap_or_default())),
        }
    }
}

/// Writes a span of time in its largest unit.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
