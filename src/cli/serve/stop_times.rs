//! The times of the steps in which a process stops.

use std::time::Duration;

use crate::{settings::ShutdownSettings, telemetry::Telemetry};

/// Time that the servers are given to stop beyond their own deadline.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// Time that the decision log may take to write what is left.
pub(super) const RECORDS: Duration = Duration::from_secs(5);

/// Time that the last lines of the log may take to be written.
pub(super) const LOG_LINES: Duration = Duration::from_secs(1);

/// Returns the time after which a process with those settings has ended, counted from the signal to
/// stop. A supervisor that kills sooner takes answers and records away.
#[must_use]
pub fn longest_stop(settings: &ShutdownSettings) -> Duration {
    let ShutdownSettings { delay, drain } = *settings;
    delay + drain + GRACE + RECORDS + Telemetry::FLUSH_TIMEOUT + LOG_LINES
}
