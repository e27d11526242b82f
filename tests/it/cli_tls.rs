//! `humbaba serve` with TLS, and the commands that ask it.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use tempfile::TempDir;

use crate::{
    cli::{command, end, policies},
    cli_sidecar::{Sidecar, until},
    support::pki::Authority,
};

/// Certificates of a server and its clients, in a folder.
struct Files {
    folder: TempDir,
    servers: Authority,
}

impl Files {
    fn new() -> Self {
        let (folder, servers) = (TempDir::new().unwrap(), Authority::new("servers"));
        let clients = Authority::new("clients");
        servers.server(2088).write(folder.path());
        fs::write(folder.path().join("ca.crt"), &servers.pem).unwrap();
        fs::write(folder.path().join("clients.crt"), &clients.pem).unwrap();
        for (name, san) in
            [("web", "spiffe://example.org/web"), ("evil", "spiffe://example.org/evil")]
        {
            let client = folder.path().join(name);
            fs::create_dir(&client).unwrap();
            clients.client(&[san]).write(&client);
        }
        Self { folder, servers }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn serving(&self, more: &[&str]) -> Vec<String> {
        let own = [
            "--tls-cert".to_owned(),
            self.path("tls.crt"),
            "--tls-key".to_owned(),
            self.path("tls.key"),
        ];
        own.into_iter().chain(more.iter().map(|&arg| arg.to_owned())).collect()
    }

    fn asking(&self, client: &str) -> Vec<String> {
        let ca = ["--ca".to_owned(), self.path("ca.crt")];
        let pair = [
            "--cert".to_owned(),
            self.path(&format!("{client}/tls.crt")),
            "--key".to_owned(),
            self.path(&format!("{client}/tls.key")),
        ];
        ca.into_iter().chain(pair.into_iter().filter(|_| !client.is_empty())).collect()
    }
}

fn start(policies: &Path, args: &[String]) -> Sidecar {
    Sidecar::start(policies, &args.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The address that speaks TLS; the two before it do not.
fn https(sidecar: &Sidecar) -> String {
    let address = sidecar.addresses["grpc"][2].as_str().unwrap();
    format!("https://{}", address.strip_prefix("tls:").unwrap())
}

#[test]
fn check_and_healthcheck_speak_tls() {
    let (files, folder) = (Files::new(), policies(&["guard"]));
    let clients = files.path("clients.crt");
    let more = ["--tls-client-ca", &clients, "--tls-client-id", "spiffe://example.org/web"];
    let mut args = files.serving(&more);
    args.extend(["--listen".to_owned(), "tls:127.0.0.1:0".to_owned()]);
    let sidecar = start(folder.path(), &args);
    let address = https(&sidecar);
    for (client, code) in [("web", 0), ("evil", 1), ("", 1)] {
        let flags = files.asking(client);
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let question = [&["--action", "edit", "--role", "editor"][..], &flags].concat();
        let ended = sidecar.check(&address, &question);
        assert_eq!(ended.code, code, "{client}: {ended:?}");
        let healthcheck = ["healthcheck", "--address", &address];
        let ended = end(command(&healthcheck).args(&flags));
        assert_eq!(ended.code, code, "{client}: {ended:?}");
    }
    // The name must be the certificate's, and the authority must be named.
    let mut elsewhere = files.asking("web");
    elsewhere.extend(["--server-name".to_owned(), "example.org".to_owned()]);
    let ended = end(command(&["healthcheck", "--address", &address]).args(elsewhere));
    assert_eq!(ended.code, 1, "{ended:?}");
    let ended = end(&mut command(&["healthcheck", "--address", &address]));
    assert_eq!(ended.code, 64, "{ended:?}");
    assert!(ended.err.contains("--ca"), "{ended:?}");
    // Neither loopback nor the Unix socket needs a credential.
    let question = ["--action", "edit", "--role", "editor"];
    assert_eq!(sidecar.check(&sidecar.tcp(), &question).code, 0);
    assert_eq!(sidecar.check(&sidecar.unix(), &question).code, 0);
    until("the log to name the client", || {
        let log = sidecar.log();
        let is_named = log.contains("spiffe://example.org/evil") && log.contains("tls.client_ids");
        is_named.then_some(())
    });
}

#[test]
fn shadow_report_reads_the_status_over_tls() {
    let (files, folder) = (Files::new(), policies(&["guard"]));
    let clients = files.path("clients.crt");
    let shadow = folder.path().to_str().unwrap();
    let http = ["--http-listen", "tls:127.0.0.1:0", "--shadow", shadow];
    let more = ["--tls-client-ca", &clients, "--tls-client-id", "spiffe://example.org/web"];
    let sidecar = start(folder.path(), &files.serving(&[&http[..], &more].concat()));
    let address = sidecar.addresses["http"].as_str().unwrap();
    let address = format!("https://{}", address.strip_prefix("tls:").unwrap());
    let report =
        |flags: &[String]| end(command(&["shadow-report", "--address", &address]).args(flags));
    until("the candidate is loaded", || {
        report(&files.asking("web")).out.contains("nothing was compared yet").then_some(())
    });
    for client in ["evil", ""] {
        let ended = report(&files.asking(client));
        assert_eq!(ended.code, 1, "{client}: {ended:?}");
        assert!(ended.err.contains(&format!("`{address}")), "{client}: {ended:?}");
    }
    // The name must be the certificate's, and the files must hold what they are named for.
    let more = |flag: &str, value: String| [files.asking("web"), vec![flag.to_owned(), value]];
    let elsewhere = report(&more("--server-name", "example.org".to_owned()).concat());
    assert_eq!(elsewhere.code, 1, "{elsewhere:?}");
    assert!(elsewhere.err.contains("cannot speak TLS with"), "{elsewhere:?}");
    let key = files.path("web/tls.key");
    for (flags, part) in [
        (vec![], "needs `--ca FILE`"),
        (vec!["--ca".to_owned(), key.clone()], "it holds no certificate"),
        (more("--server-name", "not a name".to_owned()).concat(), "is no name of a server"),
        (
            [&files.asking("web")[..4], &["--key".to_owned(), files.path("ca.crt")]].concat(),
            "it holds no private key",
        ),
    ] {
        let ended = report(&flags);
        assert_eq!(ended.code, 64, "{ended:?}");
        assert!(ended.err.contains(part) && !ended.err.contains("PRIVATE"), "{ended:?}");
    }
}

#[test]
fn a_running_sidecar_takes_a_new_certificate() {
    let (files, folder) = (Files::new(), policies(&["guard"]));
    let mut args = files.serving(&["--listen", "0.0.0.0:0"]);
    args.extend(["--set", "reload.rehash_interval_s=86400"].map(str::to_owned));
    let sidecar = start(folder.path(), &args);
    let address = https(&sidecar).replace("0.0.0.0", "127.0.0.1");
    let asked = || end(command(&["healthcheck", "--address", &address]).args(files.asking("")));
    assert_eq!(asked().code, 0, "{:?}", asked());
    // From another authority, so that a client sees the difference.
    let next = Authority::new("servers");
    next.server(2077).write(files.folder.path());
    until("the new certificate", || (asked().code == 1).then_some(()));
    fs::write(files.path("ca.crt"), &next.pem).unwrap();
    assert_eq!(asked().code, 0, "{:?}", asked());
    // A certificate without its key changes nothing.
    let lone = files.servers.server(2066);
    fs::write(files.path("tls.crt"), &lone.cert).unwrap();
    until("the refusal", || sidecar.log().contains("certificate refused").then_some(()));
    assert_eq!(asked().code, 0, "{:?}", asked());
    assert!(!sidecar.log().contains("PRIVATE KEY"));
}

#[test]
fn sighup_reads_certificates_too() {
    let (files, folder) = (Files::new(), policies(&["guard"]));
    let quiet = ["--set", "reload.use_events=false", "--set", "reload.rehash_interval_s=86400"];
    let sidecar = start(folder.path(), &files.serving(&quiet));
    files.servers.server(2077).write(files.folder.path());
    until("the new certificate", || {
        sidecar.signal("HUP");
        sidecar.log().contains("certificate reloaded").then_some(())
    });
}

#[test]
fn it_does_not_start_with_bad_settings_of_tls() {
    let (files, folder) = (Files::new(), policies(&["guard"]));
    let (cert, key, ca) = (files.path("tls.crt"), files.path("tls.key"), files.path("ca.crt"));
    let other = files.path("web/tls.key");
    for (args, part) in [
        (&["--listen", "0.0.0.0:0"][..], "there is no TLS: set `tls.cert` and `tls.key`"),
        (&["--http-listen", "0.0.0.0:0"], "there is no TLS"),
        (&["--listen", "tls:127.0.0.1:0"], "`tls:127.0.0.1:0` needs `tls.cert` and `tls.key`"),
        (&["--listen", "tls:0.0.0.0:0", "--insecure"], "needs `tls.cert` and `tls.key`"),
        (&["--tls-cert", &cert], "name the private key with `tls.key` too"),
        (&["--tls-key", &key], "name the certificate with `tls.cert` too"),
        (&["--tls-client-ca", &ca], "name a certificate with `tls.cert` too"),
        (&["--tls-client-id", "web"], "`tls.client_ca` too"),
        (&["--tls-client-id", "*"], "`*` is not a client identity"),
        (&["--set", "tls.min_version=1.1"], "`1.1` is neither `1.2` nor `1.3`"),
        (&["--tls-cert", &cert, "--tls-key", &other], "is not the one of the certificate"),
        (&["--tls-cert", "/nowhere", "--tls-key", &key], "cannot read `/nowhere`"),
        (
            &["--tls-cert", &cert, "--tls-key", &key, "--listen", "plain:0.0.0.0:0"],
            "`plain:0.0.0.0:0` can be reached from other machines",
        ),
    ] {
        let ended = end(command(&["serve", "--policies"]).arg(folder.path()).args(args));
        assert_eq!(ended.code, 64, "{args:?}: {ended:?}");
        assert!(ended.err.contains(part), "{args:?}: no `{part}` in {}", ended.err);
    }
}

#[test]
fn sockets_have_their_group() {
    let folder = policies(&["guard"]);
    let own = fs::metadata(folder.path()).unwrap().gid();
    let (name, number) = match own {
        // Whoever owns this folder may give a socket to the folder's group.
        0 => ("root".to_owned(), 0),
        group => (group.to_string(), group),
    };
    let sidecar = Sidecar::start(folder.path(), &["--set", &format!("socket_group={name}")]);
    assert_eq!(fs::metadata(sidecar.socket()).unwrap().gid(), number);
    let address = format!("unix:{}", folder.path().join("x.sock").display());
    let ended =
        end(command(&["serve", "--http-listen=off", "--web-listen=off", "--listen", &address])
            .args(["--set", "socket_group=nobody-has-this", "--policies"])
            .arg(folder.path()));
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.err.contains("no group is called `nobody-has-this`"), "{ended:?}");
    assert!(!folder.path().join("x.sock").exists());
}

#[test]
fn http_is_served_on_a_unix_socket_too() {
    use std::io::{Read as _, Write as _};

    let folder = policies(&["guard"]);
    let path = folder.path().join("http.sock");
    let address = format!("unix:{}", path.display());
    let mut child =
        command(&["serve", "--listen=127.0.0.1:0", "--web-listen=off", "--http-listen", &address])
            .arg("--policies")
            .arg(folder.path())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
    let answer = until("an answer", || {
        let mut connection = std::os::unix::net::UnixStream::connect(&path).ok()?;
        connection
            .write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .ok()?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).ok()?;
        Some(answer)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_client_that_speaks_no_tls_or_shows_no_certificate_is_told_so() {
    let (files, folder) = (Files::new(), policies(&["guard"]));
    let clients = files.path("clients.crt");
    let args = files.serving(&["--listen", "tls:127.0.0.1:0", "--tls-client-ca", &clients]);
    let sidecar = start(folder.path(), &args);
    let https = https(&sidecar);
    let plain = https.replace("https://", "http://");
    for (address, client, told) in [
        (&plain, Vec::new(), "TLS is spoken there: write `https://`"),
        (&https, files.asking(""), "name one with `--cert` and `--key`"),
    ] {
        let client: Vec<_> = client.iter().map(String::as_str).collect();
        let asked = sidecar.check(address, &[&["--action", "view"], &client[..]].concat());
        let health = end(command(&["healthcheck", "--address", address]).args(&client));
        for ended in [asked, health] {
            assert_eq!(ended.code, 1, "{address}: {ended:?}");
            assert!(ended.err.contains(told), "{address}: {ended:?}");
        }
    }
}
