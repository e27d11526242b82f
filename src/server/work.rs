//! Where a decision is made so that long ones do not hold up short ones.
//!
//! Nearly all decisions take some microseconds and are made right where the call is answered. What
//! may take longer than about 500 µs goes to a thread that may block, and only as many at a time as
//! there are processors; the rest waits and is forgotten when its caller gives up. A batch of short
//! decisions lets others go first every 500 µs.

use std::{
    panic::resume_unwind,
    sync::Arc,
    thread::available_parallelism,
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;
use tonic::Status;

/// How long a call keeps a thread of the runtime for itself.
const TURN: Duration = Duration::from_micros(500);

/// A question with more facts than this may take longer than a turn.
pub(super) const FACTS_OF_SHORT: usize = 64;

/// Runs long work.
#[derive(Debug, Clone)]
pub(super) struct Workshop {
    benches: Arc<Semaphore>,
}

impl Workshop {
    pub fn new() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Self { benches: Arc::new(Semaphore::new(processors)) }
    }

    /// Runs work that may take long. A panic of the work is passed on.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Status> {
        let stopping = || Status::unavailable("the server is stopping");
        let bench = Arc::clone(&self.benches).acquire_owned().await.map_err(|_| stopping())?;
        let work = move || {
            let done = work();
            drop(bench);
            done
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => Ok(done),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => Err(stopping()),
            },
        }
    }
}

/// The turn of one call on its thread.
pub(super) struct Turn(Instant);

impl Turn {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Lets others go first if the turn was long.
    pub async fn pass_on_if_over(&mut self) {
        if self.0.elapsed() > TURN {
            tokio::task::yield_now().await;
            *self = Self::start();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    #[tokio::test]
    async fn a_panic_is_passed_on_and_gives_the_bench_back() {
        let workshop = Workshop::new();
        for _ in 0..available_parallelism().unwrap().get() + 1 {
            let workshop = workshop.clone();
            let work = async move { workshop.run(|| panic!("on purpose")).await.map(|(): ()| ()) };
            assert!(tokio::spawn(work).await.unwrap_err().is_panic());
        }
        assert_eq!(workshop.run(|| 42).await.unwrap(), 42);
    }
}
