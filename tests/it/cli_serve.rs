//! `humbaba serve`, and the commands that ask it.

use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use humbaba::proto::{IsAuthorizedRequest, IsAuthorizedResponse};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::cli::{Ended, POLICIES, command, end, policies, run, write_store};

/// How long anything may take; reached only where a test fails.
const DEADLINE: Duration = Duration::from_secs(30);

fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(start.elapsed() < DEADLINE, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A running sidecar.
struct Sidecar {
    child: Child,
    folder: TempDir,
    addresses: Json,
}

impl Sidecar {
    /// Starts one on ports of the system's choice and a Unix socket, and waits until it serves.
    fn start(policies: &Path, more: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (file, socket) = (path("addresses.json"), format!("unix:{}", path("humbaba.sock")));
        let log = fs::File::create(path("log")).unwrap();
        let child = command(&["--policies", policies.to_str().unwrap()])
            .args(["--listen", "127.0.0.1:0", "--listen", &socket, "--http-listen", "127.0.0.1:0"])
            .args(["--addr-file", &file, "--log-format", "json"])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut sidecar = Self { child, folder, addresses: Json::Null };
        sidecar.addresses = until("the file of addresses", || {
            sidecar.still_runs();
            Some(serde_json::from_str(&fs::read_to_string(&file).ok()?).unwrap())
        });
        until("serving", || {
            sidecar.still_runs();
            (run(&["healthcheck", "--address", &sidecar.tcp()]).code == 0).then_some(())
        });
        sidecar
    }

    fn still_runs(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("ended with {status}: {}", self.log());
        }
    }

    fn tcp(&self) -> String {
        format!("http://{}", self.addresses["grpc"][0].as_str().unwrap())
    }

    fn unix(&self) -> String {
        self.addresses["grpc"][1].as_str().unwrap().to_owned()
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("humbaba.sock")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    fn event(&self, message: &str) -> Json {
        until(message, || {
            let log = self.log();
            let events = log.lines().filter_map(|line| serde_json::from_str(line).ok());
            events.into_iter().find(|event: &Json| event["message"] == message)
        })
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let status = std::process::Command::new("sh").args(["-c", &kill]).status();
        assert!(status.unwrap().success());
    }

    fn code(&mut self) -> i32 {
        until("the end", || self.child.try_wait().unwrap()).code().expect("no signal ended it")
    }

    fn check(&self, address: &str, more: &[&str]) -> Ended {
        let question = ["check", "--principal", r#"User::"alice""#, "--resource", r#"Site::"42""#];
        end(command(&question).args(["--server", address]).args(more))
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_sidecar_decides_like_check_does() {
    let folder = policies(&["guard"]);
    let sidecar = Sidecar::start(folder.path(), &[]);
    for (more, code) in [
        (&["--action", "edit", "--role", "editor", "--explain"][..], 0),
        (&["--action", "edit", "--role", "viewer", "--explain"], 2),
        (&["--action", "edit", "--role", "editor", "--context", "reason=audit", "--explain"], 2),
        (&["--action", "edit", "--role", r#"owner@Site::"42"=2000-01-01"#], 2),
        (
            &[
                "--action",
                "edit",
                "--role",
                r#"owner@Site::"42"=2000-01-01"#,
                "--now",
                "1999-01-01",
            ],
            0,
        ),
        (&["--action", "view", "--role", "editr", "--role", r#"editor@Nothing::"1""#], 64),
        (&["--action", "frobnicate"], 64),
    ] {
        let here = ["check", "--principal", r#"User::"alice""#, "--resource", r#"Site::"42""#];
        let here = end(command(&here)
            .args(["--policies", folder.path().to_str().unwrap(), "--format", "json"])
            .args(more));
        let mut here: Json = serde_json::from_str(&here.out).unwrap();
        for address in [sidecar.tcp(), sidecar.unix()] {
            let there = sidecar.check(&address, &[more, &["--format", "json"]].concat());
            assert_eq!(there.code, code, "{more:?}: {there:?}");
            let there: Json = serde_json::from_str(&there.out).unwrap();
            if code != 64 {
                assert!(!there["decision_id"].as_str().unwrap().is_empty());
                here["decision_id"] = there["decision_id"].clone();
            }
            assert_eq!(there, here, "{more:?}");
        }
    }
}

#[test]
fn every_kind_of_value_reaches_a_sidecar() {
    let folder = policies(&[]);
    write_store(
        folder.path(),
        "guard",
        r#"permit (principal, action == Guard::Action::"edit", resource) when {
            context has amount && context.amount == decimal("12.50")
            && context has since && context.since == datetime("1969-12-31T23:59:59.500Z")
            && context has on && context.on == Guard::Site::"42"
            && context has force && context.force
            && context has reason && context.reason == "7"
            && resource has team && resource.team has active && resource.team.active
        };"#,
    );
    let sidecar = Sidecar::start(folder.path(), &[]);
    let file = |name: &str, content: Json| {
        let path = sidecar.folder.path().join(name);
        fs::write(&path, content.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let context = json!({
        "amount": { "__extn": { "fn": "decimal", "arg": "12.50" } },
        "since": { "__extn": { "fn": "datetime", "arg": "1969-12-31T23:59:59.500Z" } },
        "on": { "__entity": { "type": "Site", "id": "42" } },
        "force": true,
    });
    let team = json!({ "__entity": { "type": "Team", "id": "t" } });
    let entities = json!([
        { "uid": { "type": "Site", "id": "42" }, "attrs": { "team": team }, "parents": [] },
        { "uid": { "type": "Team", "id": "t" }, "attrs": { "active": true }, "parents": [] },
    ]);
    let (context, entities) = (file("context.json", context), file("entities.json", entities));
    let args = ["--action", "edit", "--context-file", &context, "--entities", &entities];
    let ended =
        sidecar.check(&sidecar.tcp(), &[&args[..], &["--context", r#"reason="7""#]].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[test]
fn check_tells_a_bad_store_from_a_missing_server() {
    let folder = policies(&["one", "two"]);
    let sidecar = Sidecar::start(folder.path(), &[]);
    for (more, code, part) in [
        (&["--store", "three"][..], 64, "`three`"),
        (&[], 64, "one, two"),
        (&["--store", "one"], 2, ""),
    ] {
        let ended = sidecar.check(&sidecar.tcp(), &[&["--action", "edit"], more].concat());
        assert_eq!(ended.code, code, "{ended:?}");
        assert!(ended.err.contains(part), "{ended:?}");
    }
    for address in ["http://127.0.0.1:1", "unix:/nowhere.sock"] {
        let ended = sidecar.check(address, &["--action", "edit", "--timeout", "5"]);
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.err.contains("cannot reach"), "{ended:?}");
    }
}

#[test]
fn the_log_says_what_is_ready() {
    let folder = policies(&["one", "two"]);
    let sidecar = Sidecar::start(folder.path(), &[]);
    let ready = sidecar.event("ready");
    let grpc: Vec<_> =
        sidecar.addresses["grpc"].as_array().unwrap().iter().filter_map(Json::as_str).collect();
    assert_eq!(ready["grpc"], json!(grpc.join(", ")));
    assert_eq!(ready["http"], sidecar.addresses["http"]);
    assert!(ready["ready_in"].as_str().unwrap().ends_with('s'));
    let stores = ready["stores"].as_str().unwrap();
    assert!(stores.starts_with("one@") && stores.contains(", two@"), "{stores}");
    assert!(!stores.contains(":0"), "{ready}");
}

#[test]
fn a_signal_ends_it_cleanly() {
    for signal in ["TERM", "INT"] {
        let folder = policies(&["guard"]);
        let mut sidecar = Sidecar::start(folder.path(), &[]);
        assert!(sidecar.socket().exists());
        sidecar.signal(signal);
        assert_eq!(sidecar.code(), 0, "{}", sidecar.log());
        assert!(!sidecar.socket().exists());
        assert!(!sidecar.folder.path().join("addresses.json").exists());
        assert_eq!(run(&["healthcheck", "--address", &sidecar.tcp()]).code, 1);
    }
}

/// A call of which the sidecar has seen the beginning and not the end.
struct OpenCall {
    runtime: tokio::runtime::Runtime,
    message: mpsc::Sender<IsAuthorizedRequest>,
    answer: tokio::task::JoinHandle<Result<IsAuthorizedResponse, tonic::Status>>,
}

impl OpenCall {
    fn begin(address: String) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (message, messages) = mpsc::channel(1);
        let channel = tonic::transport::Endpoint::from_shared(address).unwrap();
        let channel = runtime.block_on(channel.connect()).unwrap();
        let answer = runtime.spawn(async move {
            let mut grpc = tonic::client::Grpc::new(channel);
            grpc.ready().await.map_err(|error| tonic::Status::unknown(error.to_string()))?;
            let messages = tokio_stream::wrappers::ReceiverStream::new(messages);
            let path = "/humbaba.v1.AuthorizationService/IsAuthorized".parse().unwrap();
            let codec = tonic_prost::ProstCodec::default();
            let answer = grpc.client_streaming(tonic::Request::new(messages), path, codec).await;
            answer.map(tonic::Response::into_inner)
        });
        Self { runtime, message, answer }
    }

    /// Sends the question and waits for the answer.
    fn finish(self) -> Result<IsAuthorizedResponse, tonic::Status> {
        let Self { runtime, message, answer } = self;
        runtime.block_on(async move {
            let uid = |ty: &str, id: &str| {
                Some(humbaba::proto::EntityUid { r#type: ty.into(), id: id.into() })
            };
            let question = IsAuthorizedRequest {
                principal: uid("User", "alice"),
                action: uid("", "view"),
                resource: uid("Site", "42"),
                ..IsAuthorizedRequest::default()
            };
            // It fails where the call is over already, and then the answer tells why.
            let _ = message.send(question).await;
            drop(message);
            answer.await.unwrap()
        })
    }
}

/// Waits until the sidecar counts a call as begun.
fn until_begun(sidecar: &Sidecar) {
    use std::io::{Read as _, Write as _};

    let address = sidecar.addresses["http"].as_str().unwrap();
    until("the call to begin", || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let line = text.lines().find(|line| line.starts_with("humbaba_requests_in_flight"))?;
        (line.rsplit(' ').next()? != "0").then_some(())
    });
}

#[test]
fn a_call_that_has_begun_is_answered_before_the_end() {
    let folder = policies(&["guard"]);
    let mut sidecar = Sidecar::start(folder.path(), &[]);
    let call = OpenCall::begin(sidecar.tcp());
    until_begun(&sidecar);
    sidecar.signal("TERM");
    sidecar.event("stopping");
    assert!(sidecar.child.try_wait().unwrap().is_none(), "{}", sidecar.log());
    let answer = call.finish().unwrap();
    assert_eq!(answer.decision(), humbaba::proto::Decision::Deny);
    assert_eq!(sidecar.code(), 0);
}

#[test]
fn a_call_that_never_ends_cannot_hold_it_beyond_the_deadline() {
    let folder = policies(&["guard"]);
    let mut sidecar = Sidecar::start(
        folder.path(),
        &["--set", "shutdown.drain_s=0", "--set", "limits.request_timeout_ms=600000"],
    );
    let call = OpenCall::begin(sidecar.tcp());
    until_begun(&sidecar);
    sidecar.signal("TERM");
    assert_eq!(sidecar.code(), 0);
    assert!(call.finish().is_err());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let folder = policies(&["guard"]);
    let mut sidecar = Sidecar::start(
        folder.path(),
        &["--set", "shutdown.drain_s=600", "--set", "limits.request_timeout_ms=600000"],
    );
    let call = OpenCall::begin(sidecar.tcp());
    until_begun(&sidecar);
    sidecar.signal("TERM");
    sidecar.event("stopping");
    sidecar.signal("INT");
    assert_eq!(sidecar.code(), 1);
    assert!(!sidecar.socket().exists());
    drop(call);
}

#[test]
fn sighup_looks_for_changes() {
    let folder = policies(&["guard"]);
    // Neither events nor the clock find the change here.
    let quiet = ["--set", "reload.use_events=false", "--set", "reload.rehash_interval_s=86400"];
    let sidecar = Sidecar::start(folder.path(), &quiet);
    let question = ["--action", "edit", "--role", "viewer"];
    assert_eq!(sidecar.check(&sidecar.tcp(), &question).code, 2);
    write_store(folder.path(), "guard", "permit (principal, action, resource);");
    assert_eq!(sidecar.check(&sidecar.tcp(), &question).code, 2);
    sidecar.signal("HUP");
    until("the new policies", || {
        (sidecar.check(&sidecar.tcp(), &question).code == 0).then_some(())
    });
    // A bad state changes nothing.
    write_store(folder.path(), "guard", "permit");
    sidecar.signal("HUP");
    until("the refusal", || sidecar.log().contains("guard/policies.cedar").then_some(()));
    assert_eq!(sidecar.check(&sidecar.tcp(), &question).code, 0);
    assert_eq!(run(&["healthcheck", "--address", &sidecar.tcp()]).code, 0);
}

#[test]
fn it_does_not_start_without_a_valid_store() {
    let (bad, empty) = (policies(&[]), TempDir::new().unwrap());
    write_store(
        bad.path(),
        "bad",
        "permit (principal, action, resource)\nwhen { resource.colour };",
    );
    for (path, part) in [
        (bad.path(), "bad/policies.cedar:2:"),
        (empty.path(), "holds no policy store"),
        (Path::new("/nowhere"), "/nowhere"),
    ] {
        let listen = ["serve", "--listen", "127.0.0.1:0", "--http-listen", "off"];
        let ended = end(command(&listen).args(["--policies", path.to_str().unwrap()]));
        assert_eq!(ended.code, 3, "{ended:?}");
        assert!(ended.err.contains(part), "no `{part}` in {}", ended.err);
    }
}

#[test]
fn a_broken_store_does_not_keep_the_others_from_serving() {
    let folder = policies(&["good"]);
    write_store(folder.path(), "bad", "permit");
    let sidecar = Sidecar::start(folder.path(), &[]);
    let ended = sidecar.check(&sidecar.tcp(), &["--store", "good", "--action", "view"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(sidecar.log().contains("bad/policies.cedar"));
}

#[test]
fn a_store_may_have_to_pass_its_tests() {
    let folder = policies(&["passing", "failing"]);
    for (store, expect) in [("passing", "deny"), ("failing", "allow")] {
        let case = format!(
            "[[case]]\nname = \"nobody edits\"\nprincipal = 'User::\"alice\"'\naction = \"edit\"\n\
             resource = 'Site::\"42\"'\nexpect = \"{expect}\"\n"
        );
        let tests = folder.path().join(store).join("tests");
        fs::create_dir(&tests).unwrap();
        fs::write(tests.join("edit.toml"), case).unwrap();
    }
    let sidecar = Sidecar::start(folder.path(), &["--require-tests"]);
    let ask = |store: &str| sidecar.check(&sidecar.tcp(), &["--store", store, "--action", "edit"]);
    assert_eq!(ask("passing").code, 2);
    assert_eq!(ask("failing").code, 64);
    let log = sidecar.log();
    assert!(log.contains("failing/tests/edit.toml") && log.contains("nobody edits"), "{log}");
    let sidecar = Sidecar::start(folder.path(), &["--require-tests=false"]);
    let ended = sidecar.check(&sidecar.tcp(), &["--store", "failing", "--action", "edit"]);
    assert_eq!(ended.code, 2);
}

#[test]
fn settings_reach_the_sidecar() {
    let folder = policies(&["one", "two"]);
    let more = ["--default-store", "two", "--set", "limits.role_assignments=1"];
    let sidecar = Sidecar::start(folder.path(), &more);
    let one = ["--action", "edit", "--role", "editor"];
    assert_eq!(sidecar.check(&sidecar.tcp(), &one).code, 0);
    let two = ["--action", "edit", "--role", "editor", "--role", "viewer"];
    let ended = sidecar.check(&sidecar.tcp(), &two);
    assert_eq!(ended.code, 64);
    assert!(ended.err.contains("more than the limit of 1"), "{ended:?}");
}

#[test]
fn the_folder_at_hand_is_served_where_none_is_named() {
    let folder = TempDir::new().unwrap();
    write_store(&folder.path().join("policies"), "here", POLICIES);
    let file = folder.path().join("addresses.json");
    let log = folder.path().join("log");
    let mut child = command(&["--listen", "127.0.0.1:0", "--http-listen", "off"])
        .args(["--addr-file", file.to_str().unwrap()])
        .current_dir(folder.path())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let text = || fs::read_to_string(&log).unwrap();
    let ready = until("ready", || {
        let ended = child.try_wait().unwrap().is_some();
        (ended || text().contains("ready_in")).then(text)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(ready.contains("here@") && ready.contains("http=\"off\""), "{ready}");
}

#[test]
fn sockets_have_their_mode() {
    let folder = policies(&["guard"]);
    for (more, mode) in [(&[][..], 0o660), (&["--set", "socket_mode=0606"], 0o606)] {
        let sidecar = Sidecar::start(folder.path(), more);
        let permissions = fs::metadata(sidecar.socket()).unwrap().permissions();
        assert_eq!(permissions.mode() & 0o777, mode);
    }
}

#[test]
fn a_socket_that_was_left_behind_is_replaced() {
    let folder = policies(&["guard"]);
    let left = TempDir::new().unwrap();
    let path = left.path().join("left.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let address = format!("unix:{}", path.display());
    let sidecar = Sidecar::start(folder.path(), &["--listen", &address]);
    assert_eq!(run(&["healthcheck", "--address", &address]).code, 0);
    drop(sidecar);
}

#[test]
fn an_address_that_is_taken_is_refused() {
    let folder = policies(&["guard"]);
    let place = TempDir::new().unwrap();
    let (socket, file) = (place.path().join("taken.sock"), place.path().join("file"));
    let _unix = UnixListener::bind(&socket).unwrap();
    fs::write(&file, "precious").unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    for (address, part) in [
        (format!("unix:{}", socket.display()), "somebody listens there already"),
        (format!("unix:{}", file.display()), "a file that is no socket"),
        (format!("unix:{}", place.path().join("nowhere/x.sock").display()), "cannot listen on"),
        (tcp.local_addr().unwrap().to_string(), "cannot listen on"),
    ] {
        let args = ["serve", "--http-listen", "off", "--listen", &address, "--policies"];
        let ended = end(command(&args).arg(folder.path()));
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.err.contains(part) && ended.err.contains(&address), "{ended:?}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    assert!(socket.exists());
}

#[test]
fn other_machines_are_let_in_only_where_told_to() {
    let folder = policies(&["guard"]);
    let sidecar = Sidecar::start(folder.path(), &["--listen", "0.0.0.0:0", "--insecure"]);
    let address = sidecar.addresses["grpc"][2].as_str().unwrap();
    let port = address.strip_prefix("0.0.0.0:").unwrap();
    // `healthcheck` takes its address from the same settings, and reaches it on loopback.
    let listen = format!("0.0.0.0:{port}");
    let ended = end(command(&["healthcheck"])
        .env("HUMBABA_LISTEN", &listen)
        .env("HUMBABA_INSECURE", "true"));
    assert_eq!((ended.code, ended.out.as_str()), (0, "serving\n"), "{ended:?}");
}

#[test]
fn healthcheck_tells_services_apart() {
    let folder = policies(&["guard"]);
    let sidecar = Sidecar::start(folder.path(), &[]);
    for address in [sidecar.tcp(), sidecar.unix()] {
        for (service, code) in
            [("", 0), ("humbaba.v1.AuthorizationService", 0), ("humbaba.v1.Nothing", 1)]
        {
            let ended = run(&["healthcheck", "--address", &address, "--service", service]);
            assert_eq!(ended.code, code, "{ended:?}");
        }
    }
}

#[test]
fn healthcheck_fails_where_nobody_serves() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let tcp = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let not_serving = tcp.local_addr().unwrap().to_string();
    let live = std::sync::Arc::default();
    let server = humbaba::server::Server::new(live, humbaba::server::ServerOptions::default());
    let listeners = vec![humbaba::server::Listener::Tcp(tcp)];
    let serving = server.clone();
    runtime.spawn(async move { serving.serve_grpc(listeners, std::future::pending()).await });
    // Takes the connection and never says a word.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let mute_address = mute.local_addr().unwrap().to_string();
    for (address, part) in [
        (not_serving.as_str(), "NOT_SERVING"),
        ("127.0.0.1:1", "cannot reach"),
        ("unix:/nowhere.sock", "cannot reach"),
        (&mute_address, "within 0.2 s"),
    ] {
        let timeout = if address == mute_address { "0.2" } else { "10" };
        let ended = run(&["healthcheck", "--address", address, "--timeout", timeout]);
        assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{address}: {ended:?}");
        assert!(ended.err.contains(part), "no `{part}` in {ended:?}");
    }
    server.set_serving(true);
    assert_eq!(run(&["healthcheck", "--address", &not_serving]).code, 0);
}
