//! Progress, quiet and colours: a person at a terminal sees them, a program does not.

use std::{path::Path, process::Command};

use tempfile::TempDir;

use crate::{
    cli::{Ended, command, end},
    support::skip::skip,
};

/// The shipped stores, on which the work takes seconds.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a command at a terminal of its own; nothing where there is no `script`.
fn at_a_terminal(args: &str, variables: &[(&str, &str)]) -> Option<Ended> {
    if Command::new("script").arg("--version").output().is_err() {
        skip("`script` is not installed (Debian: bsdutils)");
        return None;
    }
    let line = format!("'{}' {args}", env!("CARGO_BIN_EXE_humbaba"));
    let mut command = Command::new("script");
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command.args(["-qec", &line, "/dev/null"]).current_dir(root()).env("TERM", "xterm");
    Some(end(command.envs(variables.iter().copied())))
}

const MUTANTS: &str = "test policies/hitkeep --mutants";

#[test]
fn progress_is_shown_at_a_terminal_and_wiped_away() {
    let Some(ended) = at_a_terminal(MUTANTS, &[]) else { return };
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("changing hitkeep"), "{}", ended.out);
    // The bar stands in one line, which is cleared at the end.
    let after = ended.out.rsplit_once("changing hitkeep").unwrap().1;
    assert!(after.contains("\u{1b}[2K") && after.contains("mutants: "), "{after:?}");
}

#[test]
fn quiet_and_a_pipe_show_no_progress() {
    if let Some(ended) = at_a_terminal(&format!("{MUTANTS} --quiet"), &[]) {
        assert!(!ended.out.contains("changing") && ended.out.contains("mutants: "), "{ended:?}");
    }
    let mut piped = command(&MUTANTS.split(' ').collect::<Vec<_>>());
    let ended = end(piped.current_dir(root()));
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    assert!(!ended.out.contains('\u{1b}'), "{}", ended.out);
}

#[test]
fn quiet_leaves_out_the_notes_of_an_import() {
    let folder = TempDir::new().unwrap();
    let table = folder.path().join("roles.csv");
    std::fs::write(&table, "action,owner\nread,x\n").unwrap();
    let import = |to: &str, more: &[&str]| {
        let to = folder.path().join(to);
        let args = ["import", "csv", table.to_str().unwrap(), to.to_str().unwrap()];
        end(&mut command(&[&args[..], more].concat()))
    };
    assert!(import("loud", &[]).out.contains("1 role, 1 action"));
    let quiet = import("quiet", &["-q"]);
    assert_eq!((quiet.code, quiet.out.as_str(), quiet.err.as_str()), (0, "", ""));
}

#[test]
fn colours_are_for_terminals_and_as_the_variables_want_them() {
    let coloured = |variables: &[(&str, &str)]| {
        let ended = at_a_terminal("matrix policies/hitkeep-v1 --quiet", variables)?;
        assert_eq!(ended.code, 0, "{ended:?}");
        Some(ended.out.contains('\u{1b}'))
    };
    for (variables, expected) in [
        (&[][..], true),
        (&[("NO_COLOR", "1")], false),
        (&[("NO_COLOR", "")], true),
        (&[("CLICOLOR", "0")], false),
        (&[("TERM", "dumb")], false),
        (&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], false),
    ] {
        let Some(is_coloured) = coloured(variables) else { return };
        assert_eq!(is_coloured, expected, "{variables:?}");
    }
    let mut piped = command(&["matrix", "policies/hitkeep-v1"]);
    let piped = piped.current_dir(root()).env_remove("NO_COLOR");
    assert!(!end(piped).out.contains('\u{1b}'));
    assert!(end(piped.env("CLICOLOR_FORCE", "1")).out.contains('\u{1b}'));
}
