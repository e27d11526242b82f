//! The decision log of the binary, and `humbaba check --record`.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use humbaba::proto::ListActionsRequest;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::{
    cli::{POLICIES, command, end, policies, run, write_store},
    cli_sidecar::{Sidecar, until},
    observe_otlp::asking,
    support::{
        ask::{Asking as _, ask},
        skip::skip_even_in_ci,
    },
};

/// A log of an allow with an expired role, a deny, and the policies that decided.
fn log() -> (TempDir, TempDir, String) {
    let (folder, place) = (policies(&["guard"]), TempDir::new().unwrap());
    let file = place.path().join("decisions.jsonl").to_str().unwrap().to_owned();
    let mut sidecar =
        Sidecar::start(folder.path(), &["--decision-log=required", "--decision-log-file", &file]);
    let soon = r#"editor@Site::"42"=2999-01-01T00:00:00Z"#;
    let facts = ["--action", "edit", "--role", soon, "--context", r#"reason="on=off""#];
    assert_eq!(sidecar.check(&sidecar.unix(), &facts).code, 0);
    assert_eq!(sidecar.check(&sidecar.tcp(), &["--action", "edit", "--role", "viewer"]).code, 2);
    let lines = || fs::read_to_string(&file).unwrap().lines().count();
    assert_eq!(lines(), 2);
    sidecar.signal("TERM");
    assert_eq!(sidecar.code(), 0, "{}", sidecar.log());
    (folder, place, file)
}

fn lines(file: &str) -> Vec<Json> {
    let text = fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn again(folder: &TempDir, file: &str, more: &[&str]) -> crate::cli::Ended {
    let policies = folder.path().to_str().unwrap();
    end(command(&["check", "--policies", policies, "--record", file]).args(more))
}

#[test]
fn a_recorded_decision_can_be_made_again() {
    let (folder, _place, file) = log();
    let records = lines(&file);
    assert!(records[0]["caller"]["uid"].is_u64(), "{:#}", records[0]);
    for (record, word) in records.iter().zip(["ALLOW", "DENY"]) {
        let id = record["decision_id"].as_str().unwrap();
        let ended = again(&folder, &file, &["--decision-id", id, "--explain"]);
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(ended.out.starts_with(word) && ended.out.contains("the same answer as"));
        assert!(!ended.out.contains("differ"), "{}", ended.out);
    }
    let id = records[1]["decision_id"].as_str().unwrap();
    // The policies are others now.
    let more = format!("{POLICIES}\npermit (principal, action, resource);");
    write_store(folder.path(), "guard", &more);
    let ended = again(&folder, &file, &["--decision-id", id]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("NOT THE ANSWER") && ended.out.contains("the revision differs"));
    let ended = again(&folder, &file, &["--decision-id", id, "--format", "json"]);
    let json: Json = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&json["same_answer"], &json["same_revision"]), (&json!(false), &json!(false)));
    assert_eq!(
        (&json["recorded"]["decision"], &json["now"]["decision"]),
        (&json!("deny"), &json!("allow"))
    );
}

#[test]
fn a_recorded_list_can_be_made_again() {
    let (folder, place) = (policies(&["guard"]), TempDir::new().unwrap());
    let file = place.path().join("decisions.jsonl").to_str().unwrap().to_owned();
    let log = ["--decision-log=required", "--decision-log-file", &file];
    let sidecar = Sidecar::start(folder.path(), &log);
    let question = ask("User::alice", "view", "Site::42").role("editor", "Site::42");
    asking(&sidecar, async |mut client| {
        let list = ListActionsRequest {
            principal: question.principal,
            resource: question.resource,
            role_assignments: question.role_assignments,
            ..ListActionsRequest::default()
        };
        assert_eq!(client.list_actions(list).await.unwrap().into_inner().actions.len(), 2);
    });
    let ended = again(&folder, &file, &[]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("2 actions allowed\nthe same answer as"), "{}", ended.out);
    assert!(!ended.out.contains("differ"), "{}", ended.out);

    // The policies are others now: nobody edits.
    write_store(folder.path(), "guard", &format!("{POLICIES}\n{NOBODY_EDITS}"));
    let ended = again(&folder, &file, &[]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("1 actions allowed\n  - "), "{}", ended.out);
    assert!(ended.out.contains(r#"Action::"edit""#) && ended.out.contains("the revision differs"));
    let ended = again(&folder, &file, &["--format", "json"]);
    let json: Json = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(json["same_answer"], json!(false), "{json:#}");
    let count = |list: &Json| list.as_array().unwrap().len();
    assert_eq!((count(&json["recorded"]["allowed"]), count(&json["allowed_now"])), (2, 1));
}

const NOBODY_EDITS: &str = r#"forbid (principal, action == Guard::Action::"edit", resource);"#;

#[test]
fn the_time_of_a_record_is_the_time_of_its_decision() {
    let (folder, place, file) = log();
    let mut record = lines(&file).remove(0);
    let other = place.path().join("other.json").to_str().unwrap().to_owned();
    record["now"] = json!("2999-01-01T00:00:00Z");
    fs::write(&other, record.to_string()).unwrap();
    // By then the role has expired.
    let ended = again(&folder, &other, &[]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.starts_with("DENY") && !ended.out.contains("the revision differs"));
}

#[test]
fn a_record_that_cannot_be_asked_is_refused() {
    let (folder, place, file) = log();
    let other = place.path().join("other.json").to_str().unwrap().to_owned();
    let record = lines(&file).remove(0);
    let hidden = |path: &str, value: Json| {
        let mut record = record.clone();
        *record.pointer_mut(path).unwrap() = value;
        record["hidden"] = json!(["principal"]);
        record.to_string()
    };
    for (text, part) in [
        (fs::read_to_string(&file).unwrap(), "holds 2 such records"),
        (String::new(), "holds no such record"),
        ("{".to_owned(), "no decision record"),
        ("{}".to_owned(), "no decision record"),
        (hidden("/record", json!("other")), "its kind is `other`"),
        (hidden("/principal", json!("[masked]")), "not recorded as they were sent: principal"),
        (hidden("/context", json!("[masked]")), "context: an object is expected"),
        (hidden("/store", json!("other")), "no policy store is called `other`"),
        (hidden("/now", json!("soon")), "has no `now`"),
    ] {
        fs::write(&other, &text).unwrap();
        let ended = again(&folder, &other, &[]);
        assert_eq!(ended.code, 64, "{part}: {ended:?}");
        assert!(ended.err.contains(part), "{part}: {ended:?}");
    }
    assert_eq!(run(&["check", "--record", &file, "--principal", "User::a"]).code, 64);
}

/// A sidecar started by that shell command line, of which `"$@"` is the sidecar's.
struct Wrapped {
    child: Child,
    address: String,
}

impl Wrapped {
    fn start(shell: &str, folder: &TempDir, place: &TempDir, args: &[&str], out: Stdio) -> Self {
        let addresses = place.path().join("addresses.json");
        let child = Command::new("sh")
            .args(["-c", shell, "sh"])
            .arg(assert_cmd::cargo::cargo_bin!("humbaba"))
            .args(["--policies", folder.path().to_str().unwrap()])
            .args(["--listen", "127.0.0.1:0", "--http-listen", "off", "--web-listen", "off"])
            .args(["--addr-file", addresses.to_str().unwrap()])
            .args(args)
            .stdout(out)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address: Json = until("the address", || {
            serde_json::from_str(&fs::read_to_string(&addresses).ok()?).ok()
        });
        let address = format!("http://{}", address["grpc"][0].as_str().unwrap());
        until("serving", || (run(&["healthcheck", "--address", &address]).code == 0).then_some(()));
        Self { child, address }
    }

    /// The exit code of a question that is denied where it is answered.
    fn ask(&self) -> i32 {
        let question = ["check", "--server", &self.address, "--principal", r#"User::"alice""#];
        let more = ["--action", "view", "--resource", r#"Site::"42""#];
        end(command(&question).args(more)).code
    }

    fn stop(&mut self) {
        let kill = Command::new("sh").args(["-c", &format!("kill {}", self.child.id())]).status();
        assert!(kill.unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Wrapped {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn records_go_to_stdout_where_no_file_is_named() {
    let (folder, place) = (policies(&["guard"]), TempDir::new().unwrap());
    let out = place.path().join("out");
    let file = fs::File::create(&out).unwrap();
    let mut sidecar =
        Wrapped::start(r#"exec "$@""#, &folder, &place, &["--decision-log"], file.into());
    assert_eq!(sidecar.ask(), 2);
    // The record is flushed before the end, whether or not it was written before.
    sidecar.stop();
    let [record] = <[Json; 1]>::try_from(lines(out.to_str().unwrap())).unwrap();
    assert_eq!(record["decision"], json!("deny"));
}

#[test]
fn a_file_that_somebody_else_has_opened_is_not_rotated() {
    let (folder, place) = (policies(&["guard"]), TempDir::new().unwrap());
    let path = |name: &str| place.path().join(name);
    std::os::unix::fs::symlink("/proc/self/fd/1", path("stdout")).unwrap();
    let out = fs::File::create(path("out")).unwrap();
    let stdout = path("stdout");
    let args = ["--decision-log=required", "--decision-log-file", stdout.to_str().unwrap()];
    let rotate = ["--set", "decision_log.rotate_bytes=1000"];
    let shell = format!(r#"exec "$@" 2> {}"#, path("log").display());
    let args = [&args[..], &rotate].concat();
    let mut sidecar = Wrapped::start(&shell, &folder, &place, &args, out.into());
    for _ in 0..5 {
        assert_eq!(sidecar.ask(), 2);
    }
    sidecar.stop();
    assert_eq!(lines(path("out").to_str().unwrap()).len(), 5);
    assert!(fs::symlink_metadata(stdout).unwrap().is_symlink());
    assert!(!path("stdout.1").exists() && !path("out.1").exists());
    let log = fs::read_to_string(path("log")).unwrap();
    assert_eq!(log.matches("the decision log is not rotated").count(), 1, "{log}");
}

#[test]
fn a_file_that_cannot_be_moved_costs_no_older_one_and_one_line_of_the_log() {
    let (folder, place) = (policies(&["guard"]), TempDir::new().unwrap());
    let path = |name: &str| place.path().join(name);
    if !Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|made| made.success()) {
        return skip_even_in_ci("nothing can be mounted (`unshare -m`)");
    }
    let file = path("decisions.jsonl").to_str().unwrap().to_owned();
    fs::write(path("host"), "").unwrap();
    fs::write(&file, "").unwrap();
    let older = |number: usize| format!("{file}.{number}");
    (1..=10).for_each(|number| fs::write(older(number), format!("{number}\n")).unwrap());
    // As a container gets a single file of its host.
    let shell = format!(
        r#"exec unshare -m sh -c 'mount --bind {host} {file} && exec "$@" 2> {log}' sh "$@""#,
        host = path("host").display(),
        log = path("log").display(),
    );
    let args = ["--decision-log=required", "--decision-log-file", &file];
    let rotate = ["--set", "decision_log.rotate_bytes=1000"];
    let args = [&args[..], &rotate].concat();
    let mut sidecar = Wrapped::start(&shell, &folder, &place, &args, Stdio::null());
    for _ in 0..6 {
        assert_eq!(sidecar.ask(), 2);
    }
    sidecar.stop();
    assert_eq!(lines(path("host").to_str().unwrap()).len(), 6);
    for number in 1..=10 {
        assert_eq!(fs::read_to_string(older(number)).unwrap(), format!("{number}\n"));
    }
    let log = fs::read_to_string(path("log")).unwrap();
    // It is tried again after a minute, which a slow machine may take.
    assert!((1..3).contains(&log.matches("cannot rotate the decision log").count()), "{log}");
}

#[test]
fn nobody_who_reads_stdout_is_no_reason_to_stop_deciding() {
    let (folder, place) = (policies(&["guard"]), TempDir::new().unwrap());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut sidecar =
        Wrapped::start(r#"exec "$@""#, &folder, &place, &["--decision-log"], writer.into());
    for _ in 0..3 {
        assert_eq!(sidecar.ask(), 2);
    }
    sidecar.stop();
}

#[test]
fn where_the_room_ends_in_the_middle_of_a_record_no_half_record_stays() {
    let (folder, place) = (policies(&["guard"]), TempDir::new().unwrap());
    let file = place.path().join("decisions.jsonl").to_str().unwrap().to_owned();
    // No file can grow beyond 2 KiB, and who tries is told so.
    let shell = r#"trap '' XFSZ; ulimit -f 4; exec "$@""#;
    let args = ["--decision-log=required", "--decision-log-file", &file];
    let mut sidecar = Wrapped::start(shell, &folder, &place, &args, Stdio::null());
    let answered = (0..10).take_while(|_| sidecar.ask() == 2).count();
    assert!((1..10).contains(&answered), "{answered}");
    assert_eq!(sidecar.ask(), 1);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.ends_with("}\n") && text.len() < 2_048, "{text}");
    assert_eq!(lines(&file).len(), answered);
    fs::rename(&file, format!("{file}.full")).unwrap();
    assert_eq!(sidecar.ask(), 2);
    assert_eq!(lines(&file).len(), 1);
    sidecar.stop();
}

#[test]
fn settings_that_cannot_be_kept_are_refused() {
    let place = TempDir::new().unwrap();
    let file = place.path().join("log").to_str().unwrap().to_owned();
    for (args, code, part) in [
        (vec!["--decision-log=required"], 64, "needs a file"),
        (
            vec![
                "--decision-log=required",
                "--decision-log-file",
                &file,
                "--set",
                "decision_log.sample_allows=10",
            ],
            64,
            "every decision is recorded",
        ),
        (vec!["--decision-log=maybe"], 64, "none of `off`, `on`, `otlp`, `required`"),
        (vec!["--set", "decision_log.mask=decision"], 64, "cannot be hidden"),
        (vec!["--set", "decision_log.hash=principal..id"], 64, "is not the path of a field"),
        (
            vec![
                "--decision-log",
                "--set",
                "decision_log.hash=principal.id",
                "--set",
                "decision_log.hash_key_file=/nowhere",
            ],
            64,
            "key of hashes",
        ),
        (
            vec!["--decision-log", "--decision-log-file", "/nowhere/log"],
            1,
            "cannot open the decision log",
        ),
    ] {
        let ended = run(&args);
        assert_eq!(ended.code, code, "{args:?}: {ended:?}");
        assert!(ended.err.contains(part), "{args:?}: {ended:?}");
    }
    let printed = run(&[
        "--print-config",
        "--decision-log",
        "--set",
        "decision_log.hash=principal.id,context.email",
    ]);
    assert!(printed.out.contains(r#"hash = ["principal.id", "context.email"]"#), "{}", printed.out);
    assert!(printed.out.contains("mode = \"on\""), "{}", printed.out);
}
