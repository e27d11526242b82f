//! The threads for work that would hold up other calls.
//!
//! Nearly all calls take some microseconds and are answered on the thread of their connection. What
//! may take longer than about a millisecond is given to a runtime of its own, so that the calls on
//! the same connections do not wait for it.

use std::{io, num::NonZeroUsize, panic::resume_unwind, sync::Arc, thread::available_parallelism};

use tokio::{
    runtime::{self, Handle, Runtime},
    task::JoinSet,
};

use crate::store::STACK_BYTES;

/// Runs long calls on threads of its own. Clones are the same pool; its threads end with the last.
#[derive(Debug, Clone)]
pub(crate) struct LongCallPool(Arc<PoolRuntime>);

#[derive(Debug)]
struct PoolRuntime(Option<Runtime>);

/// The pool has ended, and what it was given is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server is stopping")]
pub(crate) struct PoolClosedError;

impl LongCallPool {
    /// Starts a pool of half as many threads as there are processors, so that the other half of the
    /// machine is left to short calls.
    ///
    /// # Errors
    /// The system gives no thread or no file descriptor.
    pub fn start() -> io::Result<Self> {
        let processors = available_parallelism().map_or(1, NonZeroUsize::get);
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads((processors / 2).max(1))
            .thread_name("long-calls")
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()?;
        Ok(Self(Arc::new(PoolRuntime(Some(runtime)))))
    }

    /// Returns the runtime.
    pub fn handle(&self) -> Option<&Handle> {
        self.0.0.as_ref().map(Runtime::handle)
    }

    /// Runs `work` on the pool and waits for it. A panic is passed on. If the caller gives up, work
    /// that waits is dropped, and work that runs stops at its next await.
    ///
    /// # Errors
    /// The pool has ended.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, PoolClosedError> {
        // Aborts its task when it is dropped.
        let mut task = JoinSet::new();
        task.spawn_on(work, self.handle().ok_or(PoolClosedError)?);
        match task.join_next().await {
            Some(Ok(done)) => Ok(done),
            Some(Err(error)) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => Err(PoolClosedError),
            },
            None => Err(PoolClosedError),
        }
    }
}

impl Drop for PoolRuntime {
    fn drop(&mut self) {
        // Waiting for what still runs would hold up the thread that drops this.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    #[tokio::test]
    async fn a_panic_is_passed_on_and_the_pool_goes_on() {
        let pool = LongCallPool::start().unwrap();
        for _ in 0..available_parallelism().unwrap().get() + 1 {
            let pool = pool.clone();
            let work = async move { pool.run(async { panic!("on purpose") }).await };
            let work: tokio::task::JoinHandle<Result<(), _>> = tokio::spawn(work);
            assert!(work.await.unwrap_err().is_panic());
        }
        assert_eq!(pool.run(async { 42 }).await, Ok(42));
    }

    #[tokio::test]
    async fn work_of_a_caller_that_gives_up_is_dropped() {
        let pool = LongCallPool::start().unwrap();
        let (sender, dropped) = tokio::sync::oneshot::channel::<()>();
        let work = async move {
            let _sender = sender;
            std::future::pending::<()>().await;
        };
        let waiting = tokio::spawn(async move { pool.run(work).await });
        waiting.abort();
        assert!(dropped.await.is_err());
    }
}
