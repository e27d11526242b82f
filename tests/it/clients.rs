//! Official gRPC clients in other languages, as they are installed and with their defaults.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use humbaba::proto::{
    Decision, EntityUid, IsAuthorizedRequest, IsAuthorizedResponse, RoleAssignment,
};
use prost::Message as _;
use tempfile::TempDir;

use crate::cli_sidecar::Sidecar;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a command and returns what it printed, or why it failed.
fn run(command: &mut Command) -> Result<String, String> {
    let ended = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if ended.status.success() {
        return Ok(String::from_utf8(ended.stdout).unwrap());
    }
    Err(format!("{command:?}: {}\n{}", ended.status, String::from_utf8_lossy(&ended.stderr)))
}

/// Skips the test where a client cannot be installed, but not in CI.
fn installed<T>(client: Result<T, String>) -> Option<T> {
    match client {
        Ok(client) => Some(client),
        Err(why) if std::env::var("CI").is_ok_and(|ci| !ci.is_empty()) => panic!("{why}"),
        Err(why) => {
            println!("skipped: {why}");
            None
        }
    }
}

/// Asks for something allowed over a Unix socket and returns how many answers there were.
fn ask_over_a_unix_socket(client: &mut Command) -> usize {
    let question = IsAuthorizedRequest {
        policy_store: "hitkeep".to_owned(),
        principal: Some(EntityUid { r#type: "User".to_owned(), id: "alice".to_owned() }),
        action: Some(EntityUid { id: "site.goals.create".to_owned(), ..Default::default() }),
        resource: Some(EntityUid { r#type: "Site".to_owned(), id: "42".to_owned() }),
        role_assignments: vec![RoleAssignment { role: "editor".to_owned(), ..Default::default() }],
        ..Default::default()
    };
    let sidecar = Sidecar::start(&root().join("policies"), &[]);
    let question: String = question.encode_to_vec().iter().map(|b| format!("{b:02x}")).collect();
    let printed = run(client.args([&sidecar.unix(), &question])).unwrap();
    for line in printed.lines() {
        let (id, answer) = line.split_once(' ').unwrap();
        let bytes = (0..answer.len()).step_by(2).map(|at| &answer[at..at + 2]);
        let bytes: Vec<_> = bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        let answer = IsAuthorizedResponse::decode(&*bytes).unwrap();
        assert_eq!((answer.decision(), &*answer.decision_id), (Decision::Allow, id));
    }
    printed.lines().count()
}

/// Python with grpcio, in an environment of its own.
fn python(folder: &Path) -> Result<PathBuf, String> {
    run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let python = folder.join("bin/python");
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    run(Command::new(&python).args(pip).arg("grpcio==1.85.3"))?;
    Ok(python)
}

#[test]
fn python_asks_over_a_unix_socket() {
    let folder = TempDir::new().unwrap();
    let Some(python) = installed(python(folder.path())) else { return };
    let script = root().join("tests/clients/python.py");
    assert_eq!(ask_over_a_unix_socket(Command::new(python).arg(script)), 5 * 201 + 5 * 200);
}

#[test]
fn ruby_asks_over_a_unix_socket() {
    let grpc = run(Command::new("ruby").args(["-e", "require 'grpc'"]));
    if installed(grpc).is_none() {
        return;
    }
    let script = root().join("tests/clients/ruby.rb");
    assert_eq!(ask_over_a_unix_socket(Command::new("ruby").arg(script)), 200);
}
