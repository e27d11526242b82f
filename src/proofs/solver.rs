//! The solver: cvc5, as a process for each thread that asks.

use std::{
    ffi::OsString,
    io,
    num::NonZeroUsize,
    process,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use cedar_policy_symcc::{
    CedarSymCompiler, Env, WellFormedAsserts, err::Error as SymccError, solver::LocalSolver,
};
use tokio::{process::Command, runtime::Runtime};
use tokio_util::sync::CancellationToken;

use crate::{
    model::OnForbidError,
    program::{self, ProgramError, ProgramLimits},
    store::STACK_BYTES,
};

/// The environment variable that names the solver.
const VARIABLE: &str = "CVC5";
/// Bounds on the answer to `--version`: cvc5 takes milliseconds for its 3 KB.
const VERSION_LIMITS: ProgramLimits =
    ProgramLimits { time: Duration::from_secs(10), output_bytes: 64 * 1024 };
/// Time beyond the timeout of a question after which a solver is taken to be stuck. Its question is
/// compiled in that time, too.
const PATIENCE: Duration = Duration::from_secs(60);

/// The solver cvc5.
#[derive(Debug, Clone)]
pub struct Solver {
    program: OsString,
    version: String,
}

/// There is no solver.
#[derive(Debug, thiserror::Error)]
pub enum SolverMissing {
    /// It cannot be started.
    #[error(
        "the solver cvc5 cannot be started as `{program}`: {error}\n\
         install it (Debian and Ubuntu: `apt-get install cvc5`; others: \
         https://github.com/cvc5/cvc5/releases), or name it with the variable CVC5"
    )]
    NotStarted {
        /// The program that was tried.
        program: String,
        /// The system's error.
        error: io::Error,
    },
    /// It does not say what it is.
    #[error(
        "`{program} --version` does not say what it is: {reason}\n\
         is CVC5 the path of the solver?"
    )]
    NoVersion {
        /// The program that was tried.
        program: String,
        /// The reason.
        reason: String,
    },
    /// The program that was started is not cvc5.
    #[error("`{program} --version` does not name cvc5: is CVC5 the path of the solver?")]
    NotCvc5 {
        /// The program that was tried.
        program: String,
    },
}

impl Solver {
    /// Finds the solver that `CVC5` names, else `cvc5` on the PATH. It is started to be asked for its
    /// version, for which it has a few seconds; the calling thread waits.
    ///
    /// # Errors
    /// There is none, with advice on how to get it.
    pub fn find() -> Result<Self, SolverMissing> {
        let program = std::env::var_os(VARIABLE).unwrap_or_else(|| "cvc5".into());
        let name = program.to_string_lossy().into_owned();
        let mut command = process::Command::new(&program);
        command.arg("--version").env_clear().envs(environment());
        let ended = program::run(&mut command, Vec::new(), VERSION_LIMITS);
        let ended = ended.map_err(|error| match error {
            ProgramError::NotStarted(error) => {
                SolverMissing::NotStarted { program: name.clone(), error }
            }
            error => SolverMissing::NoVersion { program: name.clone(), reason: error.to_string() },
        })?;
        let output = String::from_utf8_lossy(&ended.output);
        // This is cvc5 version 1.0.3
        let version = output.split_once("cvc5 version ").map(|(_, rest)| rest);
        let version = version.and_then(|rest| rest.split_whitespace().next());
        let version = version.ok_or(SolverMissing::NotCvc5 { program: name })?;
        Ok(Self { program, version: version.to_owned() })
    }

    /// Returns the solver's version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// Limits on proofs.
#[derive(Debug, Clone)]
pub struct ProofOptions {
    /// Time that the solver may take for one question.
    pub query_timeout: Duration,
    /// The moment at which what is not proved is unknown.
    pub deadline: Option<Instant>,
    /// Ends a proof early.
    pub cancelled: CancellationToken,
    /// Solvers at once.
    pub solvers: NonZeroUsize,
    /// The rule for a forbid whose evaluation fails, where two states are compared.
    pub on_forbid_error: OnForbidError,
}

impl ProofOptions {
    /// The default of [`Self::query_timeout`], in seconds.
    pub const QUERY_TIMEOUT_S: u64 = 20;
}

impl Default for ProofOptions {
    fn default() -> Self {
        Self {
            query_timeout: Duration::from_secs(Self::QUERY_TIMEOUT_S),
            deadline: None,
            cancelled: CancellationToken::new(),
            solvers: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            on_forbid_error: OnForbidError::default(),
        }
    }
}

/// The solver's answer to a claim.
#[derive(Debug)]
pub(super) enum SolverAnswer {
    /// The claim holds for all requests.
    Holds,
    /// There is a request for which it does not.
    Fails,
    /// Neither, with the reason.
    Unknown(String),
}

/// One solver process, and the means to ask it.
pub(super) struct Session<'a> {
    solver: &'a Solver,
    options: &'a ProofOptions,
    runtime: Runtime,
    process: Option<CedarSymCompiler<LocalSolver>>,
}

impl<'a> Session<'a> {
    fn new(solver: &'a Solver, options: &'a ProofOptions) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("cannot start a runtime: {error}"))?;
        Ok(Self { solver, options, runtime, process: None })
    }

    /// Returns why nothing is to be asked any more, if so.
    pub fn is_over(&self) -> Option<String> {
        if self.options.cancelled.is_cancelled() {
            return Some("the proof was cancelled".to_owned());
        }
        let is_late = self.options.deadline.is_some_and(|deadline| deadline <= Instant::now());
        is_late.then(|| "the time for the proof is over".to_owned())
    }

    /// Asks whether a claim holds.
    pub fn holds(&mut self, claim: &WellFormedAsserts<'_>) -> SolverAnswer {
        match self.ask(async |process| process.check_unsat(claim).await) {
            Ok(true) => SolverAnswer::Holds,
            Ok(false) => SolverAnswer::Fails,
            Err(reason) => SolverAnswer::Unknown(reason),
        }
    }

    /// Asks for a counterexample to a claim; nothing where the claim holds.
    pub fn counterexample(&mut self, claim: &WellFormedAsserts<'_>) -> Result<Option<Env>, String> {
        self.ask(async |process| process.check_sat(claim).await)
    }

    fn ask<T>(
        &mut self,
        question: impl AsyncFnOnce(&mut CedarSymCompiler<LocalSolver>) -> Result<T, SymccError>,
    ) -> Result<T, String> {
        let Self { solver, options, runtime, process } = self;
        // The process leaves `self` so that an answer that never came ends it.
        let taken = process.take();
        let asked = runtime.block_on(async {
            let mut running = match taken {
                Some(running) => running,
                None => start(solver, options)?,
            };
            let deadline = options.deadline.map(tokio::time::Instant::from_std);
            let at_deadline = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            // A solver keeps to the timeout by itself, unless it is stuck or is no solver.
            let is_stuck = tokio::time::sleep(options.query_timeout.saturating_add(PATIENCE));
            tokio::select! {
                biased;
                () = options.cancelled.cancelled() => Err("the proof was cancelled".to_owned()),
                () = at_deadline => Err("the time for the proof is over".to_owned()),
                result = question(&mut running) => Ok((result, running)),
                () = is_stuck => Err("the solver does not answer".to_owned()),
            }
        });
        let (result, running) = asked?;
        match result {
            Ok(answer) => {
                *process = Some(running);
                Ok(answer)
            }
            Err(SymccError::SolverUnknown) => {
                *process = Some(running);
                let limit = options.query_timeout.as_secs_f64();
                Err(format!("the solver does not know, or needs more than {limit} s"))
            }
            Err(error) => Err(super::text_of(&error)),
        }
    }
}

/// Returns the variables that a solver is started with. The process has secrets in others.
fn environment() -> impl Iterator<Item = (&'static str, OsString)> {
    let kept = ["PATH", "LD_LIBRARY_PATH"].into_iter();
    kept.filter_map(|name| std::env::var_os(name).map(|value| (name, value)))
}

fn start(solver: &Solver, options: &ProofOptions) -> Result<CedarSymCompiler<LocalSolver>, String> {
    let limit = format!("--tlimit-per={}", options.query_timeout.as_millis().max(1));
    let mut command = Command::new(&solver.program);
    // `like` is made of operations on texts that the solver knows only when it is told so.
    command.args(["--lang", "smt", "--strings-exp", limit.as_str()]).kill_on_drop(true);
    command.env_clear().envs(environment());
    let process = LocalSolver::from_command(&mut command).map_err(|error| {
        format!(
            "cannot start `{}`: {}",
            solver.program.to_string_lossy(),
            super::text_of(&error.into())
        )
    })?;
    CedarSymCompiler::new(process).map_err(|error| super::text_of(&error))
}

/// Works on tasks with several solvers, and returns the results in the order of the tasks. `progress`
/// is told how many are done.
pub(super) fn work<T: Sync, R: Send>(
    solver: &Solver,
    options: &ProofOptions,
    tasks: &[T],
    progress: &(dyn Fn(usize, usize) + Sync),
    work: impl Fn(&mut Session<'_>, &T) -> R + Sync,
) -> Result<Vec<R>, String> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(tasks.len()));
    let threads = options.solvers.get().min(tasks.len());
    let worker = || -> Result<(), String> {
        let mut session = Session::new(solver, options)?;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(task) = tasks.get(index) else { return Ok(()) };
            let result = work(&mut session, task);
            results.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, tasks.len());
        }
    };
    thread::scope(|scope| {
        let started: Vec<_> = (0..threads)
            .map(|_| thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, worker))
            .collect();
        for thread in started {
            let thread = thread.map_err(|error| format!("cannot start a thread: {error}"))?;
            thread.join().map_err(|_| "the proof panicked".to_owned())??;
        }
        Ok::<(), String>(())
    })?;
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}
