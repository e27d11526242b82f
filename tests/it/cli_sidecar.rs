//! A running sidecar, for tests.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value as Json;
use tempfile::TempDir;

use crate::cli::{Ended, command, end, run};

pub use crate::support::wait::DEADLINE;

/// Asks again and again until there is an answer.
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
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
pub struct Sidecar {
    pub child: Child,
    pub folder: TempDir,
    pub addresses: Json,
}

impl Sidecar {
    /// Starts one on ports of the system's choice and a Unix socket, and waits until it serves.
    pub fn start(policies: &Path, more: &[&str]) -> Self {
        Self::start_with(policies, more, &[])
    }

    /// The same with environment variables.
    pub fn start_with(policies: &Path, more: &[&str], variables: &[(&str, String)]) -> Self {
        let mut command = command(&["--policies", policies.to_str().unwrap()]);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        Self::of(command, more)
    }

    /// The same in that folder and with no word about policies.
    pub fn start_in(folder: &Path) -> Self {
        let mut command = command(&[]);
        command.current_dir(folder);
        Self::of(command, &[])
    }

    /// The same by that command, which gets the arguments of the sidecar at its end.
    pub fn start_as(mut command: Command, policies: &Path, more: &[&str]) -> Self {
        command.args(["--policies", policies.to_str().unwrap()]);
        Self::of(command, more)
    }

    fn of(command: Command, more: &[&str]) -> Self {
        let mut sidecar = Self::listening(command, more);
        until("serving", || {
            sidecar.still_runs();
            (run(&["healthcheck", "--address", &sidecar.tcp()]).code == 0).then_some(())
        });
        sidecar
    }

    /// Starts one that need not serve soon.
    pub fn begin(policies: &Path, more: &[&str]) -> Self {
        Self::listening(command(&["--policies", policies.to_str().unwrap()]), more)
    }

    /// The same with environment variables.
    pub fn begin_with(policies: &Path, more: &[&str], variables: &[(&str, String)]) -> Self {
        let mut command = command(&["--policies", policies.to_str().unwrap()]);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        Self::listening(command, more)
    }

    fn listening(mut command: Command, more: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (file, socket) = (path("addresses.json"), format!("unix:{}", path("humbaba.sock")));
        let log = fs::File::create(path("log")).unwrap();
        if !more.contains(&"--http-listen") {
            command.args(["--http-listen", "127.0.0.1:0"]);
        }
        let child = command
            .args(["--listen", "127.0.0.1:0", "--listen", &socket])
            .args(["--web-listen", "127.0.0.1:0"])
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
        sidecar
    }

    fn still_runs(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("ended with {status}: {}", self.log());
        }
    }

    pub fn tcp(&self) -> String {
        format!("http://{}", self.addresses["grpc"][0].as_str().unwrap())
    }

    pub fn unix(&self) -> String {
        self.addresses["grpc"][1].as_str().unwrap().to_owned()
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("humbaba.sock")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    pub fn event(&self, message: &str) -> Json {
        until(message, || {
            let log = self.log();
            let events = log.lines().filter_map(|line| serde_json::from_str(line).ok());
            events.into_iter().find(|event: &Json| event["message"] == message)
        })
    }

    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let status = std::process::Command::new("sh").args(["-c", &kill]).status();
        assert!(status.unwrap().success());
    }

    pub fn code(&mut self) -> i32 {
        until("the end", || self.child.try_wait().unwrap()).code().expect("no signal ended it")
    }

    pub fn check(&self, address: &str, more: &[&str]) -> Ended {
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
