//! Signals that end a command.

use std::{
    io,
    sync::{Mutex, PoisonError},
    thread,
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
    low_level::emulate_default_handler,
};

use crate::program;

/// Held while a signal ends the process.
static ENDING: Mutex<()> = Mutex::new(());

/// Ends the programs that a command has started, such as git or the solver, before a signal ends the command.
/// They are in groups of their own, which Ctrl-C at a terminal does not reach.
///
/// # Errors
/// The system refuses it.
pub(super) fn end_programs_on_signal() -> io::Result<()> {
    let ignored = procfs::process::Process::myself().and_then(|process| process.status());
    let ignored = ignored.map_or(0, |status| status.sigign);
    // What was started with `nohup` or in the background of a script goes on.
    let is_heeded = |signal: &i32| ignored & (1 << (signal - 1)) == 0;
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM].iter().filter(|one| is_heeded(one)))?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            let ending = ENDING.lock().unwrap_or_else(PoisonError::into_inner);
            program::end_all();
            // The shell is to see that a signal has ended the command, so that a loop in it ends too.
            let _ = emulate_default_handler(signal);
            drop(ending);
        }
    })?;
    Ok(())
}

/// Waits for the end of the process, if a signal is ending it: that a program was killed is no result of
/// the command.
pub(super) fn wait_if_ending() {
    drop(ENDING.lock());
}
