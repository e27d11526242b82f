//! Logging messages that peers can cause at will.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The pause after a message.
const SILENCE: Duration = Duration::from_secs(10);

/// Suppresses messages for a while after each one.
#[derive(Debug, Default)]
pub(super) struct RateLimitedLog(Mutex<Suppression>);

/// When a message was logged last, and how many were suppressed since.
#[derive(Debug, Default)]
struct Suppression {
    last: Option<Instant>,
    suppressed: u64,
}

impl RateLimitedLog {
    /// Returns the number of suppressed messages, or `None` while suppressed.
    pub fn allow(&self) -> Option<u64> {
        let mut suppression = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if suppression.last.is_some_and(|last| last.elapsed() < SILENCE) {
            suppression.suppressed += 1;
            return None;
        }
        suppression.last = Some(Instant::now());
        Some(std::mem::take(&mut suppression.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_often_is_logged_once_in_a_while() {
        let log = RateLimitedLog::default();
        assert_eq!((log.allow(), log.allow(), log.allow()), (Some(0), None, None));
    }
}
