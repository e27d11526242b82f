//! The limit on the processor time of a thread.

use std::time::Duration;

/// The shortest pause: the system wakes a thread some tens of microseconds late.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A share of the time of one processor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CpuShare(f64);

/// A number that is not a share of a processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a share of one processor is expected: write a number from 0.001 to 1, e.g. 0.1")]
pub struct CpuShareError;

impl TryFrom<f64> for CpuShare {
    type Error = CpuShareError;

    fn try_from(share: f64) -> Result<Self, CpuShareError> {
        if (0.001..=1.0).contains(&share) { Ok(Self(share)) } else { Err(CpuShareError) }
    }
}

impl From<CpuShare> for f64 {
    fn from(share: CpuShare) -> Self {
        share.0
    }
}

impl Default for CpuShare {
    fn default() -> Self {
        Self(0.1)
    }
}

/// Limits a thread to a share of the time of one processor, by pauses.
#[derive(Debug)]
pub(super) struct CpuLimit {
    share: CpuShare,
    /// The pause that is still due.
    due: Duration,
}

impl CpuLimit {
    pub(super) fn new(share: CpuShare) -> Self {
        Self { share, due: Duration::ZERO }
    }

    /// Returns the pause after so much work; short pauses are added up until they are worth it.
    pub(super) fn pause_after(&mut self, work: Duration) -> Option<Duration> {
        self.due = (self.due + work.mul_f64(1.0 / self.share.0 - 1.0)).min(LONGEST_PAUSE);
        (self.due >= SHORTEST_PAUSE).then(|| std::mem::take(&mut self.due))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn work_is_a_share_of_the_time() {
        let mut limit = CpuLimit::new(CpuShare::try_from(0.1).unwrap());
        let (work, mut pauses) = (Duration::from_micros(20), Duration::ZERO);
        for _ in 0..1_000 {
            pauses += limit.pause_after(work).unwrap_or_default();
        }
        assert!((Duration::from_millis(178)..=Duration::from_millis(180)).contains(&pauses));
        assert_eq!(CpuLimit::new(CpuShare(1.0)).pause_after(work), None);
        let hour = Duration::from_secs(3_600);
        assert_eq!(CpuLimit::new(CpuShare(0.001)).pause_after(hour), Some(LONGEST_PAUSE));
    }

    #[test]
    fn a_share_is_neither_nothing_nor_more_than_all() {
        for share in [0.0, 0.000_9, 1.01, -1.0, f64::NAN, f64::INFINITY] {
            assert!(CpuShare::try_from(share).is_err(), "{share}");
        }
    }
}
