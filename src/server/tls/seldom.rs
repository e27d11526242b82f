use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long there is silence after something was logged.
const SILENCE: Duration = Duration::from_secs(10);

/// Lets something that others can bring about at will into the log only now and then.
#[derive(Debug, Default)]
pub(super) struct Seldom(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    unlogged: u64,
}

impl Seldom {
    /// Whether it may be logged now, and if so, how many times it was not since the last time.
    pub fn now(&self) -> Option<u64> {
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
    fn once_in_a_while() {
        let seldom = Seldom::default();
        assert_eq!((seldom.now(), seldom.now(), seldom.now()), (Some(0), None, None));
    }
}
