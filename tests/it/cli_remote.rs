//! `humbaba check --server` and `humbaba healthcheck`.

use std::{fs, net::TcpListener};

use serde_json::{Value as Json, json};

use crate::{
    cli::{command, end, policies, run, write_store},
    cli_sidecar::Sidecar,
    support::stores,
};

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
    let live = std::sync::Arc::<humbaba::reload::Live>::default();
    let stores = humbaba::store::Stores::new(vec![stores::acme()], None);
    live.publish(stores, humbaba::reload::LoadStatus::default());
    let server = humbaba::grpc::GrpcServer::new(
        live,
        humbaba::grpc::GrpcOptions::default(),
        None,
        &humbaba::telemetry::MetricsProvider::default(),
        humbaba::audit::DecisionLog::off(),
    );
    let listeners = vec![humbaba::net::Listener::Tcp(tcp)];
    let serving = server.clone();
    runtime.spawn(async move { serving.serve(listeners, std::future::pending()).await });
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

#[test]
fn a_port_at_which_no_grpc_is_spoken_is_told_as_one() {
    let folder = policies(&["guard"]);
    let sidecar = Sidecar::start(folder.path(), &[]);
    let address = |key: &str| sidecar.addresses[key].as_str().unwrap().to_owned();
    let grpc = sidecar.tcp().replace("http://", "");
    let ca = crate::support::pki::Authority::new("anybody");
    let file = folder.path().join("ca.crt");
    fs::write(&file, &ca.pem).unwrap();
    let ca = ["--ca", file.to_str().unwrap()];
    for (address, more, told) in [
        (format!("http://{}", address("http")), &[][..], "no gRPC is spoken there, but HTTP"),
        (format!("http://{}", address("web")), &[], "no gRPC is spoken there, but HTTP"),
        (format!("https://{grpc}"), &ca, "no TLS is spoken there: write `http://`"),
    ] {
        let asked = sidecar.check(&address, &[&["--action", "view"], more].concat());
        let health = end(command(&["healthcheck", "--address", &address]).args(more));
        for ended in [asked, health] {
            assert_eq!(ended.code, 1, "{address}: {ended:?}");
            assert!(ended.err.contains(told), "{address}: {ended:?}");
            assert!(!ended.err.contains("source:"), "{address}: {ended:?}");
        }
    }
}
