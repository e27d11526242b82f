//! A server as a process of its own, and what it costs.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    load,
    wire::{Question, ask_once},
};

/// A running server. It ends when it is dropped.
pub struct Process {
    child: Child,
    pub address: String,
    /// From the start of the process to the first right answer.
    pub first_answer: Duration,
}

impl Process {
    /// Humbaba itself, as it is released.
    pub fn humbaba(policies: &Path, question: &Question) -> Self {
        Self::binary(Path::new(env!("CARGO_BIN_EXE_humbaba")), policies, question)
    }

    /// A Humbaba that was built in another way.
    pub fn binary(binary: &Path, policies: &Path, question: &Question) -> Self {
        Self::start(question, |address| {
            let mut command = Command::new(binary);
            command.arg("serve").arg("--policies").arg(policies);
            command.args(["--listen", address, "--http-listen", "off", "--log-filter", "error"]);
            command
        })
    }

    /// One of the servers in this program.
    pub fn baseline(name: &str, question: &Question) -> Self {
        Self::start(question, |address| {
            let mut command = Command::new(std::env::current_exe().expect("this program"));
            command.args(["--serve", name, "--listen", address]);
            command
        })
    }

    fn start(question: &Question, command: impl Fn(&str) -> Command) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let address = port.expect("a free port").to_string();
        let mut command = command(&address);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let begun = Instant::now();
        let child = command.spawn().expect("the server starts");
        let mut process = Self { child, address, first_answer: Duration::ZERO };
        let answered = load::run(async {
            while begun.elapsed() < Duration::from_secs(60) {
                if ask_once(&process.address, question).await.is_ok() {
                    return true;
                }
                if !matches!(process.child.try_wait(), Ok(None)) {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            false
        });
        assert!(answered, "the server never gave a right answer: {command:?}");
        process.first_answer = begun.elapsed();
        process
    }

    /// CPU seconds that the process has used, in user mode and in the kernel.
    pub fn cpu(&self) -> f64 {
        // Ticks of 1/100 s, which is what Linux counts in for every program.
        let stat = self.read("stat");
        let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
        let ticks = fields.split_whitespace().skip(11).take(2);
        ticks.map(|ticks| ticks.parse::<f64>().expect("a number")).sum::<f64>() / 100.0
    }

    /// Resident memory in MiB.
    pub fn memory(&self) -> f64 {
        let status = self.read("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()).expect("VmRSS");
        kilobytes.parse::<f64>().expect("a number") / 1024.0
    }

    fn read(&self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(path).expect("Linux's /proc")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
