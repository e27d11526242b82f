//! Copies for threads.
//!
//! Two threads that count in the same place, be it references or decisions, wait for each other's
//! processor each time. What is touched at every decision is there several times, and a thread
//! keeps to one of the copies.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A few copies of something.
#[derive(Debug, Default)]
pub struct Sharded<T>([T; SHARDS]);

/// With more threads than this, some share a copy.
const SHARDS: usize = 8;

impl<T> Sharded<T> {
    /// Makes each copy.
    pub fn new(mut make: impl FnMut() -> T) -> Self {
        Self(std::array::from_fn(|_| make()))
    }

    /// The copy of this thread.
    #[must_use]
    pub fn mine(&self) -> &T {
        let [first, ..] = &self.0;
        self.0.get(mine()).unwrap_or(first)
    }

    /// All copies.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

/// The place of this thread. Threads take places in turn.
fn mine() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    }
    MINE.with(|mine| *mine)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_thread_keeps_its_copy_and_all_are_seen() {
        let counts = Sharded::new(|| AtomicUsize::new(0));
        counts.mine().fetch_add(1, Ordering::Relaxed);
        counts.mine().fetch_add(1, Ordering::Relaxed);
        let seen: Vec<_> = counts.all().map(|count| count.load(Ordering::Relaxed)).collect();
        assert_eq!(seen.len(), SHARDS);
        assert_eq!(seen.iter().max(), Some(&2));
        assert_eq!(seen.iter().sum::<usize>(), 2);
    }
}
