//! `humbaba man`

use std::process::Command;

use tempfile::TempDir;

use crate::{
    cli::{command, end},
    support::skip::skip,
};

#[test]
fn there_is_a_man_page_of_each_command_that_man_can_show() {
    let folder = TempDir::new().unwrap();
    let pages = folder.path().join("man/man1");
    let ended = end(&mut command(&["man", pages.to_str().unwrap()]));
    assert_eq!(ended.code, 0, "{ended:?}");
    let names: Vec<_> = std::fs::read_dir(&pages)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for name in ["humbaba.1", "humbaba-doctor.1", "humbaba-directory-put.1", "humbaba-man.1"] {
        assert!(names.iter().any(|one| one == name), "{name}: {names:?}");
    }
    // Those that help lists, and no other.
    let help = end(&mut command(&["--help"])).out;
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    // The description of a command goes on in lines that are further in.
    let names_one = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let commands = commands.lines().take_while(|line| !line.is_empty()).filter(names_one);
    let commands: Vec<_> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() > 15, "{commands:?}");
    for one in commands.iter().filter(|one| **one != "help") {
        assert!(names.contains(&format!("humbaba-{one}.1")), "{one}: {names:?}");
    }
    if Command::new("groff").arg("--version").output().is_err() {
        return skip("`groff` is not installed");
    }
    for name in names {
        let shown = Command::new("groff")
            .args(["-Kutf8", "-man", "-Tutf8", "-P-cbu", "-ww", name.as_str()])
            .current_dir(&pages)
            .output()
            .unwrap();
        let (out, err) =
            (String::from_utf8_lossy(&shown.stdout), String::from_utf8_lossy(&shown.stderr));
        assert!(shown.status.success() && err.is_empty(), "{name}: {err}");
        assert!(out.contains("SYNOPSIS"), "{name}: {out}");
    }
}

#[test]
fn man_pages_are_not_written_where_that_cannot_be() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let ended = end(&mut command(&["man", file.to_str().unwrap()]));
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.err.contains("cannot write to"), "{ended:?}");
}
