//! The threads on which connections are served.
//!
//! A decision takes a few microseconds, less than it takes to move a call to another thread. So
//! each thread has a runtime of its own, and a connection stays on the thread that it was given to.

use std::{io, num::NonZeroUsize, thread};

use tokio::{
    runtime::{self, Handle},
    sync::oneshot,
};

use crate::store::STACK_BYTES;

/// Threads with a runtime each. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct WorkerThreads {
    runtimes: Vec<Handle>,
    _stop: Vec<oneshot::Sender<()>>,
}

impl WorkerThreads {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// The system gives no thread or no file descriptor.
    pub fn start(count: NonZeroUsize) -> io::Result<Self> {
        let start = |number| {
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .thread_stack_size(STACK_BYTES)
                .build()?;
            let handle = runtime.handle().clone();
            let (stop, stopped) = oneshot::channel();
            let thread = thread::Builder::new().name(format!("calls-{number}"));
            thread.stack_size(STACK_BYTES).spawn(move || {
                // It fails once the other end is dropped.
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })?;
            Ok((handle, stop))
        };
        let started = (0..count.get()).map(start).collect::<io::Result<Vec<_>>>()?;
        let (runtimes, stop) = started.into_iter().unzip();
        Ok(Self { runtimes, _stop: stop })
    }

    /// Returns the runtime of each thread.
    pub fn runtimes(&self) -> &[Handle] {
        &self.runtimes
    }
}
