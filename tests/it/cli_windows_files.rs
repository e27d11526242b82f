//! Files as editors and shells on Windows write them: with a byte order mark, lines ended by CR and LF, or in
//! UTF-16.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::cli::{Ended, command, end, policies, run};

fn marked(text: &str) -> Vec<u8> {
    format!("\u{feff}{}", text.replace('\n', "\r\n")).into_bytes()
}

fn utf16(text: &str) -> Vec<u8> {
    format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Writes a file again in another form.
fn rewrite(path: &Path, form: fn(&str) -> Vec<u8>) {
    let text = fs::read_to_string(path).unwrap();
    fs::write(path, form(&text)).unwrap();
}

/// A shipped store, and the paths of all its files.
fn store() -> (TempDir, Vec<PathBuf>) {
    let place = TempDir::new().unwrap();
    let folder = place.path().join("hitkeep");
    assert_eq!(end(command(&["init", "hitkeep"]).arg(&folder)).code, 0);
    let folders = [folder.clone(), folder.join("tests"), folder.join("invariants")];
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let paths = paths.collect();
    (place, paths)
}

#[test]
fn a_store_with_marks_and_crlf_passes_its_tests() {
    let (place, files) = store();
    for path in &files {
        rewrite(path, marked);
    }
    for args in [&["validate", "--deny-warnings"][..], &["test"]] {
        let ended = end(command(args).arg(place.path()));
        assert_eq!(ended.code, 0, "{args:?}: {ended:?}");
    }
}

#[test]
fn every_file_of_a_store_that_is_utf16_is_refused_by_name() {
    let (place, files) = store();
    let path_of = |name| place.path().join("hitkeep").join(name);
    // Documents are not read, the other two only by those who need them.
    let is_read = |path: &&PathBuf| {
        path.extension() != Some("md".as_ref())
            && !path.starts_with(path_of("invariants"))
            && **path != path_of("mutants.toml")
    };
    for path in files.iter().filter(is_read) {
        let before = fs::read(path).unwrap();
        rewrite(path, utf16);
        let ended = end(command(&["test", "--filter", "no case"]).arg(place.path()));
        let name = path.strip_prefix(place.path()).unwrap().display();
        assert_eq!(ended.code, 3, "{name}: {ended:?}");
        let said = format!("{name}: the file is not UTF-8 text: it looks like UTF-16");
        assert!(ended.out.contains(&said), "{name}: {}", ended.out);
        fs::write(path, before).unwrap();
    }
}

#[test]
fn settings_with_a_mark_count_and_settings_in_utf16_are_refused_by_name() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("humbaba.toml");
    let print = || end(command(&["serve", "--print-config", "--config"]).arg(&file));
    let text = "[limits]\nentities = 77\n";
    fs::write(&file, marked(text)).unwrap();
    let ended = print();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("entities = 77"), "{}", ended.out);
    fs::write(&file, utf16(text)).unwrap();
    let ended = print();
    assert_eq!(ended.code, 64, "{ended:?}");
    assert!(ended.err.contains("it is not UTF-8 text: it looks like UTF-16"), "{}", ended.err);
}

#[test]
fn questions_and_records_with_a_mark_are_read_and_in_utf16_refused_by_name() {
    let (old, new) = (policies(&["guard"]), TempDir::new().unwrap());
    crate::cli::write_store(new.path(), "guard", "permit (principal, action, resource);");
    let records = new.path().join("records.jsonl");
    let (old, new) = (old.path().to_str().unwrap(), new.path().to_str().unwrap());
    let records_path = records.to_str().unwrap();
    assert_eq!(run(&["diff", old, new, "--witness", records_path]).code, 2);
    let all = fs::read_to_string(&records).unwrap();
    let first = format!("{}\n", all.lines().next().unwrap());
    let again = |bytes: Vec<u8>| -> Ended {
        fs::write(&records, bytes).unwrap();
        run(&["check", "--policies", new, "--record", records_path])
    };
    let read = again(marked(&first));
    assert_eq!(read.code, 0, "{read:?}");
    let refused = again(utf16(&first));
    assert_eq!(refused.code, 64, "{refused:?}");
    assert!(refused.err.contains("it looks like UTF-16"), "{}", refused.err);

    let question = ["check", "--policies", old, "--principal", r#"User::"a""#, "--role", "owner"];
    let rest = ["--action", "edit", "--resource", r#"Site::"1""#, "--context-file"];
    let ask = |bytes: Vec<u8>| -> Ended {
        fs::write(&records, bytes).unwrap();
        run(&[&question[..], &rest, &[records_path]].concat())
    };
    let audit = "{\n\"reason\": \"audit\"\n}\n";
    assert_eq!(ask(marked(audit)).code, 2, "the forbid counts");
    assert!(ask(utf16(audit)).err.contains("it looks like UTF-16"));
}
