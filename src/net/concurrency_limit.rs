//! The limits on calls under way and on the bytes that their messages hold.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

/// Counts the calls under way in the process and refuses those beyond a limit.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimit {
    /// The name of the setting of `max_calls` under `limits`.
    setting: &'static str,
    max_calls: usize,
    max_bytes: usize,
    in_flight: AtomicUsize,
    held: AtomicUsize,
    calls_shed: AtomicU64,
    bytes_shed: AtomicU64,
}

/// A limit that a call would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LimitReachedError {
    /// The limit on calls under way is reached.
    #[error("the limit `limits.{setting}` of {limit} is reached: try again later")]
    Calls {
        /// The name of the setting under `limits`.
        setting: &'static str,
        /// The most calls.
        limit: usize,
    },
    /// Messages hold as many bytes as they may.
    #[error("the limit `limits.held_bytes` of {0} on large messages is reached: try again later")]
    Bytes(usize),
}

/// Bytes of a message that is not worth counting: the limit on calls bounds these. Large messages
/// that use up all bytes leave small ones alone.
const SMALL: usize = 16 * 1024;

/// The right of one call to be under way, with the bytes that its message holds.
#[derive(Debug)]
pub(crate) struct CallPermit {
    limit: Arc<ConcurrencyLimit>,
    held: AtomicUsize,
}

impl ConcurrencyLimit {
    /// Allows `max_calls` calls, whose messages may hold `max_bytes` bytes together. Refusals name the
    /// setting under `limits` that bounds the calls.
    pub fn new(setting: &'static str, max_calls: usize, max_bytes: usize) -> Self {
        Self {
            setting,
            max_calls,
            max_bytes,
            in_flight: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            calls_shed: AtomicU64::new(0),
            bytes_shed: AtomicU64::new(0),
        }
    }

    /// Takes a permit for a call.
    ///
    /// # Errors
    /// As many calls are under way as may be.
    pub fn acquire(self: &Arc<Self>) -> Result<CallPermit, LimitReachedError> {
        if self.in_flight.fetch_add(1, Ordering::Relaxed) < self.max_calls {
            return Ok(CallPermit { limit: Arc::clone(self), held: AtomicUsize::new(0) });
        }
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        Err(self.shed())
    }

    fn shed(&self) -> LimitReachedError {
        self.calls_shed.fetch_add(1, Ordering::Relaxed);
        LimitReachedError::Calls { setting: self.setting, limit: self.max_calls }
    }

    /// Returns how many calls are under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Returns how many calls were refused because too many were under way.
    pub fn calls_shed(&self) -> u64 {
        self.calls_shed.load(Ordering::Relaxed)
    }

    /// Returns how many calls were refused because messages held too many bytes.
    pub fn bytes_shed(&self) -> u64 {
        self.bytes_shed.load(Ordering::Relaxed)
    }
}

impl CallPermit {
    /// Holds a message of that many bytes until the permit is dropped. Of several messages the
    /// largest counts.
    ///
    /// # Errors
    /// Messages hold as many bytes as they may.
    pub fn hold(&self, bytes: usize) -> Result<(), LimitReachedError> {
        if bytes <= SMALL {
            return Ok(());
        }
        let limit = &self.limit;
        let more = bytes.saturating_sub(self.held.fetch_max(bytes, Ordering::Relaxed));
        if limit.held.fetch_add(more, Ordering::Relaxed) + more <= limit.max_bytes {
            return Ok(());
        }
        limit.bytes_shed.fetch_add(1, Ordering::Relaxed);
        Err(LimitReachedError::Bytes(limit.max_bytes))
    }
}

impl CallPermit {
    /// Waits for `wait`. Meanwhile the call counts in `waiting` and not among the calls under way.
    ///
    /// # Errors
    /// The limit on waiting calls is reached, or that on calls under way once the waiting is over.
    pub async fn release_while<T>(
        &self,
        waiting: &Arc<ConcurrencyLimit>,
        wait: impl Future<Output = T>,
    ) -> Result<T, LimitReachedError> {
        let _waiting = waiting.acquire()?;
        let released = ReleasedPermit::new(&self.limit);
        let waited = wait.await;
        drop(released);
        if self.limit.in_flight() > self.limit.max_calls {
            return Err(self.limit.shed());
        }
        Ok(waited)
    }
}

/// Takes a call from those under way until it is dropped.
struct ReleasedPermit<'a>(&'a ConcurrencyLimit);

impl<'a> ReleasedPermit<'a> {
    fn new(limit: &'a ConcurrencyLimit) -> Self {
        limit.in_flight.fetch_sub(1, Ordering::Relaxed);
        Self(limit)
    }
}

impl Drop for ReleasedPermit<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        let held = *self.held.get_mut();
        if held > 0 {
            self.limit.held.fetch_sub(held, Ordering::Relaxed);
        }
        self.limit.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn calls_beyond_the_limit_are_shed_until_one_ends() {
        let limit = Arc::new(ConcurrencyLimit::new("watches", 2, 0));
        let first = limit.acquire().unwrap();
        let _second = limit.acquire().unwrap();
        let refusal = limit.acquire().unwrap_err();
        assert_eq!(refusal, LimitReachedError::Calls { setting: "watches", limit: 2 });
        let text = "the limit `limits.watches` of 2 is reached: try again later";
        assert_eq!(refusal.to_string(), text);
        assert_eq!((limit.in_flight(), limit.calls_shed()), (2, 1));
        drop(first);
        assert!(limit.acquire().is_ok());
        assert_eq!((limit.in_flight(), limit.calls_shed()), (1, 1));
    }

    #[test]
    fn bytes_beyond_the_limit_are_refused_until_a_call_ends() {
        let limit = Arc::new(ConcurrencyLimit::new("watches", 2, 100_000));
        let (first, second) = (limit.acquire().unwrap(), limit.acquire().unwrap());
        first.hold(40_000).unwrap();
        first.hold(80_000).unwrap();
        first.hold(20_000).unwrap();
        assert_eq!(second.hold(30_000), Err(LimitReachedError::Bytes(100_000)));
        assert_eq!(limit.bytes_shed(), 1);
        second.hold(SMALL).unwrap();
        drop(second);
        let second = limit.acquire().unwrap();
        second.hold(20_000).unwrap();
        drop(first);
        second.hold(90_000).unwrap();
        drop(second);
        assert_eq!(limit.held.load(Ordering::Relaxed), 0);
    }
}
