//! Waiting for something, but not for ever.

use std::time::{Duration, Instant};

/// The time that anything may take in a test. Only a test that fails takes so long, and a machine may
/// have much else to do.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Waits until it is so.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < DEADLINE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
