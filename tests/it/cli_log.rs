//! The process's log where nobody reads it.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use rustix::fs::OFlags;
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::{
    cli::{POLICIES, command, policies, write_store},
    cli_sidecar::{Sidecar, until},
    observe_http::http,
};

/// A pipe that a process gets as its standard error.
struct LogPipe {
    path: PathBuf,
    /// Keeps the pipe open, and does not read.
    held: File,
    _folder: TempDir,
}

impl LogPipe {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let mut options = OpenOptions::new();
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let held = options.read(true).write(true).custom_flags(flags).open(&path);
        Self { path, held: held.unwrap(), _folder: folder }
    }

    /// Leaves no room in it.
    fn fill(&mut self) {
        while self.held.write(&[b'\n'; 4096]).is_ok() {}
        while self.held.write(b"\n").is_ok() {}
    }

    /// The binary with the pipe as its standard error.
    fn command(&self) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"pipe=$1; shift; exec "$@" 2> "$pipe""#, "sh"]);
        shell.arg(&self.path).arg(command(&[]).get_program());
        for (name, value) in command(&[]).get_envs() {
            if value.is_none() {
                shell.env_remove(name);
            }
        }
        shell
    }

    /// Reads on, until the process ends.
    fn read(self) -> (Arc<Mutex<Vec<Json>>>, thread::JoinHandle<()>) {
        let reader = BufReader::new(File::open(&self.path).unwrap());
        let events: Arc<Mutex<Vec<_>>> = Arc::default();
        let read = Arc::clone(&events);
        let thread = thread::spawn(move || {
            for line in reader.lines() {
                read.lock().unwrap().push(serde_json::from_str(&line.unwrap()).unwrap());
            }
        });
        (events, thread)
    }
}

/// The lines that were left out.
fn lost(sidecar: &Sidecar) -> u64 {
    let (_, metrics) = http(sidecar, "GET", "/metrics", "", "");
    let line = metrics.lines().find_map(|line| line.strip_prefix("humbaba_log_lines_lost_total "));
    line.unwrap().parse().unwrap()
}

/// Logs long lines until some are left out.
fn overfill(sidecar: &Sidecar) {
    let filters = ["warn", "info"].map(|level| format!("{level}{}", ",h2=warn".repeat(120)));
    until("lines are left out", || {
        for filter in filters.iter().cycle().take(200) {
            assert_eq!(http(sidecar, "PUT", "/log-level", "", filter).0, 200);
        }
        (lost(sidecar) > 0).then_some(())
    });
    assert_eq!(http(sidecar, "PUT", "/log-level", "", "info").0, 200);
}

#[test]
fn a_log_that_nobody_reads_holds_up_no_revocation_and_no_end() {
    let (folder, pipe) = (policies(&["guard"]), LogPipe::new());
    let mut sidecar = Sidecar::start_as(pipe.command(), folder.path(), &[]);
    let edits = || sidecar.check(&sidecar.tcp(), &["--action", "edit", "--role", "editor"]).code;
    overfill(&sidecar);
    assert_eq!(edits(), 0);
    // Every refusal is logged, and so is what comes in force.
    write_store(folder.path(), "guard", "permit");
    until("a refusal", || {
        let (_, metrics) = http(&sidecar, "GET", "/metrics", "", "");
        metrics.contains("humbaba_store_refused{store=\"guard\"} 1").then_some(())
    });
    let nobody_edits = r#"forbid (principal, action == Guard::Action::"edit", resource);"#;
    write_store(folder.path(), "guard", &format!("{POLICIES}\n{nobody_edits}"));
    until("the revocation", || (edits() == 2).then_some(()));
    sidecar.signal("TERM");
    assert_eq!(sidecar.code(), 0);
}

#[test]
fn a_log_that_is_read_again_tells_how_many_lines_are_missing_and_ends_with_the_last() {
    let (folder, pipe) = (policies(&["guard"]), LogPipe::new());
    let mut sidecar = Sidecar::start_as(pipe.command(), folder.path(), &[]);
    overfill(&sidecar);
    let (events, reader) = pipe.read();
    let missing = || {
        let events = events.lock().unwrap();
        let told = "lines of the log were left out: nobody took them";
        let told = events.iter().filter(|event| event["message"] == told);
        told.map(|event| event["lines"].as_u64().unwrap()).sum::<u64>()
    };
    until("all lines that are missing to be told", || (missing() == lost(&sidecar)).then_some(()));
    sidecar.signal("TERM");
    assert_eq!(sidecar.code(), 0);
    reader.join().unwrap();
    assert_eq!(events.lock().unwrap().last().unwrap()["message"], "stopped");
}

#[test]
fn an_error_at_the_start_ends_it_though_nobody_reads_the_log() {
    let (folder, mut pipe) = (policies(&[]), LogPipe::new());
    write_store(folder.path(), "bad", "permit");
    pipe.fill();
    let listen =
        ["serve", "--listen", "127.0.0.1:0", "--http-listen", "off", "--web-listen", "off"];
    let mut serve = pipe.command();
    let mut child = serve.args(listen).arg("--policies").arg(folder.path()).spawn().unwrap();
    let status = until("the end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(3));
}

#[test]
fn a_swap_of_a_configmap_is_no_warning() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut mount = crate::support::kubelet::Mount::new(&folder.path().join("guard"));
    let files = |policies: &str| {
        let schema = ("schema.cedarschema", crate::cli::SCHEMA.to_owned());
        [schema, ("policies.cedar", policies.to_owned())]
    };
    mount.put(&files(crate::cli::POLICIES));
    let sidecar = Sidecar::start(folder.path(), &[]);
    for swap in 0..3 {
        mount.put(&files(&format!("{}\n// {swap}\n", crate::cli::POLICIES)));
        until("the swap", || {
            let count = sidecar.log().matches("policy store reloaded").count();
            (count > swap).then_some(())
        });
    }
    let log = sidecar.log();
    assert!(!log.contains("notify::") && !log.contains("watch descriptor"), "{log}");
}
