//! The HTTP face of a running sidecar: settings, what is logged, figures of the process.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    process::Stdio,
};

use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    cli::{POLICIES, command, policies, run, write_store},
    cli_sidecar::{DEADLINE, Sidecar, until},
    support::directory_client::channel,
};

/// An answer: status and body.
pub fn http(sidecar: &Sidecar, method: &str, path: &str, more: &str, body: &str) -> (u16, String) {
    let address = sidecar.addresses["http"].as_str().unwrap();
    exchange(TcpStream::connect(address).unwrap(), method, path, more, body)
}

fn exchange(
    mut stream: impl Read + Write,
    method: &str,
    path: &str,
    more: &str,
    body: &str,
) -> (u16, String) {
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn put(sidecar: &Sidecar, more: &str, filter: &str) -> (u16, String) {
    http(sidecar, "PUT", "/log-level", more, filter)
}

#[test]
fn what_is_logged_changes_while_it_runs() {
    let folder = policies(&["guard"]);
    let sidecar = Sidecar::start(folder.path(), &["--log-filter", "info"]);
    assert_eq!(http(&sidecar, "GET", "/log-level", "", ""), (200, "info\n".to_owned()));
    let levels = |level: &str| sidecar.log().matches(&format!("\"level\":\"{level}\"")).count();
    let ask = || sidecar.check(&sidecar.tcp(), &["--action", "view"]);
    ask();
    assert_eq!(levels("DEBUG") + levels("TRACE"), 0);

    let (status, body) = put(&sidecar, "", "warn,h2=debug\n");
    assert_eq!((status, body.as_str()), (200, "warn,h2=debug\n"));
    ask();
    until("more in the log", || (levels("DEBUG") > 0).then_some(()));
    assert_eq!(http(&sidecar, "GET", "/log-level", "", "").1, "warn,h2=debug\n");
    let changed = sidecar.event("the log filter is changed");
    assert_eq!((&changed["old"], &changed["new"]), (&json!("info"), &json!("warn,h2=debug")));

    // Back to the settings.
    assert_eq!(put(&sidecar, "", ""), (200, "info\n".to_owned()));
    sidecar.signal("HUP");
    sidecar.event("looking for changes");
    let before = levels("DEBUG");
    ask();
    assert_eq!(levels("DEBUG"), before);
}

#[test]
fn what_is_logged_is_not_for_everybody_to_change() {
    let folder = policies(&["guard"]);
    let sidecar = Sidecar::start(folder.path(), &[]);
    for (more, filter, status, part) in [
        ("", "humbaba=loud", 400, "is not a filter"),
        ("Origin: http://evil.example\r\n", "off", 403, "not from a browser"),
        ("", &"x".repeat(2_000), 413, "more than 1024 bytes"),
    ] {
        let (got, body) = put(&sidecar, more, filter);
        assert_eq!(got, status, "{body}");
        assert!(body.contains(part), "{body}");
    }
    assert_eq!(http(&sidecar, "POST", "/log-level", "", "off").0, 405);
    assert_eq!(http(&sidecar, "GET", "/log-level", "", "").1, "info\n");
}

#[test]
fn over_a_unix_socket_it_is_changed_too() {
    let (folder, place) = (policies(&["guard"]), TempDir::new().unwrap());
    let path = place.path().join("http.sock");
    let mut serve = command(&["serve", "--policies", folder.path().to_str().unwrap()]);
    serve.args(["--listen", "127.0.0.1:0", "--web-listen", "off"]);
    serve.args(["--http-listen", &format!("unix:{}", path.display())]);
    let mut child = serve.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let put = |more: &str| {
        let stream = until("the socket", || UnixStream::connect(&path).ok());
        exchange(stream, "PUT", "/log-level", more, "warn")
    };
    // A page in a browser has no way to a Unix socket, and if it found one, it would be none.
    let answers = (put("Origin: http://evil.example\r\n"), put(""));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(answers.0.0, 403, "{answers:?}");
    assert_eq!(answers.1, (200, "warn\n".to_owned()));
}

#[test]
fn the_status_tells_the_settings() {
    let folder = policies(&["guard"]);
    let sidecar = Sidecar::start(folder.path(), &["--set", "limits.entities=7"]);
    let (status, body) = http(&sidecar, "GET", "/status", "", "");
    assert_eq!(status, 200);
    let page: Json = serde_json::from_str(&body).unwrap();
    let settings = &page["settings"];
    assert_eq!(settings["limits"]["entities"], 7);
    assert_eq!(settings["policies"], folder.path().to_str().unwrap());
    assert_eq!(settings["shutdown"], json!({"delay_s": 0, "drain_s": 10}));
    assert_eq!(settings["listen"].as_array().unwrap().len(), 2);
}

#[test]
fn a_folder_that_cannot_be_used_is_told() {
    let place = TempDir::new().unwrap();
    let (there, away) = (place.path().join("policies"), place.path().join("away"));
    write_store(&there, "guard", POLICIES);
    let sidecar = Sidecar::start(&there, &["--set", "reload.rehash_interval_s=1"]);
    let is_refused = |value: &str| {
        until(&format!("folder_refused is {value}"), || {
            let (_, body) = http(&sidecar, "GET", "/metrics", "", "");
            body.contains(&format!("\nhumbaba_folder_refused {value}\n")).then_some(())
        });
    };
    is_refused("0");
    std::fs::rename(&there, &away).unwrap();
    is_refused("1");
    assert_eq!(sidecar.check(&sidecar.tcp(), &["--action", "view"]).code, 2);
    std::fs::rename(&away, &there).unwrap();
    is_refused("0");
}

#[test]
fn only_the_strict_checks_fail_while_a_store_is_refused() {
    let folder = policies(&["good", "guard"]);
    let sidecar = Sidecar::start(folder.path(), &[]);
    let checks = || {
        let tcp = sidecar.tcp();
        let healthcheck = |more: &[&str]| {
            let ended = run(&[&["healthcheck", "--address", &tcp][..], more].concat());
            (ended.code, ended.out + &ended.err)
        };
        let ready = |path| http(&sidecar, "GET", path, "", "").0;
        (healthcheck(&[]), healthcheck(&["--strict"]), ready("/readyz"), ready("/readyz?strict"))
    };
    let serving = (0, "serving\n".to_owned());
    let all_pass = (serving.clone(), serving.clone(), 200, 200);
    assert_eq!(checks(), all_pass);

    write_store(folder.path(), "guard", "permit (principal");
    let refused = (1, "error: not serving: NOT_SERVING\n".to_owned());
    let only_the_strict_fail = (serving, refused, 200, 503);
    until("the strict checks to fail", || (checks() == only_the_strict_fail).then_some(()));

    write_store(folder.path(), "guard", POLICIES);
    until("the strict checks to pass", || (checks() == all_pass).then_some(()));
}

#[test]
fn the_strict_checks_fail_while_a_store_decides_nothing_because_of_its_directory() {
    let (folder, place) = (policies(&["guard", "open"]), tempfile::TempDir::new().unwrap());
    let data = place.path().join("data");
    std::fs::write(&data, "no folder").unwrap();
    let data = ["--directory", "guard=embedded", "--data", data.to_str().unwrap()];
    let sidecar = Sidecar::start(folder.path(), &data);
    let ended = sidecar.check(&sidecar.tcp(), &["--action", "view", "--store", "guard"]);
    assert!(ended.err.contains("directory"), "{ended:?}");
    let strict = run(&["healthcheck", "--strict", "--address", &sidecar.tcp()]);
    assert_eq!(strict.code, 1, "{strict:?}");
    assert_eq!(http(&sidecar, "GET", "/readyz?strict", "", "").0, 503);
    assert_eq!(http(&sidecar, "GET", "/readyz", "", "").0, 200);
}

#[test]
fn a_process_that_can_decide_nothing_is_not_ready() {
    let (folder, place) = (policies(&["guard"]), tempfile::TempDir::new().unwrap());
    let data = place.path().join("data");
    std::fs::write(&data, "no folder").unwrap();
    let data = ["--directory", "guard=embedded", "--data", data.to_str().unwrap()];
    let sidecar = Sidecar::begin(folder.path(), &data);
    let said = "nothing can be decided, for the directory of every policy store was refused";
    until("the reason", || {
        http(&sidecar, "GET", "/readyz", "", "").1.starts_with(said).then_some(())
    });
    assert_eq!(http(&sidecar, "GET", "/readyz", "", "").0, 503);
    until("a line in the log", || {
        sidecar.log().contains("not ready: nothing can be decided").then_some(())
    });
    let mut watched = Watched::begin(&sidecar);
    assert_eq!(watched.next(), ServingStatus::NotServing);
    let health = || run(&["healthcheck", "--address", &sidecar.tcp()]).code;
    assert_eq!(health(), 1);
    // A store without a directory comes: it can be decided by the same process.
    write_store(folder.path(), "open", POLICIES);
    until("readiness", || (http(&sidecar, "GET", "/readyz", "", "").0 == 200).then_some(()));
    assert_eq!((health(), watched.next()), (0, ServingStatus::Serving));
}

/// A watch of the health of a sidecar.
struct Watched {
    runtime: tokio::runtime::Runtime,
    statuses: tonic::Streaming<tonic_health::pb::HealthCheckResponse>,
}

impl Watched {
    fn begin(sidecar: &Sidecar) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let address = sidecar.tcp();
        let statuses = runtime.block_on(async {
            let mut client = HealthClient::new(channel(&address));
            client.watch(HealthCheckRequest::default()).await.unwrap().into_inner()
        });
        Self { runtime, statuses }
    }

    fn next(&mut self) -> ServingStatus {
        let Self { runtime, statuses } = self;
        let message = async { tokio::time::timeout(DEADLINE, statuses.message()).await };
        runtime.block_on(message).unwrap().unwrap().unwrap().status()
    }
}

#[test]
fn the_process_tells_its_figures() {
    let folder = policies(&["guard"]);
    let sidecar = Sidecar::start(folder.path(), &[]);
    let (_, body) = http(&sidecar, "GET", "/metrics", "", "");
    let value = |name: &str| -> f64 {
        let line = body.lines().find(|line| line.starts_with(&format!("{name} "))).expect(name);
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("process_open_fds") > 3.0 && value("process_max_fds") > 3.0);
    assert!(value("process_threads") > 1.0);
    assert!(value("process_cpu_seconds_total") >= 0.0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let age = now.as_secs_f64() - value("process_start_time_seconds");
    assert!((-2.0..120.0).contains(&age), "{age}");
}
