//! Writes `src/start_order.ld`, which says which functions run while the sidecar starts: the linker
//! lays them side by side, so that the others are not brought into memory with them.
//!
//! `cargo run --example start_order` builds the release binary with its symbols, starts it under
//! callgrind on the built-in stores and on the folder `policies`, and notes which functions run up to
//! the first decision, and which ones with calls of all kinds, probes and a scrape. It needs valgrind
//! and `nm` (Debian's packages `valgrind` and `binutils`), and takes as long as a release build; the
//! path of a binary with symbols that is there already may be given.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    env,
    error::Error,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use humbaba::proto::{
    BatchIsAuthorizedItem, BatchIsAuthorizedRequest, EntityUid, IsAuthorizedRequest,
    ListActionsRequest, RoleAssignment, authorization_service_client::AuthorizationServiceClient,
};
use tonic::transport::Endpoint;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

const SCRIPT: &str = "src/start_order.ld";
const GRPC: &str = "127.0.0.1:18180";
const HTTP: &str = "127.0.0.1:18181";

/// A line of the script may bring in so many bytes of functions that did not run: a module of which
/// nearly all ran is one line.
const LINE_BYTES: u64 = 1_000;

/// Functions that there are for many types, of which more bytes than that did not run.
const GENERIC_BYTES: u64 = 16_384;

const HEAD: &str = "\
/* Written by `cargo run --example start_order`.
 *
 * The functions that run from the start of the sidecar to its first answer, and after them those of
 * other calls, probes and scrapes. The linker lays them side by side: what is brought into memory
 * comes in pieces of 64 KiB, and without this three quarters of all code come along
 * (docs/performance.md, \"Memory\").
 *
 * A name that is not there any more, or a new one that is missing, costs a little memory and nothing
 * else. Hashes of compilers and crates are left out, so this holds for any of them, except for
 * functions that there are for many types: those that ran are named whole, and the rest comes last,
 * in which they are where another compiler gives other hashes. */
SECTIONS
{
  .text :
  {
";
const TAIL: &str = "  }
}
INSERT BEFORE .fini;
";

fn main() -> Result<(), Box<dyn Error>> {
    let binary = env::args().nth(1).map_or_else(build, Ok)?;
    let mut start = HashSet::new();
    for arguments in [&["--policies", "policies"][..], &["--log-filter", "warn"]] {
        start.extend(functions_of_a_run(&binary, arguments, false)?);
    }
    let later = functions_of_a_run(&binary, &["--policies", "policies"], true)?;
    let functions = functions_of(&binary)?;
    let mut script = HEAD.to_owned();
    let (mut known, mut generic) = (HashSet::new(), BTreeSet::new());
    for (what, ran) in [("up to the first answer", start), ("later", later)] {
        let families = families(&functions, &ran, &known);
        let lines = Lines::of(&families);
        let bytes: u64 = families.values().map(|family| family.bytes.ran).sum();
        println!("{what}: {} KiB of functions, {} lines", bytes / 1024, lines.lines.len());
        write(&mut script, &lines.lines);
        generic.extend(lines.generic);
        known.extend(ran);
    }
    write(&mut script, &generic);
    fs::write(SCRIPT, script + TAIL)?;
    Ok(())
}

fn write(script: &mut String, lines: &BTreeSet<String>) {
    for line in lines {
        // A function that is marked as cold lies in `.text.unlikely.` and its name.
        *script += &format!("    *(.text*.{line})\n");
    }
}

fn build() -> Result<String, Box<dyn Error>> {
    let build = ["rustc", "--release", "--locked", "--bin", "humbaba", "--", "-C", "strip=none"];
    run(Command::new(env!("CARGO")).args(build))?;
    Ok("target/release/humbaba".to_owned())
}

fn run(command: &mut Command) -> Result<(), Box<dyn Error>> {
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}

/// The functions that ran from the start of the server to its end, with one call between or with
/// calls of all kinds.
fn functions_of_a_run(
    binary: &str,
    arguments: &[&str],
    is_busy: bool,
) -> Result<HashSet<String>, Box<dyn Error>> {
    let home = tempfile::tempdir()?;
    let profile = home.path().join("profile");
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--tool=callgrind", "--demangle=no"]);
    command.arg(format!("--callgrind-out-file={}", profile.display()));
    command.args([binary, "serve", "--listen", GRPC, "--http-listen", HTTP]).args(arguments);
    let mut server = Server(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(calls(is_busy))?;
    if is_busy {
        for path in ["/livez", "/readyz", "/metrics"] {
            get(path)?;
        }
    }
    // Meanwhile the folder is read once more, and watched from then on.
    thread::sleep(Duration::from_secs(5));
    server.end()?;
    functions_in(&profile)
}

struct Server(Child);

impl Server {
    fn end(&mut self) -> Result<(), Box<dyn Error>> {
        run(Command::new("kill").arg(self.0.id().to_string()))?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A decision, as soon as the server answers, and more where it is to be busy.
async fn calls(is_busy: bool) -> Result<(), Box<dyn Error>> {
    let uid = |r#type: &str, id: &str| Some(EntityUid { r#type: r#type.into(), id: id.into() });
    let question = IsAuthorizedRequest {
        policy_store: "hitkeep".to_owned(),
        principal: uid("User", "alice"),
        action: uid("", "site.goals.create"),
        resource: uid("Site", "42"),
        role_assignments: vec![RoleAssignment {
            role: "editor".to_owned(),
            scope: uid("Site", "42"),
            ..RoleAssignment::default()
        }],
        ..IsAuthorizedRequest::default()
    };
    let channel = Endpoint::from_shared(format!("http://{GRPC}"))?.connect_lazy();
    let mut client = AuthorizationServiceClient::new(channel.clone());
    let begun = Instant::now();
    while let Err(status) = client.is_authorized(question.clone()).await {
        if begun.elapsed() > Duration::from_secs(120) {
            return Err(status.into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    if !is_busy {
        return Ok(());
    }
    client.is_authorized(IsAuthorizedRequest { explain: true, ..question.clone() }).await?;
    let item = |id| BatchIsAuthorizedItem { resource: uid("Site", id), ..Default::default() };
    let batch = BatchIsAuthorizedRequest {
        policy_store: question.policy_store.clone(),
        principal: question.principal.clone(),
        action: question.action.clone(),
        role_assignments: question.role_assignments.clone(),
        items: vec![item("42"), item("43"), item("44")],
        ..BatchIsAuthorizedRequest::default()
    };
    client.batch_is_authorized(batch).await?;
    let actions = ListActionsRequest {
        policy_store: question.policy_store,
        principal: question.principal,
        resource: question.resource,
        role_assignments: question.role_assignments,
        ..ListActionsRequest::default()
    };
    client.list_actions(actions).await?;
    HealthClient::new(channel).check(HealthCheckRequest::default()).await?;
    Ok(())
}

fn get(path: &str) -> Result<(), Box<dyn Error>> {
    let mut socket = TcpStream::connect(HTTP)?;
    write!(socket, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(answer.into()) }
}

/// The names of functions in a profile of callgrind: `fn=(12) name`, where the name is left out from
/// the second time on.
fn functions_in(profile: &Path) -> Result<HashSet<String>, Box<dyn Error>> {
    let text = fs::read_to_string(profile)?;
    let names = text.lines().filter_map(|line| {
        let (_, name) = line.strip_prefix("fn=").or(line.strip_prefix("cfn="))?.split_once(' ')?;
        // A function that calls itself has a number of its depth.
        Some(name.split('\'').next().unwrap_or(name).to_owned())
    });
    Ok(names.collect())
}

/// A function of the binary.
struct Function {
    name: String,
    bytes: u64,
}

fn functions_of(binary: &str) -> Result<Vec<Function>, Box<dyn Error>> {
    let output = Command::new("nm").args(["--print-size", binary]).output()?;
    let mut functions = Vec::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        if let [_, bytes, "t" | "T" | "w" | "W", name] =
            line.split_whitespace().collect::<Vec<_>>()[..]
        {
            let bytes = u64::from_str_radix(bytes, 16)?;
            functions.push(Function { name: name.to_owned(), bytes });
        }
    }
    if functions.is_empty() { Err("the binary has no symbols".into()) } else { Ok(functions) }
}

/// Functions of one name, but for hashes.
#[derive(Debug, Default)]
struct Family<'f> {
    /// Those that ran.
    names: Vec<&'f str>,
    bytes: Bytes,
}

#[derive(Debug, Default, Clone, Copy)]
struct Bytes {
    /// Of functions that ran.
    ran: u64,
    /// Of the others.
    idle: u64,
}

/// The functions of the binary by their names as the script writes them, without those that are known
/// already.
fn families<'f>(
    functions: &'f [Function],
    ran: &HashSet<String>,
    known: &HashSet<String>,
) -> BTreeMap<String, Family<'f>> {
    let mut families: BTreeMap<String, Family<'f>> = BTreeMap::new();
    for function in functions.iter().filter(|function| !known.contains(&function.name)) {
        let family = families.entry(without_hashes(&function.name)).or_default();
        if ran.contains(&function.name) {
            family.names.push(&function.name);
            family.bytes.ran += function.bytes;
        } else {
            family.bytes.idle += function.bytes;
        }
    }
    families
}

/// A mangled name with `*` in the place of what a compiler made up.
fn without_hashes(name: &str) -> String {
    if name.starts_with("_ZN") {
        // `17h`, sixteen digits and `E` end a name of Rust's older form.
        return name
            .rfind("17h")
            .map_or_else(|| name.to_owned(), |at| format!("{}17h*", &name[..at]));
    }
    if !name.starts_with("_R") {
        return name.to_owned();
    }
    // The newer form has `Cs`, a hash and `_` before the name of each crate.
    let name = name.split('.').next().unwrap_or(name);
    let mut parts = name.split("Cs");
    let mut written = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('_') {
            Some((hash, rest)) if hash.chars().all(|c| c.is_ascii_alphanumeric()) => {
                written += "Cs*_";
                written += rest;
            }
            _ => {
                written += "Cs";
                written += part;
            }
        }
    }
    written + "*"
}

/// The lines of the script for what ran.
#[derive(Debug, Default)]
struct Lines {
    /// Functions, and whole modules where that is shorter.
    lines: BTreeSet<String>,
    /// Families of which many others did not run. Those that did have lines with their hashes.
    generic: BTreeSet<String>,
}

impl Lines {
    fn of(families: &BTreeMap<String, Family<'_>>) -> Self {
        let mut lines = Self::default();
        let mut modules = Module::default();
        for (name, family) in families {
            if family.bytes.ran > 0 && family.bytes.idle > GENERIC_BYTES {
                lines.lines.extend(family.names.iter().map(|name| (*name).to_owned()));
                lines.generic.insert(name.clone());
            } else if let Some(path) = path(name) {
                modules.add(&path, family.bytes);
            } else if family.bytes.ran > 0 {
                lines.lines.insert(name.clone());
            }
        }
        lines.lines.extend(modules.lines("_ZN").1);
        lines
    }
}

/// The parts of a name of Rust's older form, each a length and so many characters.
fn path(name: &str) -> Option<Vec<&str>> {
    let mut rest = name.strip_prefix("_ZN")?.strip_suffix("17h*")?;
    let mut path = Vec::new();
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let end = digits + rest[..digits].parse::<usize>().ok()?;
        let (part, after) = rest.split_at_checked(end)?;
        path.push(part);
        rest = after;
    }
    Some(path)
}

/// Functions by the parts of their names.
#[derive(Debug, Default)]
struct Module<'a> {
    parts: BTreeMap<&'a str, Module<'a>>,
    /// All functions in it.
    all: Bytes,
    /// Those that are called like it.
    own: Bytes,
}

impl<'a> Module<'a> {
    fn add(&mut self, path: &[&'a str], bytes: Bytes) {
        self.all.ran += bytes.ran;
        self.all.idle += bytes.idle;
        match path {
            [] => self.own = bytes,
            [part, rest @ ..] => self.parts.entry(part).or_default().add(rest, bytes),
        }
    }

    /// The lines for what ran in it, and their cost in bytes.
    fn lines(&self, prefix: &str) -> (u64, Vec<String>) {
        if self.all.ran == 0 {
            return (0, Vec::new());
        }
        let mut lines = Vec::new();
        let mut cost = 0;
        if self.own.ran > 0 {
            lines.push(format!("{prefix}17h*"));
            cost += LINE_BYTES + self.own.idle;
        }
        for (part, module) in &self.parts {
            let (more, of_part) = module.lines(&format!("{prefix}{part}"));
            cost += more;
            lines.extend(of_part);
        }
        let whole = LINE_BYTES + self.all.idle;
        if whole <= cost { (whole, vec![format!("{prefix}*")]) } else { (cost, lines) }
    }
}
