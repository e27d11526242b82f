//! A proof about a candidate, which goes on beside everything else.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock},
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use tokio_util::sync::CancellationToken;

use super::{Gate, GateRefusal, SlowGates, signal::Signal};
use crate::{
    model::{Problem, panic_message},
    store::{PolicyStore, STACK_BYTES},
};

/// A running proof. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Proving {
    candidate: Arc<PolicyStore>,
    since: SystemTime,
    loading_took: Duration,
    cancelled: CancellationToken,
    refusals: Arc<OnceLock<Vec<GateRefusal>>>,
    thread: Option<JoinHandle<()>>,
}

impl Proving {
    /// Starts a proof on a thread of its own. Where there is a signal it is given once that has ended.
    pub fn start(
        gates: Arc<dyn SlowGates>,
        candidate: Arc<PolicyStore>,
        last: Option<Arc<PolicyStore>>,
        loading_took: Duration,
        signal: Option<Arc<Signal>>,
    ) -> Self {
        let mut proving = Self {
            candidate: Arc::clone(&candidate),
            since: SystemTime::now(),
            loading_took,
            cancelled: CancellationToken::new(),
            refusals: Arc::default(),
            thread: None,
        };
        let judged_gates = gates.gates();
        let (cancelled, refusals) = (proving.cancelled.clone(), Arc::clone(&proving.refusals));
        let work = move || {
            let judge = || gates.judge(&candidate, last.as_deref(), &cancelled);
            let judged = catch_unwind(AssertUnwindSafe(judge)).unwrap_or_else(|panic| {
                let message = format!("the proof panicked: {}", panic_message(&*panic));
                refused(&candidate, &gates.gates(), &message)
            });
            // A state that calls still use is not dropped here.
            drop(last);
            let _ = refusals.set(judged);
            if let Some(signal) = signal {
                signal.hint();
            }
        };
        let thread = thread::Builder::new().name("prove".to_owned()).stack_size(STACK_BYTES);
        match thread.spawn(work) {
            Ok(thread) => proving.thread = Some(thread),
            Err(error) => {
                let message = format!("nothing is proved, for no thread can be started: {error}");
                let _ = proving.refusals.set(refused(&proving.candidate, &judged_gates, &message));
            }
        }
        proving
    }

    /// Returns what came of it, once it has ended. Nothing refused means that the candidate passes.
    pub fn refusals(&self) -> Option<Vec<GateRefusal>> {
        self.refusals.get().cloned()
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic in it is one of the refusals.
            drop(thread.join());
        }
    }

    /// Returns when it began.
    pub fn since(&self) -> SystemTime {
        self.since
    }

    pub fn candidate(&self) -> &Arc<PolicyStore> {
        &self.candidate
    }

    pub fn loading_took(&self) -> Duration {
        self.loading_took
    }
}

impl Drop for Proving {
    fn drop(&mut self) {
        self.cancelled.cancel();
    }
}

/// Refuses a candidate by every gate, none of which was judged.
fn refused(candidate: &PolicyStore, gates: &[Gate], message: &str) -> Vec<GateRefusal> {
    let refusal = |gate: &Gate| GateRefusal {
        gate: *gate,
        problem: Problem::of_file(candidate.name().as_str(), format!("{gate}: {message}")),
    };
    gates.iter().map(refusal).collect()
}
