//! Waiting for something, but not for ever.

use std::time::{Duration, Instant};

/// The time that anything may take in a test.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Waits until it is so.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < DEADLINE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
