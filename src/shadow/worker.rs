//! The thread that makes shadow decisions.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, TryRecvError},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    ShadowOptions,
    answer::{ShadowAnswer, Shadowed},
    cpu_limit::CpuLimit,
    lists,
    question::{Asked, Given, ShadowQuestion},
    state::ShadowState,
};
use crate::{
    engine,
    reload::{self, Live, Source},
    request::{self, BatchChecker, Violation},
    store::{PolicyStore, STACK_BYTES},
};

/// The niceness of the thread: it gives way to all that answer calls or reload.
const NICENESS: i32 = 10;

/// Pause between two looks into an empty queue. Were this thread to wait for a question, the thread
/// of the call would have to wake it, with a system call.
const PAUSE: Duration = Duration::from_millis(20);

/// Decides what is in the queue with the candidate.
pub(super) struct ShadowWorker {
    options: ShadowOptions,
    state: Arc<ShadowState>,
    questions: Receiver<ShadowQuestion>,
    cpu_limit: CpuLimit,
}

impl ShadowWorker {
    /// Starts the thread, which ends when nobody can put a question into the queue any more.
    pub(super) fn start(
        options: ShadowOptions,
        state: Arc<ShadowState>,
        questions: Receiver<ShadowQuestion>,
    ) -> io::Result<()> {
        let cpu_limit = CpuLimit::new(options.max_share);
        let worker = Self { options, state, questions, cpu_limit };
        let thread = thread::Builder::new().name("shadow".to_owned()).stack_size(STACK_BYTES);
        thread.spawn(move || worker.run()).map(drop)
    }

    fn run(mut self) {
        if let Err(error) = rustix::process::nice(NICENESS) {
            tracing::debug!(%error, "shadow decisions have the same priority as calls");
        }
        self.load();
        loop {
            match self.questions.try_recv() {
                Ok(question) => self.take(question),
                Err(TryRecvError::Empty) => thread::sleep(PAUSE),
                Err(TryRecvError::Disconnected) => return,
            }
        }
    }

    /// Loads the candidate, and watches it. What is wrong with it stands in log and status.
    fn load(&self) {
        let source = Source::Folder(self.options.folder.clone());
        let options = &self.options.reload;
        if let Err(error) = reload::load(&source, options, &self.state.candidate) {
            let _in_span = options.span.enter();
            tracing::error!(folder = %source, "nothing to compare with: {error}");
        }
        let candidate = Arc::clone(&self.state.candidate);
        let reloader = reload::watch(source, options.clone(), candidate);
        // It is set once, here.
        let _ = self.state.reloader.set(reloader);
    }

    fn take(&mut self, question: ShadowQuestion) {
        let (bytes, count) = (question.weight(), question.len());
        let decide = AssertUnwindSafe(|| self.compare(&question));
        if catch_unwind(decide).is_err() {
            // The panic itself is in the log.
            self.state.failed.fetch_add(count as u64, Ordering::Relaxed);
        }
        drop(question);
        self.state.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn compare(&mut self, question: &ShadowQuestion) {
        let name = question.store.as_str();
        let store = |live: &Live| live.stores().get(name).ok().cloned();
        let live = store(&self.state.live);
        let live = live.filter(|live| *live.revision() == question.revision);
        let (Some(live), Some(candidate)) = (live, store(&self.state.candidate)) else {
            return self.state.leave_out(question.len());
        };
        let held = question.held.as_ref();
        // The rows of the directory were checked against the live schema.
        if held.is_some() && !candidate.has_schema_of(&live) {
            return self.state.leave_out(question.len());
        }
        match &question.asked {
            Asked::One(input, given) => self.compare_one(&live, &candidate, given, |worker| {
                candidate.check_with(held, input, question.now, &worker.options.limits)
            }),
            Asked::Batch(shared, items) => {
                let limits = self.options.limits.clone();
                let begun = Instant::now();
                let mut checker =
                    BatchChecker::new(candidate.known(held), shared, question.now, &limits);
                self.pause_after(begun.elapsed());
                for (item, given) in items {
                    self.compare_one(&live, &candidate, given, |_| match &mut checker {
                        Ok(checker) => checker.check(item),
                        Err(violations) => Err(violations.clone()),
                    });
                }
            }
            Asked::Actions(input, given) => {
                let begun = Instant::now();
                let options = &self.options;
                let list = lists::candidate(&candidate, question, input, options);
                for (given, shadowed) in lists::compared(given, list) {
                    self.state.comparisons.add(&live, &candidate, &given, shadowed);
                }
                self.pause_after(begun.elapsed());
            }
        }
    }

    /// Decides one question, and rests.
    fn compare_one(
        &mut self,
        live: &PolicyStore,
        candidate: &PolicyStore,
        given: &Given,
        check: impl FnOnce(&Self) -> Result<request::Request, Vec<Violation>>,
    ) {
        let begun = Instant::now();
        let shadowed = match check(self) {
            Ok(request) => {
                let on_forbid_error = self.options.on_forbid_error;
                let decision = engine::decide(candidate.engine(), &request, on_forbid_error);
                Shadowed::Decided(ShadowAnswer::from(&decision))
            }
            Err(violations) => Shadowed::refused(violations),
        };
        self.state.comparisons.add(live, candidate, given, shadowed);
        self.pause_after(begun.elapsed());
    }

    fn pause_after(&mut self, work: Duration) {
        if let Some(pause) = self.cpu_limit.pause_after(work) {
            thread::sleep(pause);
        }
    }
}
