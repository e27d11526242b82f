//! `humbaba generate`: what it writes for the shipped stores, and for one that makes it hard, passes
//! each language's own checks, and a misspelt action does not.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use humbaba::client::Question;
use tempfile::TempDir;

use crate::{
    cli::{command, end},
    support::skip::skip,
};

// As it was written: a test of the examples holds it to that.
#[rustfmt::skip]
#[path = "../../examples/rust/hitkeep.rs"]
mod hitkeep;

/// Words that are keywords, clash, or end a comment, and actions of two namespaces.
const HARD: &str = r#"
namespace Hard {
    @role entity Role;
    @doc("A site.\r\nIt's */ \"\"\" not over \\ yet.")
    entity Site { @doc("May do all.") owner: Role, self: Role, "class": Role, "a-b": Role, a_b: Role };
    entity User in [Role];
    entity None, Self_, SelfRole;
    @doc("Looks at it. */ } \"\"\" \u{202e}")
    action "view" appliesTo { principal: User, resource: Site };
    action "site.view", "site_view", "siteView", "SITE.VIEW", "self", "class", "2fa", "é", "***", "",
        "mro", "MRO", "name", "value", "a\"b\\c\nd", "__proto__", "constructor", "None", "${x}"
        appliesTo { principal: User, resource: Site };
    action "group";
}
namespace Hard::Billing {
    entity Site { owner: Hard::Role };
    action "view" appliesTo { principal: Hard::User, resource: Site };
}
"#;

const SHIPPED: [&str; 5] = ["clicky", "hitkeep", "hitkeep-v1", "kissmetrics", "piwik-pro"];

/// Writes a module for each store into a folder.
fn generate(lang: &str, extension: &str) -> (TempDir, Vec<PathBuf>) {
    let folder = TempDir::new().unwrap();
    let hard = folder.path().join("policies/hard");
    fs::create_dir_all(&hard).unwrap();
    fs::write(hard.join("schema.cedarschema"), HARD).unwrap();
    fs::write(hard.join("policies.cedar"), "permit (principal, action, resource);").unwrap();
    let (hard, shipped) = (folder.path().join("policies"), root().join("policies"));
    let stores = SHIPPED.map(|store| (store, shipped.as_path())).into_iter();
    let files = stores.chain([("hard", hard.as_path())]).map(|(store, policies)| {
        let file = folder.path().join(format!("{}.{extension}", store.replace('-', "_")));
        fs::write(&file, written(lang, store, policies)).unwrap();
        file
    });
    let files = files.collect();
    (folder, files)
}

fn written(lang: &str, store: &str, policies: &Path) -> String {
    let args = ["generate", "--lang", lang, "--policies", policies.to_str().unwrap(), store];
    let ended = end(&mut command(&args));
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{store}");
    ended.out
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a command and returns what it printed, or all that it said where it failed.
pub fn run(command: &mut Command) -> Result<String, String> {
    let ended = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if ended.status.success() {
        return Ok(text(&ended.stdout));
    }
    Err(format!("{command:?}: {}\n{}{}", ended.status, text(&ended.stdout), text(&ended.stderr)))
}

#[test]
fn questions_take_the_words_of_a_store_in_rust() {
    let site = hitkeep::EntityType::Site.uid("42");
    let alice = hitkeep::EntityType::User.uid("alice");
    let typed = Question::new(alice.clone(), hitkeep::Action::SiteGoalsCreate, site.clone())
        .in_store(hitkeep::POLICY_STORE)
        .role(hitkeep::SiteRole::Editor, site.clone());
    let plain = Question::new(alice, "site.goals.create", site.clone())
        .in_store("hitkeep")
        .role("editor", site);
    assert_eq!(typed, plain);
}

/// The types of the client that a written module uses.
const CLIENT: &str = "
#[derive(Debug)]
pub struct Uid;
impl Uid {
    pub fn new(_: impl Into<String>, _: impl Into<String>) -> Self { Self }
    pub fn action(_: impl Into<String>) -> Self { Self }
}
pub struct ActionUid;
impl From<Uid> for ActionUid { fn from(_: Uid) -> Self { Self } }
";

#[test]
fn rust_compiles_and_a_wrong_action_does_not() {
    let (folder, files) = generate("rust", "rs");
    let rustc = |file: &Path, name: &str| {
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition", "2024", "--crate-type", "lib", "--emit", "metadata", "-D"]);
        rustc.args(["warnings", "--crate-name", name, "--out-dir"]).arg(folder.path()).arg(file);
        rustc
    };
    let client = folder.path().join("client.rs");
    fs::write(&client, format!("pub mod client {{ {CLIENT} }}")).unwrap();
    run(&mut rustc(&client, "humbaba")).unwrap();
    let compiles = |file: &Path| {
        let metadata = folder.path().join("libhumbaba.rmeta");
        run(rustc(file, "words").arg("--extern").arg(format!("humbaba={}", metadata.display())))
    };
    let user = folder.path().join("user.rs");
    for file in &files {
        let module = file.file_name().unwrap().to_str().unwrap();
        // In a module, as in a program that uses few of the words.
        fs::write(&user, format!("#[path = {module:?}]\nmod words;\npub use words::POLICY_STORE;"))
            .unwrap();
        compiles(&user).unwrap();
    }
    let with = |action: &str| {
        fs::write(
            &user,
            format!("#[path = \"hitkeep.rs\"]\npub mod words;\npub fn f() -> humbaba::client::ActionUid {{ words::Action::{action}.into() }}"),
        )
        .unwrap();
        compiles(&user)
    };
    with("SiteGoalsCreate").unwrap();
    let error = with("SiteGoalsCraete").unwrap_err();
    assert!(error.contains("E0599") && error.contains("SiteGoalsCraete"), "{error}");
}

/// A Python of its own with mypy.
fn mypy(folder: &Path) -> Result<PathBuf, String> {
    run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let python = folder.join("bin/python");
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "mypy==1.18.2"];
    run(Command::new(&python).args(pip))?;
    Ok(python)
}

#[test]
fn python_passes_mypy_and_a_wrong_action_does_not() {
    let (folder, files) = generate("python", "py");
    let python = match mypy(&folder.path().join("venv")) {
        Ok(python) => python,
        Err(why) => return skip(&format!("mypy cannot be had: {why}")),
    };
    // mypy's cache takes a file of the same second and length for unchanged.
    let checks = |files: &[PathBuf]| {
        let mut mypy = Command::new(&python);
        let mypy = mypy.current_dir(folder.path()).args(["-m", "mypy", "--strict"]);
        run(mypy.args(["--cache-dir", "/dev/null"]).args(files))
    };
    checks(&files).unwrap();
    let uses = |action: &str| {
        let file = folder.path().join("uses.py");
        let program = format!(
            "from hitkeep import Action, SiteRole\nfrom hard import Action as Hard, HardBillingAction\n\
             print(f\"{{Action.{action}}} {{SiteRole.EDITOR.value}} {{len(Hard)}}\", HardBillingAction.VIEW)\n"
        );
        fs::write(&file, program).unwrap();
        (checks(std::slice::from_ref(&file)), file)
    };
    let (checked, file) = uses("SITE_GOALS_CREATE");
    checked.unwrap();
    let printed = run(Command::new(&python).arg(file)).unwrap();
    assert_eq!(printed, "site.goals.create editor 20 view\n", "and no action took another's name");
    let error = uses("SITE_GOALS_CRAETE").0.unwrap_err();
    assert!(error.contains("SITE_GOALS_CRAETE") && error.contains("attr-defined"), "{error}");
}

/// TypeScript's compiler.
fn tsc(folder: &Path) -> Result<PathBuf, String> {
    let npm = ["install", "--silent", "--no-fund", "--no-audit", "--prefix"];
    run(Command::new("npm").args(npm).arg(folder).arg("typescript@5.9.3"))?;
    Ok(folder.join("node_modules/.bin/tsc"))
}

#[test]
fn typescript_compiles_and_a_wrong_action_does_not() {
    let (folder, files) = generate("typescript", "ts");
    let tsc = match tsc(&folder.path().join("npm")) {
        Ok(tsc) => tsc,
        Err(why) => return skip(&format!("TypeScript cannot be had: {why}")),
    };
    let checks = |files: &[PathBuf]| {
        let mut tsc = Command::new(&tsc);
        run(tsc.args(["--noEmit", "--strict", "--target", "es2022"]).args(files))
    };
    checks(&files).unwrap();
    let uses = |action: &str| {
        let file = folder.path().join("uses.ts");
        let program = format!(
            "import {{ Action, SiteRole }} from './hitkeep';\n\
             const held: SiteRole = 'editor';\n\
             export const asked: [Action, SiteRole] = [{action}, held];\n"
        );
        fs::write(&file, program).unwrap();
        checks(&[file])
    };
    uses("Action.SiteGoalsCreate").unwrap();
    uses("'site.goals.create'").unwrap();
    for wrong in ["Action.SiteGoalsCraete", "'site.goals.craete'"] {
        let error = uses(wrong).unwrap_err();
        assert!(error.contains("raete"), "{error}");
    }
}

#[test]
fn docs_of_the_schema_stand_with_their_words() {
    let (_folder, files) = generate("rust", "rs");
    let hard = fs::read_to_string(files.last().unwrap()).unwrap();
    assert!(hard.contains("    /// May do all.\n    Owner,\n"), "{hard}");
    assert!(hard.contains("    /// Looks at it. */ } \"\"\"\n    View,\n"), "{hard}");
    assert!(hard.contains("    /// On Site.\n    Class,\n"), "{hard}");
    assert!(!hard.contains("Group"), "nobody asks for a group: {hard}");
}

#[test]
fn an_unknown_store_and_names_that_clash_are_refused() {
    let policies = root().join("policies");
    let policies = policies.to_str().unwrap();
    let ended = end(&mut command(&["generate", "--lang", "rust", "--policies", policies, "x"]));
    assert_eq!((ended.code, ended.out.as_str()), (64, ""));
    assert!(ended.err.contains("hitkeep"), "{ended:?}");

    let folder = TempDir::new().unwrap();
    let store = folder.path().join("s");
    fs::create_dir(&store).unwrap();
    let schema = r#"entity U; action "1", "N1", "x.1" appliesTo { principal: U, resource: U };"#;
    fs::write(store.join("schema.cedarschema"), schema).unwrap();
    fs::write(store.join("p.cedar"), "permit (principal, action, resource);").unwrap();
    let policies = folder.path().to_str().unwrap();
    let ended = end(&mut command(&["generate", "--lang", "python", "--policies", policies, "s"]));
    assert_eq!((ended.code, ended.out.as_str()), (3, ""));
    assert!(ended.err.contains("`1` and `x.1` would both be called `X_1`"), "{ended:?}");
}
