//! Shadow decisions: questions that were answered are decided once more with candidate policies, to
//! see whom a change would allow or deny something before it is in force.
//!
//! Architecture Invariant: nothing here is on the way of an answer. A thread that answers calls
//! copies its question into a queue, or counts it as left out where there is no room, and never
//! waits. One thread of low priority decides what is in the queue, for a bounded share of its time,
//! and loads the candidate at first; the reloading thread that it starts follows the folder.

mod answer;
mod comparisons;
mod cpu_limit;
mod lists;
mod metrics;
mod options;
mod question;
mod state;
mod worker;

pub use answer::{ShadowAnswer, ShadowDirection};
pub use comparisons::{ShadowComparison, ShadowDifference};
pub use cpu_limit::{CpuShare, CpuShareError};
pub use options::ShadowOptions;
pub use question::{Asked, Given, GivenList, ShadowQuestion};

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
};

use serde::Serialize;

use self::{
    comparisons::Comparisons,
    metrics::ShadowMetrics,
    state::{ShadowState, observe_left_out},
    worker::ShadowWorker,
};
use crate::{
    reload::{Live, LoadStatus, Reloader},
    store::PolicyStore,
    telemetry::MetricsProvider,
};

/// Decides questions once more with candidate policies. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Shadow(Option<Arc<Queue>>);

#[derive(Debug)]
struct Queue {
    questions: mpsc::Sender<ShadowQuestion>,
    most_bytes: usize,
    state: Arc<ShadowState>,
}

/// The state of shadow decisions.
#[derive(Debug)]
pub struct ShadowStatus {
    /// The state of loading the candidate.
    pub candidate: Arc<LoadStatus>,
    /// Questions that were counted.
    pub counts: ShadowCounts,
    /// The comparisons of the revisions that decide now, by store.
    pub comparisons: Vec<ShadowComparison>,
}

/// Numbers of questions since the start of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ShadowCounts {
    /// Questions that were not compared: the queue had no room, the policies changed while they
    /// waited, or the store has a directory and the candidate another schema.
    pub left_out: u64,
    /// Questions whose shadow decision broke off.
    pub failed: u64,
    /// Bytes of questions that wait, about.
    pub waiting_bytes: usize,
}

impl Shadow {
    /// Decides nothing.
    #[must_use]
    pub fn off() -> Self {
        Self(None)
    }

    /// Begins to load the candidate and to compare answers with it. `live` is what decides the
    /// answers. A candidate that cannot be loaded is reported in log and status.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(
        options: ShadowOptions,
        live: Arc<Live>,
        metrics: &MetricsProvider,
    ) -> io::Result<Self> {
        let (questions, waiting) = mpsc::channel();
        let state = Arc::new(ShadowState {
            live,
            candidate: Arc::default(),
            reloader: OnceLock::new(),
            waiting_bytes: AtomicUsize::new(0),
            left_out: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            comparisons: Comparisons::new(ShadowMetrics::new(&metrics.meter())),
        });
        observe_left_out(&metrics.meter(), &state);
        let most_bytes = options.queue_bytes;
        ShadowWorker::start(options, Arc::clone(&state), waiting)?;
        Ok(Self(Some(Arc::new(Queue { questions, most_bytes, state }))))
    }

    /// Returns whether the candidate has other policies for this store.
    #[must_use]
    pub fn compares(&self, store: &PolicyStore) -> bool {
        self.0.as_ref().is_some_and(|queue| queue.state.compares(store))
    }

    /// Returns whether a question that this store decides is to be compared. One for which there is
    /// no room is counted as left out.
    #[must_use]
    pub fn wants(&self, store: &PolicyStore, questions: usize) -> bool {
        let Some(queue) = &self.0 else { return false };
        if !queue.state.compares(store) {
            return false;
        }
        let has_room = queue.state.waiting_bytes.load(Ordering::Relaxed) < queue.most_bytes;
        if !has_room {
            queue.state.leave_out(questions);
        }
        has_room
    }

    /// Compares the answers to a question with those of the candidate, later. Never waits.
    pub fn compare(&self, question: ShadowQuestion) {
        let Some(queue) = &self.0 else { return };
        let (state, bytes, questions) = (&queue.state, question.weight(), question.len());
        let before = state.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        // It fails only where the thread has ended.
        if before + bytes > queue.most_bytes || queue.questions.send(question).is_err() {
            state.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            state.leave_out(questions);
        }
    }

    /// Has the candidate read again, as SIGHUP does.
    pub fn hint(&self) {
        let reloader = self.0.as_ref().and_then(|queue| queue.state.reloader.get());
        reloader.into_iter().for_each(Reloader::hint);
    }

    /// Returns the state; nothing where no shadow decisions are made.
    #[must_use]
    pub fn status(&self) -> Option<ShadowStatus> {
        let state = &self.0.as_ref()?.state;
        let counts = ShadowCounts {
            left_out: state.left_out.load(Ordering::Relaxed),
            failed: state.failed.load(Ordering::Relaxed),
            waiting_bytes: state.waiting_bytes.load(Ordering::Relaxed),
        };
        let mut comparisons = state.comparisons.all();
        comparisons.retain(|comparison| state.is_current(comparison));
        Some(ShadowStatus { candidate: state.candidate.status(), counts, comparisons })
    }
}
