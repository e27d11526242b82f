//! The thread that reloads.

use std::{sync::Arc, thread};

use super::{Live, Options, Source, announce, signal::Signal, worker::Worker};
use crate::store::STACK_BYTES;

/// The niceness of the reloading thread: it gets a third of the time of a busy thread that answers
/// calls. With less, a reload would hardly get on beside many busy threads, and a revoked right
/// would last.
const NICENESS: i32 = 5;

/// A running reload. Dropping it ends it.
#[derive(Debug)]
pub struct Reloader {
    pub(super) signal: Arc<Signal>,
}

impl Reloader {
    /// Has the folder read again, as SIGHUP does.
    pub fn hint(&self) {
        self.signal.hint();
    }
}

impl Drop for Reloader {
    fn drop(&mut self) {
        self.signal.stop();
    }
}

/// Watches the source, after a first [`load`](super::load), until the reloader is dropped. For embedded stores
/// there is nothing to watch.
pub fn watch(source: Source, options: Options, live: Arc<Live>) -> Reloader {
    let signal = Arc::new(Signal::default());
    let name = source.to_string();
    if let Source::Folder(path) = source {
        let span = options.span.clone();
        let worker =
            Worker::new(path, name.clone(), options, Arc::clone(&live), Arc::clone(&signal));
        let thread = thread::Builder::new().name("reload".to_owned()).stack_size(STACK_BYTES);
        let run = move || {
            let _in_span = span.enter();
            yield_to_calls();
            worker.run();
        };
        if let Err(error) = thread.spawn(run) {
            let problem = format!("nothing is reloaded, for no thread can be started: {error}");
            announce::watching(&name, Some(&problem));
            let mut status = live.status().as_ref().clone();
            status.watch_problem = Some(problem);
            live.publish_status(status);
        }
    }
    Reloader { signal }
}

/// Lets the threads that answer calls go first where there are too few processors for all. The
/// threads that this one starts are as patient.
pub(super) fn yield_to_calls() {
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "reloading has the same priority as calls");
    }
}
