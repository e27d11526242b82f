//! `humbaba doctor`

use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value as Json;
use tempfile::TempDir;

use crate::{
    cli::{Ended, command, end, policies, run},
    cli_sidecar::{DEADLINE, Sidecar, until},
    support::{
        directory_client::{directory, put, sidecar, write},
        pki::Authority,
        postgres::{Postgres, READER},
    },
};

/// Ports of the system's choice, which are free whatever else runs.
const FREE: [&str; 6] =
    ["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--web-listen", "127.0.0.1:0"];

fn doctor(folder: &Path, more: &[&str]) -> Ended {
    let policies = ["doctor", "--policies", folder.to_str().unwrap()];
    run(&[&policies[..], &FREE, more].concat())
}

/// Returns whether there is a finding of that level with the text.
fn has(ended: &Ended, level: &str, text: &str) -> bool {
    ended.out.lines().any(|line| line.starts_with(level) && line.contains(text))
}

#[track_caller]
fn finds(ended: &Ended, level: &str, text: &str) {
    assert!(has(ended, level, text), "no {level} with `{text}`: {ended:?}");
    assert_eq!(ended.code, i32::from(level == "problem"), "{ended:?}");
}

#[test]
fn nothing_is_wrong_where_all_is_right() {
    let folder = policies(&["one"]);
    let ended = doctor(folder.path(), &[]);
    assert_eq!(ended.code, 0, "{ended:?}");
    for text in ["`one` is valid: 3 policies, revision ", "`127.0.0.1:0` of `web_listen` is free"] {
        finds(&ended, "ok", text);
    }
    finds(&ended, "ok", "`policies` from flag --policies");
    assert!(ended.out.ends_with("0 problems, 0 warnings\n") && ended.err.is_empty(), "{ended:?}");
}

#[test]
fn the_report_can_be_read_by_programs() {
    let folder = policies(&["one"]);
    let healthy = |more: &[&str]| {
        let ended = doctor(folder.path(), &[&["--format", "json"], more].concat());
        let report: Json = serde_json::from_str(&ended.out).unwrap();
        (ended.code, report)
    };
    let (code, report) = healthy(&[]);
    assert_eq!((code, &report["healthy"]), (0, &Json::Bool(true)), "{report}");
    let (code, report) = healthy(&["--set", "default_store=two"]);
    assert_eq!((code, &report["healthy"]), (1, &Json::Bool(false)), "{report}");
    let findings = report["findings"].as_array().unwrap();
    let problem = findings.iter().find(|finding| finding["level"] == "problem").unwrap();
    assert_eq!(problem["about"], "policies");
    assert!(problem["advice"].as_str().unwrap().contains("default_store"), "{problem}");
}

#[test]
fn a_wrong_setting_is_a_problem() {
    let folder = policies(&["one"]);
    let ended = doctor(folder.path(), &["--set", "limits.entites=1"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.out.contains("did you mean `limits.entities`"), "{ended:?}");
}

#[test]
fn a_bad_policy_is_told_with_file_and_line() {
    let folder = policies(&["good", "bad"]);
    fs::write(folder.path().join("bad/policies.cedar"), "permit (principal, action\n").unwrap();
    let ended = doctor(folder.path(), &[]);
    finds(&ended, "problem", "`bad` is refused");
    finds(&ended, "problem", "`bad`");
    assert!(ended.out.contains("bad/policies.cedar:"), "{ended:?}");
    assert!(has(&ended, "ok", "`good` is valid"), "{ended:?}");
}

#[test]
fn a_folder_that_is_not_there_is_a_problem() {
    finds(&doctor(Path::new("/nowhere"), &[]), "problem", "/nowhere");
}

#[test]
fn a_failing_test_is_a_problem_where_tests_are_required() {
    let folder = policies(&["one"]);
    fs::create_dir(folder.path().join("one/tests")).unwrap();
    let case = "[[case]]\nname = \"x\"\nprincipal = 'User::\"a\"'\nresource = 'Site::\"1\"'\n\
                roles = [{ role = \"viewer\" }]\nallow = [\"edit\"]\n";
    fs::write(folder.path().join("one/tests/x.toml"), case).unwrap();
    assert_eq!(doctor(folder.path(), &[]).code, 0);
    let ended = doctor(folder.path(), &["--require", "tests"]);
    finds(&ended, "problem", "`one` is refused");
    assert!(ended.out.contains("tests/x.toml"), "{ended:?}");
}

/// Asks the doctor with a listener of the test's own in the place of gRPC.
fn with_a_stranger(answer: impl Fn(&TcpListener) + Send + 'static) -> Ended {
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = stranger.local_addr().unwrap().to_string();
    std::thread::spawn(move || answer(&stranger));
    let folder = policies(&["one"]);
    let policies = ["doctor", "--policies", folder.path().to_str().unwrap()];
    let listen = ["--listen", &address, "--timeout", "1"];
    run(&[&policies[..], &listen, &FREE[2..]].concat())
}

#[test]
fn a_port_that_a_stranger_has_is_a_problem() {
    let ended = with_a_stranger(|stranger| {
        for connection in stranger.incoming() {
            let _ = connection.unwrap().write_all(b"220 mail.example ESMTP\r\n");
        }
    });
    finds(&ended, "problem", "of `listen` is taken by something that is no Humbaba");
}

#[test]
fn a_stranger_that_says_nothing_holds_it_up_no_longer_than_allowed() {
    let begun = Instant::now();
    let ended = with_a_stranger(|stranger| {
        let _connections: Vec<_> = stranger.incoming().collect();
    });
    finds(&ended, "problem", "no answer within 1 s");
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
}

#[test]
fn a_humbaba_that_has_the_addresses_is_asked_for_its_state() {
    let folder = policies(&["one"]);
    let sidecar = Sidecar::start(folder.path(), &["--set", "reload.settle_ms=10"]);
    let text = |field: &str| sidecar.addresses[field].as_str().unwrap().to_owned();
    let grpc = sidecar.addresses["grpc"][0].as_str().unwrap().to_owned();
    let (socket, http, web) = (sidecar.unix(), text("http"), text("web"));
    let addresses =
        ["--listen", &grpc, "--listen", &socket, "--http-listen", &http, "--web-listen", &web];
    let look = || {
        let policies = ["doctor", "--policies", folder.path().to_str().unwrap()];
        run(&[&policies[..], &addresses].concat())
    };
    let ended = look();
    for text in [
        &*format!("`{grpc}` of `listen`: a Humbaba listens, SERVING"),
        &format!("`{socket}` of `listen`: a Humbaba listens, SERVING"),
        &format!("`{http}` of `http_listen`: a Humbaba listens, version "),
        &format!("`{web}` of `web_listen`: a Humbaba listens, with the console"),
        "it serves 1 store of ",
        "`one`: revision ",
    ] {
        finds(&ended, "ok", text);
    }
    fs::write(folder.path().join("one/policies.cedar"), "permit (principal\n").unwrap();
    until("the refusal", || has(&look(), "problem", "it refused `one`").then_some(()));
}

#[test]
fn a_humbaba_that_asks_for_a_token_is_known_as_one() {
    let (folder, files) = (policies(&["one"]), TempDir::new().unwrap());
    let token = files.path().join("token");
    fs::write(&token, "0123456789abcdef0123456789abcdef").unwrap();
    let setting = format!("auth.token_file={}", token.display());
    let sidecar = Sidecar::start(folder.path(), &["--set", &setting]);
    let web = sidecar.addresses["web"].as_str().unwrap().to_owned();
    let policies = ["doctor", "--policies", folder.path().to_str().unwrap()];
    let ended = run(&[&policies[..], &FREE[..4], &["--web-listen", &web]].concat());
    finds(&ended, "ok", &format!("`{web}` of `web_listen`: a Humbaba listens"));
}

#[test]
fn a_solver_that_is_needed_must_be_there() {
    let folder = policies(&["one"]);
    let look = |require: &[&str]| {
        let policies = ["doctor", "--policies", folder.path().to_str().unwrap()];
        let mut command = command(&[&policies[..], &FREE, require].concat());
        end(command.env("CVC5", "/nowhere/cvc5"))
    };
    finds(&look(&[]), "ok", "there is no cvc5 here; the settings need none");
    let ended = look(&["--require", "invariants"]);
    finds(&ended, "problem", "`reload.require` names a gate that takes a solver");
    assert!(ended.out.contains("/nowhere/cvc5"), "{ended:?}");
}

#[test]
fn a_solver_that_hangs_holds_it_up_no_longer_than_allowed() {
    let folder = policies(&["one"]);
    let solver = folder.path().join(".cvc5");
    fs::write(&solver, "#!/bin/sh\nexec sleep 600\n").unwrap();
    fs::set_permissions(&solver, fs::Permissions::from_mode(0o755)).unwrap();
    let policies = ["doctor", "--policies", folder.path().to_str().unwrap()];
    let more = ["--require", "invariants", "--timeout", "1"];
    let begun = Instant::now();
    let ended = end(command(&[&policies[..], &FREE, &more].concat()).env("CVC5", solver));
    finds(&ended, "problem", "it could not be looked at within 1 s");
    assert!(begun.elapsed() < Duration::from_secs(600), "{:?}", begun.elapsed());
}

/// A certificate that ends with that year, its key, and the flags that name them.
fn certificate(folder: &Path, until: i32) -> [String; 4] {
    let servers = Authority::new("servers");
    servers.server(until).write(folder);
    fs::write(folder.join("ca.crt"), servers.pem).unwrap();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    fs::set_permissions(path("tls.key"), fs::Permissions::from_mode(0o600)).unwrap();
    ["--tls-cert".to_owned(), path("tls.crt"), "--tls-key".to_owned(), path("tls.key")]
}

#[test]
fn certificates_are_read_as_the_server_would() {
    let (folder, files) = (policies(&["one"]), TempDir::new().unwrap());
    let look = |flags: &[String]| {
        doctor(folder.path(), &flags.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let flags = certificate(files.path(), 2088);
    finds(&look(&flags), "ok", "the certificate fits its key and ends at 2088-12-31");
    let other = TempDir::new().unwrap();
    let [_, _, _, other_key] = certificate(other.path(), 2088);
    let mixed = [&flags[..3], &[other_key]].concat();
    finds(&look(&mixed), "problem", "is not the one of the certificate");
    fs::remove_file(files.path().join("tls.crt")).unwrap();
    let ended = look(&flags);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.out.contains("cannot read") && ended.out.contains("tls.crt"), "{ended:?}");
}

#[test]
fn a_certificate_that_has_ended_is_a_problem() {
    let (folder, files) = (policies(&["one"]), TempDir::new().unwrap());
    let flags = certificate(files.path(), 2001);
    let ended = doctor(folder.path(), &flags.iter().map(String::as_str).collect::<Vec<_>>());
    finds(&ended, "problem", "the certificate has ended at 2001-12-31");
}

#[test]
fn a_humbaba_that_speaks_tls_is_asked_where_its_authority_is_known() {
    let (folder, files) = (policies(&["one"]), TempDir::new().unwrap());
    let flags = certificate(files.path(), 2088);
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let listen = ["--listen", "tls:127.0.0.1:0", "--http-listen", "tls:127.0.0.1:0"];
    let sidecar = Sidecar::start(folder.path(), &[&flags[..], &listen].concat());
    let grpc = sidecar.addresses["grpc"].as_array().unwrap();
    let encrypted =
        grpc.iter().filter_map(Json::as_str).find(|address| address.starts_with("tls:"));
    let encrypted = encrypted.unwrap();
    let ca = files.path().join("ca.crt");
    let look = |more: &[&str]| {
        let policies = ["doctor", "--policies", folder.path().to_str().unwrap()];
        run(&[&policies[..], &["--listen", encrypted], &FREE[2..], &flags, more].concat())
    };
    finds(&look(&[]), "warning", "is taken by something that speaks TLS");
    let asked = look(&["--ca", ca.to_str().unwrap()]);
    finds(&asked, "ok", &format!("`{encrypted}` of `listen`: a Humbaba listens, SERVING"));
    let http = sidecar.addresses["http"].as_str().unwrap();
    let look = |more: &[&str]| {
        let policies = ["doctor", "--policies", folder.path().to_str().unwrap()];
        let listen = ["--listen", "127.0.0.1:0", "--http-listen", http, "--web-listen", "off"];
        run(&[&policies[..], &listen, &flags, more].concat())
    };
    finds(&look(&[]), "warning", "is taken by something that speaks TLS");
    let asked = look(&["--ca", ca.to_str().unwrap()]);
    finds(&asked, "ok", &format!("`{http}` of `http_listen`: a Humbaba listens, version"));
}

#[test]
fn a_token_that_everybody_can_read_is_a_warning_and_one_that_is_none_a_problem() {
    let (folder, files) = (policies(&["one"]), TempDir::new().unwrap());
    let token = files.path().join("token");
    let setting = format!("auth.token_file={}", token.display());
    let look = |text: &str, mode: u32| {
        fs::write(&token, text).unwrap();
        fs::set_permissions(&token, fs::Permissions::from_mode(mode)).unwrap();
        doctor(folder.path(), &["--set", &setting])
    };
    let good = "0123456789abcdef0123456789abcdef";
    assert!(!has(&look(good, 0o600), "warning", "token"));
    finds(&look(good, 0o644), "warning", "can be read by everybody (mode 0644)");
    let ended = look("short", 0o600);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.out.contains("must be a token of 32"), "{ended:?}");
}

#[test]
fn directories_are_read_once() {
    let (folder, rows) = (policies(&["one"]), TempDir::new().unwrap());
    let source = format!("one=files:{}", rows.path().display());
    let look = || doctor(folder.path(), &["--directory", &source]);
    finds(&look(), "problem", "the directory of `one` cannot be read");
    let head = "principal_type,principal_id,role,scope_type,scope_id\n";
    let file = rows.path().join("x.assignments.csv");
    fs::write(&file, format!("{head}User,alice,viewer,Site,1\n")).unwrap();
    finds(&look(), "ok", "`one`: 1 assignment, 0 entities");
    fs::write(&file, format!("{head}User,alice,captain,Site,1\n")).unwrap();
    let ended = look();
    finds(&ended, "warning", "`one`: 1 row grants nothing");
    assert!(ended.out.contains("x.assignments.csv:2"), "{ended:?}");
    let of_nobody = format!("two=files:{}", rows.path().display());
    finds(
        &doctor(folder.path(), &["--directory", &of_nobody]),
        "problem",
        "is for a store that is not",
    );
}

#[tokio::test]
async fn an_embedded_directory_is_read_as_a_start_reads_it() {
    let (folder, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let data_folder = data.path().to_str().unwrap();
    let look = || doctor(folder.path(), &["--directory", "guard=embedded", "--data", data_folder]);
    finds(&look(), "ok", "`guard`: it has no database yet");
    assert!(!data.path().join("directory").exists());
    let running = sidecar(folder.path(), data.path(), &[]);
    let alice = put("User::alice", "editor", "Site::42");
    write(&mut directory(&running), [alice]).await;
    finds(&look(), "ok", "`guard`: 1 assignment, 0 entities");
    drop(running);
    let file = data.path().join("directory/guard.sqlite");
    let files = || {
        let files = fs::read_dir(file.parent().unwrap()).unwrap();
        let mut files: Vec<_> = files
            .map(|file| file.unwrap().path())
            .map(|path| (fs::read(&path).unwrap(), path))
            .collect();
        files.sort();
        files
    };
    let before = files();
    finds(&look(), "ok", "`guard`: 1 assignment, 0 entities");
    assert!(files() == before, "it writes nothing");

    let schema = folder.path().join("guard/schema.cedarschema");
    let text = fs::read_to_string(&schema).unwrap();
    let renamed = text.replace("editor: Role", "helper: Role");
    let policies_file = folder.path().join("guard/policies.cedar");
    let rules = fs::read_to_string(&policies_file).unwrap();
    fs::write(&policies_file, rules.replace("resource.editor", "resource.helper")).unwrap();
    fs::write(&schema, renamed).unwrap();
    let ended = look();
    finds(&ended, "warning", "`guard`: 1 row grants nothing");
    assert!(ended.out.contains("User::\"alice\", editor of Guard::Site::\"42\""), "{ended:?}");

    let mut bytes = fs::read(&file).unwrap();
    let place = bytes.windows(5).position(|bytes| bytes == b"alice").unwrap();
    bytes[place] = b'b';
    fs::write(&file, bytes).unwrap();
    finds(&look(), "problem", "the directory of `guard` cannot be used");
}

#[test]
fn a_postgres_that_is_not_there_is_a_problem() {
    let (folder, files) = (policies(&["one"]), TempDir::new().unwrap());
    let url = files.path().join("url");
    fs::write(&url, "postgresql://reader@127.0.0.1:1/app?sslmode=disable").unwrap();
    fs::set_permissions(&url, fs::Permissions::from_mode(0o600)).unwrap();
    let setting = format!("directory.postgres_url_file={}", url.display());
    let ended = doctor(folder.path(), &["--directory", "one=postgres", "--set", &setting]);
    finds(&ended, "problem", "`one`: cannot connect to PostgreSQL");
}

#[tokio::test]
async fn a_postgres_must_have_a_directory_that_may_be_read() {
    let Some(postgres) = Postgres::start().await else { return };
    let folder = policies(&["one"]);
    let setting = format!("directory.postgres_url_file={}", postgres.url_file().display());
    let look = || doctor(folder.path(), &["--directory", "one=postgres", "--set", &setting]);
    assert_eq!(look().code, 1, "the schema is not there yet");
    postgres.install(&[]).await;
    let row = "INSERT INTO humbaba.assignments (principal_type, principal_id, role, scope_type, \
               scope_id) VALUES ('User', 'alice', 'viewer', 'Site', '1')";
    let admin = postgres.client("postgres").await;
    finds(&look(), "ok", "`one`: PostgreSQL answers, and it has no rows yet");
    admin.batch_execute(row).await.unwrap();
    finds(&look(), "ok", "`one`: PostgreSQL answers, and its rows can be read");
    for part in ["TABLE humbaba.entities", "TABLE humbaba.changes", "FUNCTION humbaba.adopt()"] {
        let (what, name) = part.split_once(' ').unwrap();
        let right = if what == "TABLE" { "SELECT" } else { "EXECUTE" };
        let revoke = format!("REVOKE {right} ON {part} FROM {READER}");
        admin.batch_execute(&revoke).await.unwrap();
        let name = name.rsplit('.').next().unwrap();
        let ended = look();
        finds(&ended, "problem", "permission denied for");
        assert!(ended.out.contains(name), "{ended:?}");
        postgres.install(&[]).await;
    }
    let disable = "ALTER TABLE humbaba.entities DISABLE TRIGGER humbaba_entities_update";
    admin.batch_execute(disable).await.unwrap();
    finds(&look(), "problem", "`record_entities` for UPDATE are missing, disabled");
}

#[test]
fn a_data_folder_that_cannot_be_made_is_a_problem() {
    let (folder, files) = (policies(&["one"]), TempDir::new().unwrap());
    fs::write(files.path().join("file"), "").unwrap();
    let data = files.path().join("file/data");
    let ended = doctor(folder.path(), &["--data", data.to_str().unwrap()]);
    finds(&ended, "problem", "is no folder, so `data` cannot be in it");
    let data = files.path().join("new/data");
    assert_eq!(doctor(folder.path(), &["--data", data.to_str().unwrap()]).code, 0);
    assert!(!data.exists());
    // It allows root to write, and nobody to make a folder.
    let ended = doctor(folder.path(), &["--data", "/proc/data"]);
    finds(&ended, "problem", "the folder of `data`, `/proc/data`, cannot be written");
}

#[test]
fn a_group_that_there_is_not_is_the_fault_of_its_setting() {
    let (folder, files) = (policies(&["one"]), TempDir::new().unwrap());
    let socket = format!("unix:{}", files.path().join("x.sock").display());
    let set = ["--listen", &socket, "--set", "socket_group=nobody-is-in-it"];
    let ended =
        run(&[&["doctor", "--policies", folder.path().to_str().unwrap()], &FREE[2..], &set]
            .concat());
    finds(&ended, "problem", "`socket_group`: no group is called `nobody-is-in-it`");
    assert!(ended.out.contains("name a group of which the account"), "{}", ended.out);
    assert!(!ended.out.contains("make the folder of the socket"), "{}", ended.out);
}

/// Settings with which a start ends, and words that it says.
struct Refused {
    said: &'static str,
    arguments: Vec<String>,
    variables: Vec<(&'static str, String)>,
}

fn refused(said: &'static str, arguments: &[&str]) -> Refused {
    let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    Refused { said, arguments, variables: Vec::new() }
}

impl Refused {
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    fn run(&self, subcommand: &str, policies: &Path) -> Ended {
        // A process that starts all the same is ended, with a code of its own.
        let mut command = std::process::Command::new("timeout");
        let binary = command_of_tests(subcommand, &self.arguments);
        command.arg("30").arg(binary.get_program()).args(binary.get_args());
        for (name, value) in binary.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        if !self.arguments.iter().any(|argument| argument == "--policies") {
            command.arg("--policies").arg(policies);
        }
        end(&mut command)
    }
}

/// The binary with those arguments, and addresses of the system's choice where they name none.
fn command_of_tests(subcommand: &str, arguments: &[String]) -> std::process::Command {
    let mut command = command(&[subcommand]);
    command.args(arguments);
    for pair in FREE.chunks(2) {
        if !arguments.iter().any(|argument| argument == pair[0]) {
            command.args(pair);
        }
    }
    command
}

#[test]
fn what_a_start_refuses_is_told_in_the_same_words() {
    let (folder, files) = (policies(&["one"]), TempDir::new().unwrap());
    let path = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    let (pipe, no_file, short) = (path("pipe"), path("folder"), path("short"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    fs::create_dir(&no_file).unwrap();
    fs::write(&short, "short").unwrap();
    fs::write(path("held"), "").unwrap();
    let held = fs::File::open(path("held")).unwrap();
    held.lock().unwrap();
    let solver = path("cvc5");
    fs::write(&solver, "#!/bin/sh\necho This is cvc5 version 0\n").unwrap();
    fs::set_permissions(&solver, fs::Permissions::from_mode(0o755)).unwrap();
    let bad = policies(&["bad"]);
    fs::write(bad.path().join("bad/policies.cedar"), "permit (principal, action\n").unwrap();
    let warned = policies(&["warned"]);
    let never = "@id(\"never\") permit (principal, action, resource) when { false };\n";
    fs::write(warned.path().join("warned/policies.cedar"), never).unwrap();
    let certificate = certificate(files.path(), 2088);
    let certificate: Vec<_> = certificate.iter().map(String::as_str).collect();
    let other = TempDir::new().unwrap();
    let [_, _, _, other_key] = self::certificate(other.path(), 2088);
    let log_file =
        |said, file: &str| refused(said, &["--decision-log", "--decision-log-file", file]);
    let hash_key = |file: &str| {
        let key = format!("decision_log.hash_key_file={file}");
        let hash = ["--decision-log", "--set", "decision_log.hash=principal.id", "--set", &key];
        refused("cannot use the key of hashes", &hash)
    };
    let long = format!("unix:/{}", "x".repeat(107));
    for case in [
        // The decision log.
        log_file("it is a pipe", &pipe),
        log_file("Is a directory", &no_file),
        log_file("No such file", "/nowhere/log"),
        log_file("Not a directory", &format!("{short}/log")),
        log_file("another process writes to it", &path("held")),
        hash_key(&short),
        hash_key("/nowhere"),
        refused("`http/json` is asked for", &["--decision-log=otlp"])
            .with("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        refused("`OTEL_SDK_DISABLED`", &["--decision-log=otlp"]).with("OTEL_SDK_DISABLED", "true"),
        refused("is not an endpoint", &["--decision-log=otlp"])
            .with("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"),
        refused("needs a file", &["--decision-log=required"]),
        // Gates.
        refused("/nowhere/cvc5", &["--require", "invariants"]).with("CVC5", "/nowhere/cvc5"),
        refused("there is nothing to compare the store with", &["--require", "no-gains"])
            .with("CVC5", &solver),
        refused(
            "the baseline cannot be read",
            &["--require", "no-gains", "--set", "reload.baseline=/nowhere"],
        )
        .with("CVC5", &solver),
        // Addresses.
        refused("too long for the path of a Unix socket", &["--listen", &long]),
        refused("too long for the path of a Unix socket", &["--web-listen", &long]),
        refused("is taken by", &["--listen", "127.0.0.1:1", "--http-listen", "127.0.0.1:1"]),
        refused("No such file", &["--listen", "unix:/nowhere/x.sock"]),
        refused("a file that is no socket", &["--listen", &format!("unix:{short}")]),
        refused(
            "no group is called `nobody-is-in-it`",
            &[
                "--listen",
                &format!("unix:{}", path("x.sock")),
                "--set",
                "socket_group=nobody-is-in-it",
            ],
        ),
        refused("there is no TLS", &["--listen", "0.0.0.0:0"]),
        refused("nothing says who may call", &["--web-listen", "0.0.0.0:0", "--insecure"]),
        refused("everybody who reaches", &["--directory-listen", "127.0.0.1:0"]),
        // Certificates and tokens.
        refused("cannot read `/nowhere`", &["--tls-cert", "/nowhere", "--tls-key", "/nowhere"]),
        refused(
            "is not the one of the certificate",
            &[&certificate[..3], &[other_key.as_str()]].concat(),
        ),
        refused("must be a token of 32", &["--token-file", &short]),
        refused("must be a token of 32", &["--directory-token-file", &short]),
        refused("cannot read `/nowhere`", &["--token-file", "/nowhere"]),
        // Directories.
        refused("needs a folder to be kept in", &["--directory", "one=embedded"]),
        refused("needs a connection string", &["--directory", "one=postgres"]),
        // Policies.
        refused("nothing to decide with: ", &["--policies", "/nowhere"]),
        refused(
            "nothing to decide with: no policy store is valid",
            &["--policies", bad.path().to_str().unwrap()],
        ),
        refused(
            "nothing to decide with: no policy store is valid",
            &["--policies", warned.path().to_str().unwrap(), "--set", "reload.deny_warnings=true"],
        ),
        refused("did you mean `limits.entities`", &["--set", "limits.entites=1"]),
    ] {
        let Refused { said, arguments, .. } = &case;
        let (serve, doctor) = (case.run("serve", folder.path()), case.run("doctor", folder.path()));
        // 124 is that of `timeout`: it was started.
        assert!([1, 3, 64].contains(&serve.code), "{arguments:?}: {serve:?}");
        assert!(serve.err.contains(said), "{arguments:?}: {serve:?}");
        assert_eq!(doctor.code, 1, "{arguments:?}: {doctor:?}");
        assert!(doctor.out.contains(said), "{arguments:?}: {doctor:?}");
        // What policies are refused for is in the log, with its time before it.
        if serve.code != 3 {
            let (_, error) = serve.err.split_once("error: ").unwrap();
            for line in error.lines().filter(|line| *line != "bad configuration") {
                assert!(doctor.out.contains(line.trim()), "`{line}`: {doctor:?}");
            }
        }
    }
}

#[test]
fn a_decision_log_that_is_looked_at_is_neither_made_nor_changed() {
    let (folder, files) = (policies(&["one"]), TempDir::new().unwrap());
    let file = files.path().join("log");
    let look = || {
        doctor(folder.path(), &["--decision-log", "--decision-log-file", file.to_str().unwrap()])
    };
    finds(&look(), "ok", "can be written");
    assert!(!file.exists());
    fs::write(&file, "half a line").unwrap();
    finds(&look(), "ok", "can be written");
    assert_eq!(fs::read_to_string(&file).unwrap(), "half a line");
}

#[test]
fn the_decision_log_of_a_humbaba_that_runs_is_no_problem() {
    let (folder, files) = (policies(&["one"]), TempDir::new().unwrap());
    let file = files.path().join("log").to_str().unwrap().to_owned();
    let log = ["--decision-log", "--decision-log-file", &file];
    let sidecar = Sidecar::start(folder.path(), &log);
    let http = sidecar.addresses["http"].as_str().unwrap();
    let policies = ["doctor", "--policies", folder.path().to_str().unwrap()];
    let look = |http: &str| {
        run(&[&policies[..], &FREE[..2], &FREE[4..], &["--http-listen", http], &log].concat())
    };
    finds(&look(http), "ok", "the Humbaba that runs writes to");
    finds(&look("127.0.0.1:0"), "problem", "another process writes to it");
}

#[test]
fn variables_of_a_collector_that_cannot_be_honoured_are_a_problem() {
    let folder = policies(&["one"]);
    let policies = ["doctor", "--policies", folder.path().to_str().unwrap()];
    let mut command = command(&[&policies[..], &FREE].concat());
    command.env("OTEL_TRACES_EXPORTER", "zipkin").env("OTEL_METRICS_EXPORTER", "none");
    let ended = end(&mut command);
    finds(&ended, "problem", "no spans are sent: `OTEL_TRACES_EXPORTER` is `zipkin`");
}

#[test]
fn two_names_of_one_address_are_a_problem() {
    let (folder, files) = (policies(&["one"]), TempDir::new().unwrap());
    let path = |name: &str| files.path().join(name);
    fs::create_dir(path("folder")).unwrap();
    std::os::unix::fs::symlink(path("folder"), path("link")).unwrap();
    let address = |folder: &str| format!("unix:{}", path(folder).join("x.sock").display());
    let (one, other) = (address("folder"), address("link"));
    let policies = ["doctor", "--policies", folder.path().to_str().unwrap()];
    let ended =
        run(&[&policies[..], &["--listen", &one, "--http-listen", &other], &FREE[4..]].concat());
    finds(&ended, "problem", &format!("cannot listen on `{other}` of `http_listen`"));
    assert!(ended.out.contains("another address of the settings leads there too"), "{ended:?}");
    assert!(!path("folder/x.sock").exists());
}
