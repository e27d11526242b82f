//! `humbaba serve`: starting and reloading.

use std::{
    fs,
    io::Write as _,
    net::{TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    path::Path,
    process::Command,
};

use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::{
    cli::{POLICIES, command, end, policies, run, write_store},
    cli_sidecar::{Sidecar, until},
    observe_http::http,
};

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
        let listen =
            ["serve", "--listen", "127.0.0.1:0", "--http-listen", "off", "--web-listen", "off"];
        let ended = end(command(&listen).args(["--policies", path.to_str().unwrap()]));
        assert_eq!(ended.code, 3, "{ended:?}");
        assert!(ended.err.contains(part), "no `{part}` in {}", ended.err);
    }
}

#[test]
fn a_pipe_where_a_file_is_named_ends_the_start_instead_of_holding_it_up() {
    let (folder, place) = (policies(&["guard"]), TempDir::new().unwrap());
    let pipe = place.path().join("pipe").to_str().unwrap().to_owned();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let key = format!("decision_log.hash_key_file={pipe}");
    let record = ["--decision-log", "--set", "decision_log.hash=principal.id", "--set", &key];
    let writer = format!("directory.token_file={pipe}");
    for named in [
        &["--token-file", &pipe][..],
        &["--config", &pipe],
        &["--tls-cert", &pipe, "--tls-key", &pipe],
        &["--set", "directory.listen=127.0.0.1:0", "--set", &writer],
        &record,
    ] {
        let listen =
            ["serve", "--listen", "127.0.0.1:0", "--http-listen", "off", "--web-listen", "off"];
        // Where it waits for the pipe, no other signal may end it.
        let mut serve = Command::new("timeout");
        serve.args(["-s", "KILL", "30"]).arg(command(&[]).get_program()).args(listen);
        let ended = end(serve.arg("--policies").arg(folder.path()).args(named));
        assert_eq!(ended.code, 64, "{named:?}: {ended:?}");
        let said = &ended.err;
        assert!(said.contains(&pipe) && said.contains("not a regular file"), "{named:?}: {said}");
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
fn a_probe_over_a_unix_socket_finds_room_where_callers_over_tcp_have_taken_all() {
    let folder = policies(&["guard"]);
    let sidecar = Sidecar::start(folder.path(), &["--set", "limits.connections=4"]);
    let address = sidecar.addresses["grpc"][0].as_str().unwrap();
    let is_full = || {
        let (_, metrics) = http(&sidecar, "GET", "/metrics", "", "");
        metrics.contains("humbaba_connections{face=\"grpc\"} 4\n")
    };
    // Connections that speak HTTP/2 and ask nothing.
    let mut idle = Vec::new();
    until("all connections to be taken", || {
        let mut connection = TcpStream::connect(address).unwrap();
        let settings = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        let _ = connection.write_all(settings);
        idle.push(connection);
        is_full().then_some(())
    });
    assert_eq!(run(&["healthcheck", "--address", &sidecar.tcp()]).code, 1);
    assert_eq!(run(&["healthcheck", "--address", &sidecar.unix()]).code, 0);
    assert!(is_full());
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
    let sidecar = Sidecar::start(folder.path(), &["--require", "tests"]);
    let ask = |store: &str| sidecar.check(&sidecar.tcp(), &["--store", store, "--action", "edit"]);
    assert_eq!(ask("passing").code, 2);
    assert_eq!(ask("failing").code, 64);
    let log = sidecar.log();
    assert!(log.contains("failing/tests/edit.toml") && log.contains("nobody edits"), "{log}");
    let sidecar = Sidecar::start(folder.path(), &["--require", ""]);
    let ended = sidecar.check(&sidecar.tcp(), &["--store", "failing", "--action", "edit"]);
    assert_eq!(ended.code, 2);
}

#[test]
fn the_folder_at_hand_is_served_where_none_is_named() {
    let folder = TempDir::new().unwrap();
    write_store(&folder.path().join("policies"), "here", POLICIES);
    let file = folder.path().join("addresses.json");
    let log = folder.path().join("log");
    let mut child =
        command(&["--listen", "127.0.0.1:0", "--http-listen", "off", "--web-listen", "off"])
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
        let args =
            ["serve", "--http-listen=off", "--web-listen=off", "--listen", &address, "--policies"];
        let ended = end(command(&args).arg(folder.path()));
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.err.contains(part) && ended.err.contains(&address), "{ended:?}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    assert!(socket.exists());
}
