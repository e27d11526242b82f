//! Logging what peers can bring about at will.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The pause after something was logged.
const SILENCE: Duration = Duration::from_secs(10);

/// Limits how often something is logged that peers can bring about at will.
#[derive(Debug, Default)]
pub(super) struct RateLimitedLog(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    unlogged: u64,
}

impl RateLimitedLog {
    /// Returns nothing if it may not be logged now, else how many times it was not since the last time.
    pub fn allow(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| last.elapsed() < SILENCE) {
            state.unlogged += 1;
            return None;
        }
        state.last = Some(Instant::now());
        Some(std::mem::take(&mut state.unlogged))
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
