//! Signals that end a command end the programs that it has started.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::{
    cli::{command, policies},
    cli_sidecar::{Sidecar, until},
};

/// A program that notes its process, and never ends.
struct Hanging {
    folder: TempDir,
}

/// Starts another process, which is to end with it.
const WITH_ANOTHER: &str = "sleep 600 & note $$ $!; wait";
const ALONE: &str = "note $$; exec sleep 600";

impl Hanging {
    /// Writes the program, which says that it is cvc5 where it is asked, and then does what is given.
    fn new(name: &str, then: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let program = folder.path().join(name);
        let noted = folder.path().join("noted");
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = --version ]; then echo This is cvc5 version 0; exit; fi\n\
             note() {{ echo $* > {0}.new; mv {0}.new {0}; }}\n{then}\n",
            noted.display()
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Waits until it runs, and returns its process and the one that it has started.
    fn processes(&self) -> Vec<PathBuf> {
        let noted =
            until("the program is started", || fs::read_to_string(self.path().join("noted")).ok());
        noted.split_whitespace().map(|id| Path::new("/proc").join(id)).collect()
    }
}

fn is_gone(process: &Path) -> bool {
    // A process that has ended and was not waited for yet is a zombie.
    fs::read_to_string(process.join("stat")).map_or(true, |stat| stat.contains(") Z "))
}

fn all_are_gone(processes: &[PathBuf]) {
    for process in processes {
        until("the end of a program", || is_gone(process).then_some(()));
    }
}

const DEFAULT: &str = "--default-signal=HUP,INT,TERM";

/// The binary, started by `env` with options about signals, whatever those of this process are.
fn under_env(options: &[&str], args: &[&str]) -> Command {
    let humbaba = command(args);
    let mut command = Command::new("env");
    command.args(options).arg(humbaba.get_program()).args(args).stdin(Stdio::null());
    for (name, value) in humbaba.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn signal(id: u32, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &id.to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn a_signal_ends_git_too_and_the_command_by_itself() {
    let git = Hanging::new("git", WITH_ANOTHER);
    let path = format!("{}:{}", git.path().display(), std::env::var("PATH").unwrap());
    let new = policies(&["guard"]);
    for (name, number) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        let args = ["diff", "git:HEAD", new.path().to_str().unwrap()];
        let running = under_env(&[DEFAULT], &args).env("PATH", &path).spawn().unwrap();
        let processes = git.processes();
        signal(running.id(), name);
        let ended = running.wait_with_output().unwrap();
        assert_eq!(ended.status.signal(), Some(number), "a shell ends its loop: {ended:?}");
        assert!(ended.stderr.is_empty() && ended.stdout.is_empty(), "{ended:?}");
        all_are_gone(&processes);
        fs::remove_file(git.path().join("noted")).unwrap();
    }
}

#[test]
fn a_signal_that_the_command_was_started_to_ignore_ends_nothing() {
    let git = Hanging::new("git", WITH_ANOTHER);
    let path = format!("{}:{}", git.path().display(), std::env::var("PATH").unwrap());
    let new = policies(&["guard"]);
    let args = ["diff", "git:HEAD", new.path().to_str().unwrap()];
    let mut running = under_env(&[DEFAULT, "--ignore-signal=HUP"], &args);
    let mut running = running.env("PATH", &path).spawn().unwrap();
    let processes = git.processes();
    signal(running.id(), "HUP");
    signal(running.id(), "TERM");
    assert_eq!(running.wait().unwrap().signal(), Some(15), "the first was ignored");
    all_are_gone(&processes);
}

#[cfg(feature = "prove")]
#[test]
fn a_signal_ends_the_solver_too() {
    let solver = Hanging::new("cvc5", ALONE);
    let folder = policies(&["guard"]);
    let mut humbaba = under_env(&[DEFAULT], &["prove", folder.path().to_str().unwrap()]);
    let running = humbaba.env("CVC5", solver.path().join("cvc5")).spawn().unwrap();
    let processes = solver.processes();
    signal(running.id(), "TERM");
    assert_eq!(running.wait_with_output().unwrap().status.signal(), Some(15));
    all_are_gone(&processes);
}

#[cfg(feature = "prove")]
#[test]
fn a_sidecar_that_ends_leaves_no_solver_behind() {
    let solver = Hanging::new("cvc5", ALONE);
    let folder = policies(&["guard"]);
    let variable = ("CVC5", solver.path().join("cvc5").to_str().unwrap().to_owned());
    let invariants = folder.path().join("guard/invariants");
    fs::create_dir(&invariants).unwrap();
    fs::write(
        invariants.join("a.cedar"),
        "@id(\"n\") @never(\"nobody\") permit (principal, action, resource);",
    )
    .unwrap();
    let mut sidecar = Sidecar::begin_with(folder.path(), &["--require", "invariants"], &[variable]);
    let processes = solver.processes();
    sidecar.signal("TERM");
    assert_eq!(sidecar.code(), 0, "{}", sidecar.log());
    all_are_gone(&processes);
}
