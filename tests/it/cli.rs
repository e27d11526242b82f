//! The command line as a whole, and what its tests share.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

pub const SCHEMA: &str = r#"namespace Guard {
  @role entity Role;
  entity Group in [Role];
  entity User in [Role, Group] { email?: String };
  entity Team { owner: Role, active?: Bool };
  entity Site { owner: Role, editor: Role, viewer: Role, team?: Team };
  action "view" appliesTo { principal: [User], resource: [Site], context: { now?: datetime } };
  action "edit" appliesTo {
    principal: [User],
    resource: [Site],
    context: { now?: datetime, reason?: String, amount?: decimal, since?: datetime, on?: Site, force?: Bool }
  };
}
"#;

pub const POLICIES: &str = r#"@id("view") @doc("Who holds a role sees the site.")
permit (principal, action == Guard::Action::"view", resource)
when { principal in [resource.owner, resource.editor, resource.viewer] };

@id("edit") @doc("Owners and editors edit.")
permit (principal, action == Guard::Action::"edit", resource)
when { principal in [resource.owner, resource.editor] };

@id("not-for-audit") @doc("Nothing is edited for an audit.") @advice("give another reason")
forbid (principal, action == Guard::Action::"edit", resource)
when { context has reason && context.reason == "audit" };
"#;

/// A policies folder with those stores.
pub fn policies(stores: &[&str]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for name in stores {
        write_store(folder.path(), name, POLICIES);
    }
    folder
}

pub fn write_store(folder: &Path, name: &str, policies: &str) {
    let store = folder.join(name);
    std::fs::create_dir_all(&store).unwrap();
    std::fs::write(store.join("schema.cedarschema"), SCHEMA).unwrap();
    std::fs::write(store.join("policies.cedar"), policies).unwrap();
}

/// The binary, in an empty folder and without settings of the surroundings.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("humbaba"));
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("HUMBABA_") || name_text.starts_with("OTEL_") {
            command.env_remove(&name);
        }
    }
    command.args(args);
    command
}

/// The output of a command that ends by itself.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

pub fn run(args: &[&str]) -> Ended {
    end(&mut command(args))
}

pub fn end(command: &mut Command) -> Ended {
    let output = command.stdin(Stdio::null()).output().unwrap();
    Ended {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs a command of which nobody reads what it prints.
pub fn end_unread(command: &mut Command) -> Ended {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped()).spawn();
    let output = output.unwrap().wait_with_output().unwrap();
    Ended {
        code: output.status.code().unwrap(),
        out: String::new(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn help_and_version_are_no_failure() {
    for args in [&["--help"][..], &["--version"], &["help", "check"], &["serve", "--help"]] {
        let ended = run(args);
        assert_eq!(ended.code, 0, "{args:?}");
        assert!(!ended.out.is_empty() && ended.err.is_empty(), "{ended:?}");
    }
    for subcommand in [
        "serve",
        "check",
        "validate",
        "fmt",
        "watch",
        "init",
        "import",
        "healthcheck",
        "completions",
    ] {
        let help = run(&[subcommand, "--help"]).out;
        assert!(help.contains("Example"), "{subcommand} shows no example:\n{help}");
    }
}

#[test]
fn bad_usage_ends_with_64() {
    for args in [
        &["--lisen", "x"][..],
        &["frobnicate"],
        &["check"],
        &["completions", "tcsh"],
        &["--set", "limits.entities"],
        &["--listen", "nowhere"],
        &["--listen", "0.0.0.0:0"],
        &["--set", "limits.entites=1"],
        &["serve", "--config", "/nowhere/humbaba.toml"],
        &["serve", "--default-store", "No Store"],
        &["healthcheck", "--address", "https://127.0.0.1:1"],
        &["healthcheck", "--timeout", "0"],
        &["--policies", "x", "check"],
    ] {
        let ended = run(args);
        assert_eq!(ended.code, 64, "{args:?}: {ended:?}");
        assert!(ended.out.is_empty() && !ended.err.is_empty(), "{args:?}: {ended:?}");
    }
}

#[test]
fn bad_variables_end_with_64() {
    for (name, value) in [("HUMBABA_LISEN", "x"), ("HUMBABA_LISTEN", "x")] {
        let ended = end(command(&["--print-config"]).env(name, value));
        assert_eq!(ended.code, 64);
        assert!(ended.err.contains(name), "{}", ended.err);
    }
}

#[test]
fn the_settled_settings_are_a_configuration_file() {
    let folder = TempDir::new().unwrap();
    let args =
        ["--print-config", "--listen", "127.0.0.1:0", "--insecure", "--set", "limits.depth=4"];
    let printed = end(command(&args).env("HUMBABA_HTTP_LISTEN", "off"));
    assert_eq!(printed.code, 0, "{}", printed.err);
    for part in [
        "flag --listen",
        "flag --insecure",
        "flag --set limits.depth",
        "environment variable HUMBABA_HTTP_LISTEN",
    ] {
        assert!(printed.out.contains(part), "no `{part}` in\n{}", printed.out);
    }
    let file = folder.path().join("humbaba.toml");
    std::fs::write(&file, &printed.out).unwrap();
    let again = run(&["serve", "--config", file.to_str().unwrap(), "--print-config"]);
    assert_eq!(again.code, 0, "{}", again.err);
    let values = |text: &str| text.parse::<toml::Table>().unwrap();
    assert_eq!(values(&again.out), values(&printed.out));
    assert!(again.out.contains("humbaba.toml:2"), "{}", again.out);
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ended = run(&["completions", shell]);
        assert_eq!(ended.code, 0);
        assert!(ended.out.contains("healthcheck"), "{shell}");
    }
}

#[test]
fn that_nobody_reads_on_is_no_failure() {
    for args in [&["completions", "zsh"][..], &["--help"], &["--print-config"]] {
        let ended = end_unread(&mut command(args));
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{args:?}");
    }
}
