//! The hooks for pre-commit and the example of a workflow: each command that they run is run.

use std::{fs, path::Path, process::Command};

use tempfile::TempDir;

use crate::{
    cli::{command, end},
    symbolic::solver,
};

/// A git repository with a small policy store.
fn repository() -> TempDir {
    let folder = TempDir::new().unwrap();
    let made = end(command(&["init", "--blank", "policies/documents"]).current_dir(folder.path()));
    assert_eq!(made.code, 0, "{made:?}");
    for args in ["init --quiet", "add .", "commit --quiet -m first"] {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=t", "-c", "user.email=t@example.org"]).args(args.split(' '));
        assert!(git.current_dir(folder.path()).status().unwrap().success(), "{args}");
    }
    folder
}

/// Runs the commands that follow a key in a file of this repository, where they are Humbaba's.
fn run_all(file: &str, key: &str) -> usize {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let folder = repository();
    let binary = assert_cmd::cargo::cargo_bin!("humbaba").parent().unwrap().to_owned();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let commands = text.lines().filter_map(|line| line.trim().strip_prefix(key));
    let commands: Vec<_> = commands.filter(|line| line.starts_with("humbaba ")).collect();
    for written in &commands {
        if written.starts_with("humbaba prove") && solver().is_none() {
            continue;
        }
        let mut shell = Command::new("sh");
        shell.args(["-c", written]).env("PATH", &path).env("BASE", "HEAD");
        let output = shell.current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{written}: {output:?}");
    }
    commands.len()
}

#[test]
fn the_commands_of_the_hooks_succeed_on_a_good_store() {
    assert_eq!(run_all(".pre-commit-hooks.yaml", "entry: "), 3);
}

#[test]
fn the_commands_of_the_workflow_succeed_on_a_good_store() {
    assert_eq!(run_all("docs/examples/policies-ci.yaml", "run: "), 5);
}
