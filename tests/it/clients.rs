//! Official gRPC clients in other languages, as they are installed and with their defaults, and the
//! authority that those built on gRPC's C core send over a Unix socket.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
};

use humbaba::proto::{
    Decision, EntityUid, IsAuthorizedRequest, IsAuthorizedResponse, RoleAssignment,
};
use prost::Message as _;
use tempfile::TempDir;

use crate::cli_sidecar::{DEADLINE, Sidecar};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a command and returns what it printed, or why it failed.
fn run(command: &mut Command) -> Result<String, String> {
    let ended = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if ended.status.success() {
        return Ok(String::from_utf8(ended.stdout).unwrap());
    }
    Err(format!("{command:?}: {}\n{}", ended.status, String::from_utf8_lossy(&ended.stderr)))
}

/// Skips the test where a client cannot be installed, but not in CI.
fn installed<T>(client: Result<T, String>) -> Option<T> {
    match client {
        Ok(client) => Some(client),
        Err(why) if std::env::var("CI").is_ok_and(|ci| !ci.is_empty()) => panic!("{why}"),
        Err(why) => {
            println!("skipped: {why}");
            None
        }
    }
}

/// Asks for something allowed over a Unix socket and returns how many answers there were.
fn ask_over_a_unix_socket(client: &mut Command) -> usize {
    let question = IsAuthorizedRequest {
        policy_store: "hitkeep".to_owned(),
        principal: Some(EntityUid { r#type: "User".to_owned(), id: "alice".to_owned() }),
        action: Some(EntityUid { id: "site.goals.create".to_owned(), ..Default::default() }),
        resource: Some(EntityUid { r#type: "Site".to_owned(), id: "42".to_owned() }),
        role_assignments: vec![RoleAssignment { role: "editor".to_owned(), ..Default::default() }],
        ..Default::default()
    };
    let sidecar = Sidecar::start(&root().join("policies"), &[]);
    let question: String = question.encode_to_vec().iter().map(|b| format!("{b:02x}")).collect();
    let printed = run(client.args([&sidecar.unix(), &question])).unwrap();
    for line in printed.lines() {
        let (id, answer) = line.split_once(' ').unwrap();
        let bytes = (0..answer.len()).step_by(2).map(|at| &answer[at..at + 2]);
        let bytes: Vec<_> = bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        let answer = IsAuthorizedResponse::decode(&*bytes).unwrap();
        assert_eq!((answer.decision(), &*answer.decision_id), (Decision::Allow, id));
    }
    printed.lines().count()
}

/// Python with grpcio, in an environment of its own.
fn python(folder: &Path) -> Result<PathBuf, String> {
    run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let python = folder.join("bin/python");
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    run(Command::new(&python).args(pip).arg("grpcio==1.85.3"))?;
    Ok(python)
}

#[test]
fn python_asks_over_a_unix_socket() {
    let folder = TempDir::new().unwrap();
    let Some(python) = installed(python(folder.path())) else { return };
    let script = root().join("tests/clients/python.py");
    assert_eq!(ask_over_a_unix_socket(Command::new(python).arg(script)), 5 * 201 + 5 * 200);
}

#[test]
fn ruby_asks_over_a_unix_socket() {
    let grpc = run(Command::new("ruby").args(["-e", "require 'grpc'"]));
    if installed(grpc).is_none() {
        return;
    }
    let script = root().join("tests/clients/ruby.rb");
    assert_eq!(ask_over_a_unix_socket(Command::new("ruby").arg(script)), 200);
}

/// Sends a request whose authority h2 does not accept, and returns the frames that come back: type
/// and payload, up to the first of that stream.
fn send_percent_in_authority(mut connection: impl Read + Write) -> Vec<(u8, Vec<u8>)> {
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    let headers = b"\x83\x86\x04\x02/x\x01\x09tmp%2Fx.s";
    sent.extend([0, 0, headers.len() as u8, 1, 5, 0, 0, 0, 1]);
    sent.extend(headers);
    connection.write_all(&sent).unwrap();
    let mut frames = Vec::new();
    loop {
        let mut head = [0; 9];
        connection.read_exact(&mut head).unwrap();
        let [a, b, c, kind, _flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        connection.read_exact(&mut payload).unwrap();
        frames.push((kind, payload));
        if stream == [0, 0, 0, 1] {
            return frames;
        }
    }
}

#[test]
fn only_over_a_unix_socket_is_an_authority_with_a_percent_sign_accepted() {
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const PROTOCOL_ERROR: [u8; 4] = [0, 0, 0, 1];

    let sidecar = Sidecar::start(&root().join("policies"), &[]);
    let unix = UnixStream::connect(sidecar.socket()).unwrap();
    unix.set_read_timeout(Some(DEADLINE)).unwrap();
    let frames = send_percent_in_authority(unix);
    assert_eq!(frames.last().unwrap().0, HEADERS, "{frames:?}");

    let tcp = TcpStream::connect(sidecar.addresses["grpc"][0].as_str().unwrap()).unwrap();
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    let frames = send_percent_in_authority(tcp);
    assert_eq!(frames.last().unwrap(), &(RST_STREAM, PROTOCOL_ERROR.to_vec()), "{frames:?}");
}

#[test]
fn the_server_announces_the_header_table_of_which_the_rewriter_keeps_track() {
    const SETTINGS: u8 = 4;
    const HEADER_TABLE_SIZE: [u8; 2] = [0, 1];

    let sidecar = Sidecar::start(&root().join("policies"), &[]);
    let unix = UnixStream::connect(sidecar.socket()).unwrap();
    unix.set_read_timeout(Some(DEADLINE)).unwrap();
    let (kind, settings) = send_percent_in_authority(unix).remove(0);
    assert_eq!(kind, SETTINGS);
    // If it is not named it is 4,096.
    for setting in settings.chunks(6).filter(|setting| setting[..2] == HEADER_TABLE_SIZE) {
        assert!(u32::from_be_bytes(setting[2..].try_into().unwrap()) <= 4096, "{settings:?}");
    }
}
