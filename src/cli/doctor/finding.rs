//! Findings, and looking for them in bounded time.

use std::{fmt::Write as _, sync::mpsc, thread, time::Duration};

use serde::Serialize;

use crate::store::STACK_BYTES;

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    Ok,
    /// Humbaba serves all the same.
    Warning,
    /// Humbaba does not start, or something that the settings ask for does not work.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(super) struct DoctorFinding {
    pub level: Severity,
    /// The part of the settings or of the machine.
    pub about: &'static str,
    pub message: String,
    /// The next step for the operator.
    pub advice: Option<String>,
}

/// Everything that was found, in the order in which it was looked at.
#[derive(Debug, Default)]
pub(super) struct DoctorFindings(Vec<DoctorFinding>);

impl DoctorFindings {
    pub(super) fn ok(&mut self, about: &'static str, message: impl Into<String>) {
        self.add(Severity::Ok, about, message.into(), None);
    }

    pub(super) fn warning(
        &mut self,
        about: &'static str,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(Severity::Warning, about, message.into(), Some(advice.into()));
    }

    pub(super) fn problem(
        &mut self,
        about: &'static str,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(Severity::Problem, about, message.into(), Some(advice.into()));
    }

    /// Adds an error of which the message says what to do.
    pub(super) fn error(&mut self, about: &'static str, message: impl Into<String>) {
        self.add(Severity::Problem, about, message.into(), None);
    }

    fn add(
        &mut self,
        level: Severity,
        about: &'static str,
        message: String,
        advice: Option<String>,
    ) {
        self.0.push(DoctorFinding { level, about, message, advice });
    }

    /// Takes the result of a look, or says that it took too long.
    pub(super) fn take<T: Send + 'static>(
        &mut self,
        about: &'static str,
        timeout: Duration,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let found = within(timeout, look);
        if found.is_none() {
            self.problem(
                about,
                format!("it could not be looked at within {} s", timeout.as_secs_f64()),
                "is a disk, a network folder or a program not answering? `--timeout` waits longer",
            );
        }
        found
    }

    pub(super) fn all(&self) -> &[DoctorFinding] {
        &self.0
    }

    pub(super) fn count(&self, level: Severity) -> usize {
        self.0.iter().filter(|finding| finding.level == level).count()
    }

    /// Writes a line a finding, further lines of it and the advice below.
    pub(super) fn human(&self) -> String {
        let width = self.0.iter().map(|finding| finding.about.len()).max().unwrap_or_default();
        let mut text = String::new();
        for DoctorFinding { level, about, message, advice } in &self.0 {
            let level = match level {
                Severity::Ok => "ok",
                Severity::Warning => "warning",
                Severity::Problem => "problem",
            };
            let mut lines = message.lines().chain(advice.iter().flat_map(|advice| advice.lines()));
            let first = lines.next().unwrap_or_default();
            let _ = writeln!(text, "{level:7}  {about:width$}  {first}");
            for line in lines {
                let _ = writeln!(text, "{:7}  {:width$}  {line}", "", "");
            }
        }
        text
    }
}

/// Looks in a thread of its own, and waits that long. A look that hangs ends with the process.
pub(super) fn within<T: Send + 'static>(
    timeout: Duration,
    look: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (send, found) = mpsc::channel();
    // Loading policies needs the stack.
    let thread = thread::Builder::new().stack_size(STACK_BYTES);
    thread.spawn(move || send.send(look())).ok()?;
    found.recv_timeout(timeout).ok()
}
