//! The examples for users, installed and run as their own pages say, against the real server.

use std::{
    fs,
    os::unix::{fs::symlink, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::{
    cli,
    cli_generate::run,
    cli_sidecar::{Sidecar, until},
    support::skip::skip,
};

/// The way in which a backend reaches Humbaba.
type Listener = fn(&Sidecar) -> String;
const TCP: Listener = Sidecar::tcp;
const UNIX: Listener = Sidecar::unix;

/// The words of the store that an example keeps, by the language that they are written for.
const WORDS: [(&str, &str); 3] = [
    ("python", "python/hitkeep.py"),
    ("rust", "rust/hitkeep.rs"),
    ("typescript", "typescript/src/hitkeep.ts"),
];

#[test]
fn ruby_tells_the_story() {
    let Some(example) = Example::install("ruby") else { return };
    example.tells_the_story(&[TCP, UNIX]);
}

#[test]
fn python_tells_the_story_and_a_wrong_action_does_not_pass_its_types() {
    let Some(example) = Example::install("python") else { return };
    example.tells_the_story(&[TCP, UNIX]);

    let python = |args: &[&str]| {
        let mut python = Command::new(example.folder.join(".venv/bin/python"));
        python.current_dir(&example.folder).args(args);
        python
    };
    // mypy's cache takes a file of the same second and length for unchanged.
    let types = || run(&mut python(&["-m", "mypy", "--cache-dir", "/dev/null"]));
    types().unwrap();
    let backend = example.folder.join("backend.py");
    let text = fs::read_to_string(&backend).unwrap();
    fs::write(&backend, text.replace("SITE_GOALS_EDIT", "SITE_GOALS_EDTI")).unwrap();
    let error = types().unwrap_err();
    assert!(error.contains(r#""type[Action]" has no attribute "SITE_GOALS_EDTI""#), "{error}");

    let sidecar = Sidecar::start(&root().join("policies"), &[]);
    for listener in [TCP, UNIX] {
        for (role, code, answer) in [("editor", 0, "allow:"), ("viewer", 2, "deny:")] {
            let mut ask = python(&["ask.py", "bob", role, "site.goals.edit", "42"]);
            let asked = cli::end(ask.env("HUMBABA", listener(&sidecar)));
            assert_eq!(asked.code, code, "{asked:?}");
            assert!(asked.out.starts_with(answer) && asked.out.contains("`editor`"), "{asked:?}");
        }
    }
}

#[test]
fn typescript_tells_the_story_and_a_wrong_action_does_not_compile() {
    let Some(example) = Example::install("typescript") else { return };
    example.tells_the_story(&[TCP, UNIX]);
    let error = example.misspelt("src/backend.ts", "SiteGoalsEdit", "SiteGoalsEdti");
    assert!(error.contains("TS2551: Property 'SiteGoalsEdti' does not exist"), "{error}");
}

#[test]
fn go_tells_the_story_and_a_wrong_action_does_not_compile() {
    let Some(example) = Example::install("go") else { return };
    example.tells_the_story(&[TCP, UNIX]);
    let error = example.misspelt("backend.go", "SiteGoalsEdit", "SiteGoalsEdti");
    assert!(error.contains("undefined: SiteGoalsEdti"), "{error}");
}

/// Over a Unix socket it needs a library that Debian does not have.
#[test]
fn java_tells_the_story_and_a_wrong_action_does_not_compile() {
    let Some(example) = Example::install("java") else { return };
    example.tells_the_story(&[TCP]);
    let error = example.misspelt("src/backend/Backend.java", "SITE_GOALS_EDIT", "SITE_GOALS_EDTI");
    assert!(error.contains("symbol:   variable SITE_GOALS_EDTI"), "{error}");
}

#[test]
fn rust_tells_the_story() {
    let Some(example) = Example::in_place("rust") else { return };
    example.tells_the_story(&[TCP, UNIX]);
}

#[test]
fn the_shell_asks_over_http_and_grpc() {
    let Some(example) = Example::install("shell") else { return };
    let sidecar = Sidecar::start(&example.folder.join("policies"), &[]);
    let authzen = format!("http://{}", sidecar.addresses["web"].as_str().unwrap());
    for listener in [TCP, UNIX] {
        let mut story = example.command();
        story.env("AUTHZEN", &authzen).env("HUMBABA", listener(&sidecar));
        let told = run(&mut story).unwrap();
        assert!(told.ends_with("`site.goals.view`?\n"), "{told}");
    }
}

#[test]
fn the_words_of_the_examples_are_what_is_written_now() {
    let policies = root().join("policies");
    for (language, file) in WORDS {
        let policies = policies.to_str().unwrap();
        let now = cli::run(&["generate", "--lang", language, "--policies", policies, "hitkeep"]);
        let advice = format!("cargo run -- generate --lang {language} hitkeep > examples/{file}");
        let kept = fs::read_to_string(root().join("examples").join(file)).unwrap();
        assert!(now.out == kept, "out of date: {advice}");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// An example that is installed.
struct Example {
    clone: TempDir,
    folder: PathBuf,
    page: String,
}

impl Example {
    /// Copies an example beside what it needs of the repository, and installs it.
    fn install(name: &str) -> Option<Self> {
        let clone = TempDir::new().unwrap();
        for shared in ["policies", "proto"] {
            symlink(root().join(shared), clone.path().join(shared)).unwrap();
        }
        let (from, folder) = (root().join("examples").join(name), clone.path().join("examples"));
        fs::create_dir(&folder).unwrap();
        let folder = folder.join(name);
        copy(&from, &folder, &made(&from));
        Self::installed(name, clone, folder)
    }

    /// Installs an example that is a part of this package where it is.
    fn in_place(name: &str) -> Option<Self> {
        Self::installed(name, TempDir::new().unwrap(), root().join("examples").join(name))
    }

    fn installed(name: &str, clone: TempDir, folder: PathBuf) -> Option<Self> {
        let page = fs::read_to_string(folder.join("README.md")).unwrap();
        let example = Self { clone, folder, page };
        if let Err(why) = run(&mut example.shell("Install")) {
            skip(&format!("the example {name} cannot be installed: {why}"));
            return None;
        }
        Some(example)
    }

    /// The commands of the first block under a heading of the page.
    fn shell(&self, heading: &str) -> Command {
        let mut sections = self.page.split("\n## ");
        let section = sections.find(|section| section.starts_with(heading)).unwrap();
        let (_, block) = section.split_once("```sh\n").unwrap();
        let (commands, _) = block.split_once("```").unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", commands]).current_dir(&self.folder);
        shell
    }

    /// Installs it once more with a misspelt word, and returns why that fails.
    fn misspelt(&self, file: &str, word: &str, wrong: &str) -> String {
        let file = self.folder.join(file);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(word));
        fs::write(&file, text.replace(word, wrong)).unwrap();
        run(&mut self.shell("Install")).unwrap_err()
    }

    /// The program that runs the example.
    fn command(&self) -> Command {
        self.shell("Run")
    }

    /// Walks through the story while Humbaba answers. Once it hangs or is gone nobody may do
    /// anything, and once it is back all is as before.
    fn tells_the_story(&self, listeners: &[Listener]) {
        let policies = root().join("policies");
        for listener in listeners {
            let mut sidecar = Sidecar::start(&policies, &[]);
            let address = listener(&sidecar);
            let backend = Backend::start(self, &address);
            backend.walk(&[]).unwrap();
            sidecar.signal("STOP");
            backend.walk(&["--humbaba-stopped"]).unwrap();
            sidecar.signal("CONT");
            until("the story after a pause", || backend.walk(&[]).ok());
            sidecar.child.kill().unwrap();
            sidecar.child.wait().unwrap();
            backend.walk(&["--humbaba-stopped"]).unwrap();
            // A port may be another test's by now.
            if address.starts_with("unix:") {
                let _another = Sidecar::start(&policies, &["--listen", &address]);
                until("the story with another process", || backend.walk(&[]).ok());
            }
        }
    }
}

/// The files that the commands of an example's page make in its folder, as its `.gitignore` lists them.
fn made(folder: &Path) -> Vec<String> {
    let ignored = fs::read_to_string(folder.join(".gitignore")).unwrap_or_default();
    let names = ignored.lines().filter(|line| line.starts_with('/'));
    names.map(|line| line.trim_matches('/').to_owned()).chain(["node_modules".to_owned()]).collect()
}

fn copy(from: &Path, to: &Path, without: &[String]) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if without.contains(&name) {
            continue;
        }
        let to = to.join(name);
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to, &[]);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A running backend, which ends with its children once it is dropped.
struct Backend {
    child: Child,
    url: String,
}

impl Backend {
    fn start(example: &Example, humbaba: &str) -> Self {
        let output = example.clone.path().join("output");
        let file = fs::File::create(&output).unwrap();
        let mut command = example.command();
        command.env("HUMBABA", humbaba).env("PORT", "0").env_remove("DATABASE");
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.process_group(0).spawn().unwrap();
        let mut backend = Self { child, url: String::new() };
        backend.url = until("a backend that listens", || {
            let printed = fs::read_to_string(&output).unwrap();
            let url = printed.lines().find_map(|line| line.strip_prefix("listening on "));
            let ended = backend.child.try_wait().unwrap();
            assert!(url.is_some() || ended.is_none(), "ended: {printed}");
            url.map(str::to_owned)
        });
        backend
    }

    fn walk(&self, more: &[&str]) -> Result<String, String> {
        let walk = root().join("examples/walk.py");
        run(Command::new("python3").arg(walk).arg(&self.url).args(more))
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}
