//! Runs other programs, within bounds on their time and on what they write, and ends them.

use std::{
    io::{self, Read, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// Bytes of the standard error that are kept, for messages.
const ERROR_BYTES: u64 = 64 * 1024;
/// Pause between two looks at whether a program that has written everything has ended.
const PAUSE: Duration = Duration::from_millis(5);

/// Bounds on one run of a program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProgramLimits {
    /// Time until it has ended.
    pub time: Duration,
    /// Bytes of its standard output.
    pub output_bytes: u64,
}

/// The status and the output of a program that has ended.
#[derive(Debug)]
pub(crate) struct ProgramOutput {
    /// Its exit status.
    pub status: ExitStatus,
    /// All of its standard output.
    pub output: Vec<u8>,
    /// The first of its standard error.
    pub errors: String,
}

/// A program did not run to its end within its limits.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    /// It cannot be started.
    #[error(transparent)]
    NotStarted(io::Error),
    /// It has not ended in time.
    #[error("it has not ended within {} s", .0.as_secs_f64())]
    TooSlow(Duration),
    /// It writes too much.
    #[error("it writes more than {0} bytes")]
    TooMuch(u64),
    /// The system refuses something else.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Runs a program with `input` on its standard input, and waits for its end. One that exceeds its limits
/// is killed, with the processes that it has started. No runtime is needed, and the calling thread waits.
///
/// # Errors
/// It cannot be started, or exceeds its limits.
pub(crate) fn run(
    command: &mut Command,
    input: Vec<u8>,
    limits: ProgramLimits,
) -> Result<ProgramOutput, ProgramError> {
    let deadline = Instant::now() + limits.time;
    // A group of its own, so that what it starts ends with it.
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(ProgramError::NotStarted)?;
    let mut running = Running { child, has_ended: false };
    let child = &mut running.child;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    // Many programs answer while they read: all three at once, or none goes on.
    in_background(move || stdin.map(|mut stdin| stdin.write_all(&input)))?;
    let output = in_background(move || first_bytes(stdout, limits.output_bytes + 1))?;
    let errors = in_background(move || {
        let mut stderr = stderr;
        let first = first_bytes(stderr.as_mut(), ERROR_BYTES)?;
        // Whoever writes more is not kept waiting.
        stderr.map(|mut rest| io::copy(&mut rest, &mut io::sink())).transpose()?;
        Ok::<_, io::Error>(first)
    })?;
    let output = receive(&output, deadline, limits)??;
    if output.len() as u64 > limits.output_bytes {
        return Err(ProgramError::TooMuch(limits.output_bytes));
    }
    let errors = receive(&errors, deadline, limits)??;
    let status = running.end(deadline, limits)?;
    Ok(ProgramOutput { status, output, errors: String::from_utf8_lossy(&errors).into_owned() })
}

/// Ends all programs that this process has started and that still run, with the processes that those have
/// started in a group of their own. Nothing may be started meanwhile.
pub(crate) fn end_all() {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    // Not by a list of what was started: some programs are started by libraries.
    let Ok(all) = procfs::process::all_processes() else { return };
    let stats = all.flatten().filter_map(|process| process.stat().ok());
    for child in stats.filter(|stat| stat.ppid == own) {
        let Some(id) = Pid::from_raw(child.pid) else { continue };
        // What cannot be killed has ended.
        let _ = if child.pgrp == child.pid {
            kill_process_group(id, Signal::KILL)
        } else {
            kill_process(id, Signal::KILL)
        };
    }
}

/// A program that has been started. Dropping it kills it, unless it has ended.
struct Running {
    child: Child,
    has_ended: bool,
}

impl Running {
    /// Waits for its end.
    fn end(
        &mut self,
        deadline: Instant,
        limits: ProgramLimits,
    ) -> Result<ExitStatus, ProgramError> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.has_ended = true;
                return Ok(status);
            }
            if deadline <= Instant::now() {
                return Err(ProgramError::TooSlow(limits.time));
            }
            thread::sleep(PAUSE);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        // What cannot be killed has ended.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Reads the first bytes of a pipe, at most `bytes`.
fn first_bytes(pipe: Option<impl Read>, bytes: u64) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    pipe.map(|pipe| pipe.take(bytes).read_to_end(&mut read)).transpose()?;
    Ok(read)
}

/// Does something on a thread, which sends its result.
fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<mpsc::Receiver<T>> {
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new().spawn(move || {
        // Nobody receives after the deadline.
        let _ = sender.send(work());
    })?;
    Ok(receiver)
}

fn receive<T>(
    result: &mpsc::Receiver<T>,
    deadline: Instant,
    limits: ProgramLimits,
) -> Result<T, ProgramError> {
    let left = deadline.saturating_duration_since(Instant::now());
    result.recv_timeout(left).map_err(|error| match error {
        RecvTimeoutError::Timeout => ProgramError::TooSlow(limits.time),
        RecvTimeoutError::Disconnected => io::Error::other("a thread has ended").into(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn shell(script: &str, input: &[u8], time: Duration) -> Result<ProgramOutput, ProgramError> {
        let limits = ProgramLimits { time, output_bytes: 100_000 };
        run(Command::new("sh").args(["-c", script]), input.to_vec(), limits)
    }

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(300);

    #[test]
    fn a_program_reads_its_input_and_leaves_its_output() {
        let input = vec![b'x'; 90_000];
        let ended = shell("cat; echo fault >&2; exit 3", &input, LONG).unwrap();
        assert_eq!((ended.output, ended.errors.as_str()), (input, "fault\n"));
        assert_eq!(ended.status.code(), Some(3));
        let ended = shell("exit 0", &[b'x'; 200_000], LONG).unwrap();
        assert!(ended.status.success(), "nobody has to read the input");
        let missing = ProgramLimits { time: LONG, output_bytes: 1 };
        let missing = run(&mut Command::new("/nowhere/program"), Vec::new(), missing);
        assert!(matches!(missing, Err(ProgramError::NotStarted(_))), "{missing:?}");
    }

    #[test]
    fn a_program_that_writes_without_end_is_ended() {
        let begun = Instant::now();
        let written = shell("yes", b"", LONG);
        assert!(matches!(written, Err(ProgramError::TooMuch(100_000))), "{written:?}");
        assert!(begun.elapsed() < LONG);
        let ended = shell("yes >&2", b"", SHORT);
        assert!(matches!(ended, Err(ProgramError::TooSlow(_))), "{ended:?}");
    }

    /// The processes of a group that run.
    fn members(group: &str) -> Vec<String> {
        let stats = std::fs::read_dir("/proc").unwrap().filter_map(|process| {
            std::fs::read_to_string(process.unwrap().path().join("stat")).ok()
        });
        let is_member = |stat: &String| {
            // 42 (sleep) S 1 41 …: state, parent, group
            let mut fields = stat.rsplit(')').next().unwrap().split_whitespace();
            fields.next() != Some("Z") && fields.nth(1) == Some(group)
        };
        stats.filter(is_member).collect()
    }

    #[test]
    fn a_program_that_never_ends_is_killed_with_what_it_has_started() {
        let folder = tempfile::tempdir().unwrap();
        let id = folder.path().join("id");
        for rest in [
            "exec sleep 600",
            "sleep 600 & exec sleep 600",
            "sleep 600 &",
            "exec >&- 2>&-; sleep 600",
        ] {
            let ended = shell(&format!("echo $$ > {}; {rest}", id.display()), b"", SHORT);
            assert!(matches!(ended, Err(ProgramError::TooSlow(_))), "{rest}: {ended:?}");
            let group = std::fs::read_to_string(&id).unwrap();
            let deadline = Instant::now() + LONG;
            while !members(group.trim()).is_empty() {
                assert!(Instant::now() < deadline, "{rest}: {:?}", members(group.trim()));
                thread::sleep(PAUSE);
            }
        }
    }
}
