//! A reader of a page for users: a shell in a copy of what a clone holds, in a network of its own.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use super::{
    page_steps::{Outcome, Step},
    postgres::Postgres,
    skip::skip,
};

/// Seconds that a page may take.
const PAGE_SECONDS: u32 = 300;

/// The files of a clone that pages use.
const CLONE: [&str; 5] = ["policies", "proto", "docs", "README.md", "Cargo.toml"];

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns whether a network and process ids of one's own can be had.
pub fn has_namespaces() -> bool {
    let mut command = namespaced();
    command.args(["bash", "-c", "ip link set lo up"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A command that runs in a network of its own, and with which everything ends that it started.
fn namespaced() -> Command {
    let mut command = Command::new("unshare");
    if !is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--net", "--pid", "--fork", "--kill-child"]);
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// A shell in a copy of what a clone holds.
pub struct Session {
    folder: TempDir,
    /// Folders in front of the PATH.
    path: Vec<PathBuf>,
    variables: Vec<(&'static str, String)>,
    /// Typed before the page begins.
    prelude: String,
    postgres: Option<Postgres>,
}

impl Session {
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        for name in ["clone", "bin", "logs", "steps"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        for name in CLONE {
            let to = folder.path().join("clone");
            let copied = Command::new("cp").arg("-r").arg(root().join(name)).arg(to).status();
            assert!(copied.unwrap().success(), "{name}");
        }
        let bin = folder.path().join("bin");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_humbaba"), bin.join("humbaba")).unwrap();
        script(&bin.join("cargo"), CARGO);
        // `git:HEAD` is the state of the clone.
        let prelude = format!("ip link set lo up\nset -m\n{COMMIT}");
        Self { folder, path: vec![bin], variables: Vec::new(), prelude, postgres: None }
    }

    /// Has the page's `psql app` and connections to 127.0.0.1 reach a server of its own. Returns false
    /// where there is none, and the page is skipped.
    pub async fn with_postgres(&mut self) -> bool {
        if !is_root() {
            skip("PostgreSQL runs as an account of its own, which only root can give it");
            return false;
        }
        let Some(mut postgres) = Postgres::bare().await else { return false };
        let client = postgres.client("postgres").await;
        client.batch_execute("CREATE ROLE app LOGIN").await.unwrap();
        client.batch_execute("CREATE DATABASE app OWNER app").await.unwrap();
        drop(client);
        // Started again by the session, in its network.
        postgres.kill();
        let server = postgres.command_line("127.0.0.1");
        let log = self.folder.path().join("logs/postgres");
        // Not a job of the shell: the page's own are counted from 1.
        let _ = writeln!(self.prelude, "(cd / && {server} > '{}' 2>&1 &)", log.display());
        self.prelude
            .push_str("until psql -qc 'SELECT 1' app > /dev/null 2>&1; do sleep 0.05; done\n");
        self.variables.push(("PGHOST", postgres.folder().to_str().unwrap().to_owned()));
        self.variables.push(("PGUSER", "postgres".to_owned()));
        self.postgres = Some(postgres);
        true
    }

    /// Has the page's `python` be one with the packages that the page asks for. They are kept for the
    /// next run. Returns false where they cannot be had, and the page is skipped.
    pub fn with_python(&mut self) -> bool {
        let folder = std::env::temp_dir().join("humbaba-docs-python");
        let python = folder.join("bin/python");
        let run = |program: &Path, args: &[&str]| {
            let ended = Command::new(program).args(args).output().unwrap();
            (ended.status.success(), String::from_utf8_lossy(&ended.stderr).into_owned())
        };
        let is_ready = || python.exists() && run(&python, &["-c", "import grpc, grpc_tools"]).0;
        if !is_ready() {
            let made = run(Path::new("python3"), &["-m", "venv", folder.to_str().unwrap()]);
            assert!(made.0, "{}", made.1);
            let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
            let (is_installed, why) =
                run(&python, &[&pip[..], &["grpcio", "grpcio-tools"]].concat());
            if !is_installed {
                skip(&format!("grpcio and grpcio-tools cannot be installed: {why}"));
                return false;
            }
        }
        self.path.push(folder.join("bin"));
        true
    }

    /// Runs the steps one after the other, and returns what became of those that ended.
    pub fn run(&self, steps: &[Step]) -> Vec<Outcome> {
        let file = |name: String| self.folder.path().join("steps").join(name);
        let mut script = self.prelude.clone();
        for (at, step) in steps.iter().enumerate() {
            fs::write(file(format!("{at}")), typed(step)).unwrap();
            let path = file(format!("{at}")).display().to_string();
            // In the same shell, for the sake of `cd` and of jobs.
            let _ = writeln!(script, ". '{path}' < /dev/null > '{path}.out' 2>&1");
            let _ = writeln!(script, "echo $? > '{path}.code'");
        }
        let session = file("session".to_owned());
        fs::write(&session, script).unwrap();
        let before = std::env::var("PATH").unwrap_or_default();
        let own: Vec<_> = self.path.iter().map(|folder| folder.display().to_string()).collect();
        let mut command = Command::new("timeout");
        command.arg(PAGE_SECONDS.to_string()).args([namespaced().get_program()]);
        command.args(namespaced().get_args()).arg("bash").arg(&session);
        for (name, _) in std::env::vars().filter(|(name, _)| is_of_humbaba(name)) {
            command.env_remove(name);
        }
        let ended = command
            .current_dir(self.folder.path().join("clone"))
            .env("PATH", format!("{}:{before}", own.join(":")))
            .env("LOGS", self.folder.path().join("logs"))
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        let outcome = |at: usize| {
            let code = fs::read_to_string(file(format!("{at}.code"))).ok()?.trim().parse().ok()?;
            let output = fs::read(file(format!("{at}.out"))).ok()?;
            Some(Outcome { code, output: String::from_utf8_lossy(&output).into_owned() })
        };
        let outcomes: Vec<_> = (0..steps.len()).map_while(outcome).collect();
        assert!(!outcomes.is_empty(), "{}: {said}", ended.status);
        outcomes
    }
}

fn is_of_humbaba(name: &str) -> bool {
    ["HUMBABA_", "OTEL_", "PG"].iter().any(|prefix| name.starts_with(prefix))
}

/// The command as the shell gets it.
fn typed(step: &Step) -> String {
    let bare = step.bare();
    if !step.starts_a_server() {
        return step.command.clone();
    }
    // Without `&` a reader goes on in a second terminal, and stops the server before the next.
    let (background, mark) = if bare.ends_with('&') { ("", "") } else { (" &", "FOREGROUND=$!\n") };
    format!("{STOP_FOREGROUND}{bare}{background}\n{mark}{UNTIL_SERVING}")
}

/// Presses Ctrl-C where a server stays in the foreground.
const STOP_FOREGROUND: &str = "\
if test -n \"$FOREGROUND\"; then kill -INT $FOREGROUND; wait $FOREGROUND; FOREGROUND=; fi
";

/// Waits until the server that was started last serves, or has ended.
const UNTIL_SERVING: &str = "\
until humbaba healthcheck > \"$LOGS/healthcheck\" 2>&1; do kill -0 $! || break; sleep 0.05; done
kill -0 $!
";

/// The binary that is tested stands in for the one that `cargo run --release` would build first.
const CARGO: &str = "\
#!/bin/sh
case \"$*\" in
    'run --release') exec humbaba ;;
    'run --release -- '*) shift 3; exec humbaba \"$@\" ;;
    *) echo \"this test does not run cargo $*\" >&2; exit 99 ;;
esac
";

/// The state before the page begins: a clone has a commit.
const COMMIT: &str = "\
git init --quiet . && git add . && git -c user.name=reader -c user.email=reader@example.com \\
    commit --quiet --message clone
";

fn script(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
