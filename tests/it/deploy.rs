//! The files in `deploy/` against the program that it deploys.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use serde_json::Value as Json;
use tempfile::TempDir;

use crate::{
    cli::{command, end, run},
    cli_sidecar::{Sidecar, until},
    support::{
        http,
        kubelet::Mount,
        pki::{self, Authority},
        tls::{client_config, https_get},
        wait,
    },
};

/// The labels that Prometheus itself adds to every sample.
const TARGET_LABELS: [&str; 4] = ["namespace", "pod", "job", "instance"];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

fn text(path: &str) -> String {
    fs::read_to_string(deploy().join(path)).unwrap()
}

/// Every file of `deploy/` that is text.
fn files() -> Vec<(PathBuf, String)> {
    let (mut folders, mut found) = (vec![deploy()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                found.push((path, text));
            }
        }
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The words of a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_word(c)).filter(|word| !word.is_empty())
}

/// The queries of the dashboard and of the alerts.
fn queries() -> Vec<String> {
    let dashboard: Json = serde_json::from_str(&text("monitoring/dashboard.json")).unwrap();
    let mut queries = Vec::new();
    let mut ahead = vec![&dashboard];
    while let Some(value) = ahead.pop() {
        match value {
            Json::Object(fields) => {
                let query = ["expr", "definition"].iter().filter_map(|name| fields.get(*name));
                queries.extend(query.filter_map(Json::as_str).map(str::to_owned));
                ahead.extend(fields.values());
            }
            Json::Array(values) => ahead.extend(values),
            _ => {}
        }
    }
    assert!(queries.len() > 15, "the dashboard has queries");
    for alert in text("monitoring/alerts.yaml").split("- alert: ").skip(1) {
        let query = alert.split_once("expr: ").unwrap().1.split_once("\n        for: ").unwrap().0;
        queries.push(query.to_owned());
    }
    queries
}

/// The metrics of a query, each with the labels that are asked of it.
fn asked(query: &str) -> Vec<(&str, BTreeSet<&str>)> {
    let mut found = Vec::new();
    for (start, _) in query.match_indices("humbaba_") {
        let rest = &query[start..];
        let (name, rest) = rest.split_at(rest.find(|c| !is_word(c)).unwrap_or(rest.len()));
        let selector = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let selector = selector.map_or("", |(selector, _)| selector);
        let labels = selector.split(',').filter(|matcher| !matcher.is_empty());
        found.push((name, labels.map(|matcher| words(matcher).next().unwrap()).collect()));
    }
    found
}

/// The labels that a query groups by.
fn grouped(query: &str) -> impl Iterator<Item = &str> {
    let groups = query.split(" by (").skip(1);
    groups.flat_map(|rest| words(rest.split_once(')').unwrap().0))
}

/// The labels of each metric in a page of metrics.
fn metrics(page: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let name: String = line.chars().take_while(|c| is_word(*c)).collect();
        let labels = found.entry(name).or_default();
        if let Some((_, rest)) = line.split_once('{') {
            let assignments = rest.rsplit_once('}').unwrap().0.split("\",");
            labels.extend(assignments.map(|one| one.split_once('=').unwrap().0.to_owned()));
        }
    }
    found
}

/// The store of the example, in a folder of its own.
fn example_policies() -> TempDir {
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("documents");
    fs::create_dir(&store).unwrap();
    for file in ["schema.cedarschema", "documents.cedar"] {
        fs::write(store.join(file), text(&format!("kustomize/example/policies/{file}"))).unwrap();
    }
    folder
}

/// The policies of the example with a change that one of its tests forbids.
fn too_open() -> String {
    let policies = text("kustomize/example/policies/documents.cedar");
    let too_open = policies.replace("resource.owner };", "resource.reader };");
    assert_ne!(too_open, policies);
    too_open
}

fn ask(sidecar: &Sidecar, action: &str) -> i32 {
    let question = ["check", "--principal", r#"User::"alice""#, "--role", "reader"];
    let resource = ["--resource", r#"Document::"1""#, "--action", action];
    end(command(&question).args(resource).args(["--server", &sidecar.unix()])).code
}

#[tokio::test]
async fn dashboard_and_alerts_speak_of_metrics_that_exist() {
    let (folder, files) = (example_policies(), TempDir::new().unwrap());
    let clients = Authority::new("clients");
    clients.server(2088).write(files.path());
    fs::write(files.path().join("ca.crt"), &clients.pem).unwrap();
    let path = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    let (cert, key, ca, log) = (path("tls.crt"), path("tls.key"), path("ca.crt"), path("log"));
    let tls = ["--listen", "tls:127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key];
    let rules = "[directory]\nrequest_facts = \"add\"\n";
    fs::write(folder.path().join("documents/store.toml"), rules).unwrap();
    fs::create_dir(files.path().join("directory")).unwrap();
    let directory = format!("documents=files:{}", path("directory"));
    fs::write(files.path().join("token"), "0123456789abcdef0123456789abcdef").unwrap();
    let token = format!("directory.token_file={}", path("token"));
    let more = ["--tls-client-ca", &ca, "--decision-log", "--decision-log-file", &log];
    let sidecar = Sidecar::start(
        folder.path(),
        &[
            &tls[..],
            &more,
            &["--set", "limits.role_assignments=1", "--require", "tests"],
            &["--directory", &directory],
            &["--set", "directory.listen=127.0.0.1:0", "--set", &token],
        ]
        .concat(),
    );
    let http_address = sidecar.addresses["http"].as_str().unwrap().parse().unwrap();
    // One of everything, for what never happened is not counted yet.
    assert_eq!(ask(&sidecar, "document.read"), 0);
    assert_eq!(ask(&sidecar, "document.delete"), 2);
    assert_eq!(ask(&sidecar, "document.misspelt"), 64);
    let too_many = ["check", "--server", &sidecar.unix(), "--role", "reader", "--role", "owner"];
    let question = ["--principal", r#"User::"alice""#, "--action", "document.read"];
    let resource = ["--resource", r#"Document::"1""#];
    assert_eq!(end(command(&too_many).args(question).args(resource)).code, 64);
    let store = folder.path().join("documents");
    fs::create_dir(store.join("tests")).unwrap();
    let cases = text("kustomize/example/policies/tests/documents.toml");
    fs::write(store.join("tests/documents.toml"), cases).unwrap();
    fs::write(store.join("documents.cedar"), too_open()).unwrap();
    let mut page = BTreeMap::new();
    wait::until("the refusal is counted", async || {
        page = metrics(&http::get(http_address, "/metrics").await.body);
        page.contains_key("humbaba_gate_refusals_total")
    })
    .await;
    let all_labels: BTreeSet<_> = page.values().flatten().map(String::as_str).collect();

    let mut metrics_asked = 0;
    for query in queries() {
        for (name, labels) in asked(&query) {
            metrics_asked += 1;
            let known = page.get(name).unwrap_or_else(|| panic!("no metric `{name}`: {query}"));
            for label in labels {
                let is_there = known.contains(label) || TARGET_LABELS.contains(&label);
                assert!(is_there, "`{name}` has no label `{label}`: {query}");
            }
        }
        for label in grouped(&query) {
            let is_there = all_labels.contains(label) || TARGET_LABELS.contains(&label);
            assert!(is_there, "no metric has a label `{label}`: {query}");
        }
    }
    assert!(metrics_asked > 25, "{metrics_asked}");
}

#[tokio::test]
async fn what_is_never_looked_at_again_does_not_seem_stale() {
    let folder = TempDir::new().unwrap();
    // Without a policies folder it decides with the stores that it carries.
    let embedded = Sidecar::start_in(folder.path());
    let address = embedded.addresses["http"].as_str().unwrap().parse().unwrap();
    let page = metrics(&http::get(address, "/metrics").await.body);
    assert!(page.contains_key("humbaba_store_info"));
    assert!(!page.contains_key("humbaba_last_attempt_age_seconds"));
}

#[test]
fn every_alert_has_its_entry_in_the_runbook() {
    let (alerts, runbook) = (text("monitoring/alerts.yaml"), text("runbook.md"));
    let mut names = BTreeSet::new();
    for alert in alerts.split("- alert: ").skip(1) {
        let name = alert.lines().next().unwrap().trim();
        names.insert(name);
        let link = format!("runbook: deploy/runbook.md#{}\n", name.to_lowercase());
        assert!(alert.contains(&link), "{name} leads to its entry");
    }
    let mut entries = BTreeSet::new();
    for entry in runbook.split("\n## ").skip(1) {
        let (name, entry) = entry.split_once('\n').unwrap();
        entries.insert(name);
        for part in ["**Meaning.** ", "**Look at.**", "**Do.**"] {
            assert!(entry.contains(part), "{name} has no {part}");
        }
    }
    assert_eq!(names, entries);
    let unit_tests = text("monitoring/alerts_test.yaml");
    for name in names {
        assert!(unit_tests.contains(&format!("alertname=\"{name}\"")), "{name} has a test");
    }
}

/// The names of all settings.
fn setting_names() -> BTreeSet<String> {
    let printed = run(&["serve", "--print-config"]).out;
    let settings: toml::Table = toml::from_str(&printed).unwrap();
    let mut names = BTreeSet::new();
    for (name, value) in settings {
        match value {
            toml::Value::Table(table) => {
                names.extend(table.keys().map(|inner| format!("{name}.{inner}")));
            }
            _ => drop(names.insert(name)),
        }
    }
    names
}

#[test]
fn every_variable_is_a_setting() {
    let variable = |name: &String| format!("HUMBABA_{}", name.replace('.', "__").to_uppercase());
    let variables: BTreeSet<_> = setting_names().iter().map(variable).collect();
    let mut found = 0;
    for (path, text) in files() {
        // `HUMBABA_` alone is the beginning of a name that a template puts together.
        let ours = words(&text).filter(|word| word.starts_with("HUMBABA_") && *word != "HUMBABA_");
        for name in ours {
            found += 1;
            assert!(variables.contains(name), "no variable `{name}`: {}", path.display());
        }
    }
    assert!(found > 15, "{found}");
}

#[test]
fn every_setting_that_is_spoken_of_exists() {
    let names = setting_names();
    let tables: BTreeSet<_> =
        names.iter().filter_map(|name| Some(name.split_once('.')?.0)).collect();
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
    for (path, text) in
        files().into_iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "md"))
    {
        for quoted in text.split('`').skip(1).step_by(2) {
            let name = quoted.split([' ', '=']).next().unwrap();
            let Some((table, _)) = name.split_once('.') else { continue };
            if tables.contains(table) && name.chars().all(is_name) {
                assert!(names.contains(name), "no setting `{name}`: {}", path.display());
            }
        }
    }
}

#[test]
fn every_value_of_a_setting_is_accepted() {
    let mut accepted = 0;
    // Templates are checked as what Helm makes of them, by `deploy/check`.
    let is_template = |path: &Path| path.components().any(|part| part.as_os_str() == "templates");
    for (path, text) in files().into_iter().filter(|(path, _)| !is_template(path)) {
        let mut command = command(&["serve", "--print-config"]);
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        let mut found = 0;
        for pair in lines.windows(2) {
            // A list of a pod's variables, or the mapping of compose.yaml.
            let (name, value) = match (pair[0].strip_prefix("- name: "), pair[0].split_once(": ")) {
                (Some(name), _) => (name, pair[1].strip_prefix("value: ")),
                (None, Some((name, value))) => (name, Some(value)),
                _ => continue,
            };
            let Some(value) = value.filter(|value| !value.contains("{{")) else { continue };
            if name.starts_with("HUMBABA_") && !name.contains("{{") {
                command.env(name, value.trim_matches('"'));
                found += 1;
            }
        }
        let ended = end(&mut command);
        assert_eq!(ended.code, 0, "{}: {}", path.display(), ended.err);
        accepted += found;
    }
    assert!(accepted > 12, "{accepted}");

    let config = deploy().join("systemd/humbaba.toml");
    let ended = run(&["serve", "--print-config", "--config", config.to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{}", ended.err);
}

/// The variables of a pod's container, as one file after the other sets or deletes them.
fn variables(files: &[&str]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for file in files {
        let text = text(file);
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        for pair in lines.windows(2) {
            let Some(name) = pair[0].strip_prefix("- name: HUMBABA_") else { continue };
            let name = format!("HUMBABA_{name}");
            match pair[1].strip_prefix("value: ") {
                Some(value) => drop(found.insert(name, value.trim_matches('"').to_owned())),
                None if pair[1] == "$patch: delete" => {
                    drop(found.remove(&name).expect("it is set"))
                }
                None => panic!("{name} has no value"),
            }
        }
    }
    found
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn the_service_with_tls_is_started_with_its_settings_and_asks_for_certificates() {
    let (place, policies) = (TempDir::new().unwrap(), example_policies());
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let (cluster, strangers) = (Authority::new("cluster"), Authority::new("strangers"));
    let pair = cluster.server(2088);
    // As cert-manager names the keys of a Secret, and the kubelet mounts it.
    fs::create_dir(path("tls")).unwrap();
    let secret = [("tls.crt", &*pair.cert), ("tls.key", &*pair.key), ("ca.crt", &*cluster.pem)];
    pki::mount(&place.path().join("tls"), "1", &secret);
    let files = ["kustomize/standalone/deployment.yaml", "kustomize/tls/deployment.yaml"];
    let variables: Vec<_> = variables(&files)
        .into_iter()
        .map(|(name, value)| {
            // The folders and ports of a pod are not free here; the rest is as it is.
            let value = value.replace("/run/humbaba", place.path().to_str().unwrap());
            let value = value.replace("/policies", policies.path().to_str().unwrap());
            let value = value.replace("/tls/", &path("tls/"));
            (name, value.replace(":8180", ":0").replace(":8181", ":0"))
        })
        .collect();
    assert!(variables.iter().all(|(name, _)| name != "HUMBABA_INSECURE"), "{variables:?}");
    let log = fs::File::create(path("log")).unwrap();
    let mut serve = command(&["serve", "--addr-file", &path("addresses")]);
    serve.envs(variables.clone()).stdout(Stdio::null()).stderr(log);
    let mut process = Running(serve.spawn().unwrap());
    let addresses: Json = until("the addresses", || {
        let log = || fs::read_to_string(path("log")).unwrap();
        assert!(process.0.try_wait().unwrap().is_none(), "{}", log());
        serde_json::from_str(&fs::read_to_string(path("addresses")).ok()?).ok()
    });
    // The probes, word for word.
    until("serving", || {
        let ended = end(command(&["healthcheck"]).envs(variables.clone()));
        (ended.code == 0).then_some(())
    });

    let port = |address: &Json| {
        let port = address.as_str().unwrap().strip_prefix("tls:0.0.0.0:").expect("TLS alone");
        port.parse::<u16>().unwrap()
    };
    assert!(addresses["grpc"][0].as_str().unwrap().starts_with("unix:"), "{addresses}");
    let (grpc, https) = (port(&addresses["grpc"][1]), port(&addresses["http"]));
    fs::write(path("authority"), &cluster.pem).unwrap();
    for (client, code) in
        [(Some(cluster.client(&["web"])), 0), (Some(strangers.client(&["web"])), 1), (None, 1)]
    {
        let server = format!("https://127.0.0.1:{grpc}");
        let mut check = command(&["check", "--server", &server, "--ca", &path("authority")]);
        check.args(["--principal", r#"User::"alice""#, "--action", "document.read"]);
        check.args(["--resource", r#"Document::"1""#, "--role", "reader"]);
        if let Some(client) = client {
            fs::write(path("client.crt"), client.cert).unwrap();
            fs::write(path("client.key"), client.key).unwrap();
            check.args(["--cert", &path("client.crt"), "--key", &path("client.key")]);
        }
        let ended = end(&mut check);
        assert_eq!(ended.code, code, "{ended:?}");
    }
    // Prometheus, which has no certificate but knows the authority.
    let versions = [&rustls::version::TLS12, &rustls::version::TLS13];
    let https = ([127, 0, 0, 1], https).into();
    let config = |ca: &Authority| client_config(&ca.pem, None, &versions, &["http/1.1"]);
    let page = https_get(https, config(&cluster), "/metrics").await.unwrap();
    let refused = r#"humbaba_tls_handshakes_refused_total{face="grpc",reason="no_certificate"}"#;
    assert!(page.contains("humbaba_build_info") && page.contains(refused), "{page}");
    https_get(https, config(&strangers), "/metrics").await.unwrap_err();
    // Nothing is said in clear text.
    let mut plain = std::net::TcpStream::connect(https).unwrap();
    std::io::Write::write_all(&mut plain, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = std::io::Read::read_to_end(&mut plain, &mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

/// The number after a text, which is there once.
fn number_after(file: &str, before: &str) -> u64 {
    let text = text(file);
    let mut parts = text.split(before);
    let (_, rest) = (parts.next().unwrap(), parts.next().unwrap_or_else(|| panic!("{file}")));
    assert!(parts.next().is_none(), "`{before}` is in {file} once");
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number after `{before}` in {file}"))
}

#[test]
fn whoever_stops_it_waits_until_a_stop_with_the_default_settings_has_ended() {
    let defaults = humbaba::settings::Settings::default().shutdown;
    let stop = humbaba::cli::longest_stop(&defaults).as_secs();
    let (standalone, chart) = ("kustomize/standalone/deployment.yaml", "helm/humbaba/values.yaml");
    let grace = "\n      terminationGracePeriodSeconds: ";
    // What the sidecar's pod has, where its own manifest does not say otherwise.
    let default_of_kubernetes = 30;
    for (given, needed) in [
        (number_after("systemd/humbaba.service", "\nTimeoutStopSec="), stop),
        (number_after("compose.yaml", "\n    stop_grace_period: "), stop),
        (
            number_after(standalone, grace),
            number_after(standalone, "\n                seconds: ") + stop,
        ),
        (
            number_after(chart, "\nterminationGracePeriodSeconds: "),
            number_after(chart, "\npreStopSeconds: ") + stop,
        ),
        (default_of_kubernetes, stop),
    ] {
        assert!(given > needed, "{given} s are given, and {needed} s may be needed");
    }
    // Where the time is told to people.
    for file in ["systemd/humbaba.service", "compose.yaml", standalone, chart] {
        assert!(text(file).contains(&format!("{stop} s with the defaults of")), "{file}");
    }
    let told = text("../docs/observability.md");
    assert!(told.contains(&format!("with the defaults the process has ended after {stop} s")));
}

#[test]
fn the_readme_builds_the_binary_as_the_image_does() {
    let flags = |path: &str| {
        let text = text(path);
        text.split_once("RUSTFLAGS='").unwrap().1.split_once('\'').unwrap().0.to_owned()
    };
    let of_image = flags("Dockerfile");
    assert_eq!(flags("README.md"), of_image);
    // Else the first random number of a static binary needs a file.
    assert!(of_image.contains(r#"--cfg getrandom_backend="linux_getrandom""#), "{of_image}");
}

#[test]
fn every_flag_exists() {
    let subcommands = ["serve", "check", "validate", "test", "healthcheck"];
    let help: BTreeMap<_, _> =
        subcommands.iter().map(|name| (*name, run(&[*name, "--help"]).out)).collect();
    let mut found = 0;
    for (path, text) in files() {
        for line in text.replace("\\\n", " ").lines() {
            let mut tokens = line.split([' ', '`', '\'', '"', '[', ']', ',', ';', '(', ')']);
            while let Some(token) = tokens.next() {
                if token != "humbaba" && !token.ends_with("/humbaba") {
                    continue;
                }
                let mut rest = tokens.clone().filter(|token| !token.is_empty());
                let Some(help) = rest.next().and_then(|name| help.get(name)) else { continue };
                found += 1;
                let rest = rest.take_while(|token| !["|", "&&", "humbaba"].contains(token));
                for flag in rest.filter(|token| token.starts_with("--")) {
                    let flag = flag.split('=').next().unwrap();
                    let is_there = words_of_help(help).any(|word| word == flag);
                    assert!(is_there, "no flag `{flag}` in `{line}`: {}", path.display());
                }
            }
        }
    }
    assert!(found > 10, "{found}");
}

fn words_of_help(help: &str) -> impl Iterator<Item = &str> {
    help.split(|c: char| !is_word(c) && c != '-')
}

/// The volume of the example, as the kubelet would mount it.
fn example_mount(policies: &str) -> Vec<(&'static str, String)> {
    let path = |name: &str| text(&format!("kustomize/example/policies/{name}"));
    vec![
        ("schema.cedarschema", path("schema.cedarschema")),
        ("documents.cedar", policies.to_owned()),
        ("tests/documents.toml", path("tests/documents.toml")),
    ]
}

#[test]
fn a_config_map_with_the_tests_in_their_folder_reloads() {
    let folder = TempDir::new().unwrap();
    let policies = text("kustomize/example/policies/documents.cedar");
    let mut mount = Mount::new(&folder.path().join("documents"));
    mount.put(&example_mount(&policies));
    let sidecar = Sidecar::start(folder.path(), &["--require", "tests"]);
    assert_eq!(ask(&sidecar, "document.read"), 0);
    assert_eq!(ask(&sidecar, "document.delete"), 2);

    // A change that a case in the subfolder forbids: it is refused, so that folder was read.
    let too_open = too_open();
    mount.put(&example_mount(&too_open));
    let refused = "policy store refused, the last good state stays in force";
    until("the refusal", || sidecar.log().contains(refused).then_some(()));
    assert_eq!(ask(&sidecar, "document.delete"), 2);

    // A swap with the case changed alike.
    let mut changed = example_mount(&too_open);
    changed[2].1 = changed[2].1.replace("deny = [", "# deny = [");
    mount.put(&changed);
    until("the new policies", || (ask(&sidecar, "document.delete") == 0).then_some(()));
    assert_eq!(ask(&sidecar, "document.read"), 0);
}
