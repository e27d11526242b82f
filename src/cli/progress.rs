//! Progress of what takes longer than a second, on the standard error where that is a terminal.

use std::{
    borrow::Cow,
    io::{self, IsTerminal as _},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Time from the beginning of the work until its progress is shown.
const AFTER: Duration = Duration::from_secs(1);

/// Time between two pictures where nothing is done meanwhile.
const TICK: Duration = Duration::from_millis(100);

/// The flag of commands that show progress.
#[derive(Debug, clap::Args)]
pub(super) struct QuietFlag {
    /// Show no progress and no notes, only results and errors
    #[arg(long, short)]
    pub quiet: bool,
}

/// The progress of one piece of work. It is wiped away when this is dropped.
pub(super) struct Progress {
    bar: ProgressBar,
    /// The thread that shows the bar, and what ends its wait.
    shower: Option<(Sender<()>, JoinHandle<()>)>,
}

impl QuietFlag {
    /// Begins to show the progress of some work, e.g. `proving hitkeep`.
    pub(super) fn progress(&self, doing: impl Into<Cow<'static, str>>) -> Progress {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_message(doing);
        // Without a length there is nothing to fill a bar with.
        bar.set_style(style("{msg} {spinner} {elapsed}"));
        let is_shown = !self.quiet && io::stderr().is_terminal();
        let shower = if is_shown { shower(bar.clone()) } else { None };
        Progress { bar, shower }
    }
}

impl Progress {
    /// Shows how many of how many pieces are done.
    pub(super) fn set(&self, done: usize, all: usize) {
        if self.bar.length().is_none() {
            self.bar.set_style(style("{msg} {wide_bar} {pos} of {len} {elapsed}"));
        }
        self.bar.set_length(all as u64);
        self.bar.set_position(done as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((end, shower)) = self.shower.take() {
            drop(end);
            let _ = shower.join();
        }
        self.bar.finish_and_clear();
    }
}

/// Starts the thread that shows a bar; where the system gives none, the work goes on without.
fn shower(bar: ProgressBar) -> Option<(Sender<()>, JoinHandle<()>)> {
    let (end, ended) = mpsc::channel();
    let show = move || {
        if ended.recv_timeout(AFTER) == Err(RecvTimeoutError::Timeout) {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(TICK);
        }
    };
    let shower = thread::Builder::new().spawn(show).ok()?;
    Some((end, shower))
}

/// Makes a style without colours, so that `NO_COLOR` has nothing to forbid.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
