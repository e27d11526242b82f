//! `humbaba matrix` where only a solver can tell.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use serde_json::Value as Json;
use tempfile::TempDir;

use crate::{
    cli::{Ended, command, end},
    symbolic::solver,
};

const SCHEMA: &str = r#"namespace Lab {
  @role entity Role;
  entity User in [Role];
  entity Sample { keeper: Role, reader: Role, weight: Long };
  action "read", "burn", "move", "sign", "trade" appliesTo {
    principal: [User],
    resource: [Sample],
    context: { a?: Long, b?: Long }
  };
}
"#;

/// Neither evaluation nor the values that a search tries settle what these mean.
const POLICIES: &str = r#"@id("readers-read")
permit (principal, action == Lab::Action::"read", resource)
when { principal in resource.reader && (resource.weight > 5 || resource.weight <= 5) };

@id("nobody-burns")
permit (principal, action == Lab::Action::"burn", resource)
when { principal in resource.keeper && context has a && context.a > 5 && context.a < 3 };

@id("keepers-move")
permit (principal, action == Lab::Action::"move", resource)
when { principal in resource.keeper && context has a && context has b }
when { context.a > 1000 && context.a - context.b == 37 };

@id("keepers-sign")
permit (principal, action == Lab::Action::"sign", resource)
when { principal in resource.keeper }
unless { resource.weight + resource.weight == 4242 };
"#;

/// To allow it the solver would have to find the factors of a product.
const TRADE: &str = r#"
@id("keepers-trade")
permit (principal, action == Lab::Action::"trade", resource)
when { principal in resource.keeper && context has a && context has b }
when { context.a > 1 && context.b > 1 && context.a * context.b == 1000036000099 };
"#;

/// The solver has an example in which a reader is a keeper, too; a reader of the matrix is none.
const NEVER_REPLAYED: &str = r#"
@id("halves-trade")
permit (principal, action == Lab::Action::"trade", resource)
when { context has a }
when { principal in (if context.a * 2 == 5 then resource.reader else resource.keeper) };
"#;

const CSV: &str = "scope,action,label,keeper,reader
sample,read,,deny,allow
sample,burn,,deny,deny
sample,move,,cond,deny
sample,sign,,cond,deny
";

const MEANING: &str = r#"
[scopes.sample]
resource = 'Sample::"1"'

[columns.keeper]
principal = 'User::"alice"'
roles = [{ role = "keeper" }]

[columns.reader]
principal = 'User::"alice"'
roles = [{ role = "reader" }]
"#;

fn lab(more: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("lab");
    fs::create_dir(&store).unwrap();
    fs::write(store.join("schema.cedarschema"), SCHEMA).unwrap();
    fs::write(store.join("policies.cedar"), format!("{POLICIES}{more}")).unwrap();
    folder
}

fn matrix(folder: &Path, args: &[&str]) -> Ended {
    end(command(&["matrix", folder.to_str().unwrap()]).args(args))
}

fn without_solver(folder: &Path, args: &[&str]) -> Ended {
    let mut command = command(&["matrix", folder.to_str().unwrap()]);
    end(command.args(args).env("CVC5", "/nowhere/cvc5"))
}

/// Returns a cell in the JSON of a matrix.
fn cell(ended: &Ended, action: &str, column: &str) -> Json {
    let json: Json = serde_json::from_str(&ended.out).unwrap();
    let rows = json["lab"]["rows"].as_array().unwrap();
    rows.iter().find(|row| row["action"] == action).unwrap()["cells"][column].clone()
}

#[test]
fn what_evaluation_and_search_leave_open_is_settled_by_the_solver() {
    let folder = lab("");
    if solver().is_none() {
        return;
    }
    let ended = matrix(folder.path(), &[]);
    let expected = "\
lab

Sample
action  Sample.keeper  Sample.reader
burn    -              -
move    if 1           -
read    -              yes
sign    if 2           -
trade   -              -

conditions
   1 if keepers-move [a]
   2 if keepers-sign [b]

where
   a context has a && context has b && context.a > 1000 && context.a - context.b == 37
   b not (resource.weight + resource.weight == 4242)

";
    assert_eq!((ended.code, &*ended.out, &*ended.err), (0, expected, ""));
}

#[test]
fn without_a_solver_such_a_cell_says_computed_not_proved() {
    let folder = lab("");
    let ended = without_solver(folder.path(), &[]);
    let expected = "\
lab

Sample
action  Sample.keeper  Sample.reader
burn    -?             -
move    -?             -
read    -              yes?
sign    yes?           -
trade   -              -

?: computed, not proved

";
    assert_eq!((ended.code, &*ended.out), (0, expected));
    let note = "note: lab: 4 cells are computed, not proved: the solver cvc5 cannot be started";
    assert!(ended.err.starts_with(note) && ended.err.contains("apt-get install"), "{ended:?}");
    let ended = without_solver(folder.path(), &["--quiet", "--format", "json"]);
    assert_eq!(ended.err, "");
    let burn = cell(&ended, "burn", "Sample.keeper");
    assert_eq!((&burn["value"], &burn["proved"]), (&"deny".into(), &false.into()));
    assert_eq!(burn["not_proved_because"], "there is no solver");
    let markdown = without_solver(folder.path(), &["--format", "markdown"]).out;
    assert!(markdown.contains("| burn | deny, computed, not proved | deny |"), "{markdown}");
}

#[test]
fn the_check_holds_what_the_solver_says_against_the_file() {
    let folder = lab("");
    fs::write(folder.path().join("lab/matrix.csv"), CSV).unwrap();
    fs::write(folder.path().join("lab/matrix.toml"), MEANING).unwrap();
    let ended = without_solver(folder.path(), &["--check"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    let says = "lab: 8 cells, 0 of them exempt, 2 differ, 4 not proved\n";
    assert!(ended.out.ends_with(says), "{ended:?}");
    if solver().is_some() {
        let ended = matrix(folder.path(), &["--check"]);
        assert_eq!(
            (ended.code, &*ended.out),
            (0, "lab: not in matrix.csv: trade\nlab: 8 cells, 0 of them exempt, 0 differ\n"),
            "{ended:?}"
        );
    }
}

#[test]
fn what_the_solver_does_not_know_stays_computed_and_says_why() {
    if solver().is_none() {
        return;
    }
    for (more, column, why) in [
        (TRADE, "Sample.keeper", "the solver does not know, or needs more than 1 s"),
        (NEVER_REPLAYED, "Sample.reader", "of which no request could be made"),
    ] {
        let folder = lab(more);
        let ended = matrix(folder.path(), &["--query-timeout", "1", "--format", "json"]);
        assert_eq!(ended.code, 0, "{ended:?}");
        let trade = cell(&ended, "trade", column);
        assert_eq!((&trade["value"], &trade["proved"]), (&"deny".into(), &false.into()));
        assert!(trade["not_proved_because"].as_str().unwrap().contains(why), "{trade}");
        let note = "note: lab: 1 cell is computed, not proved\n  Sample / trade / ";
        assert!(ended.err.starts_with(note) && ended.err.contains(why), "{ended:?}");
        assert_eq!(cell(&ended, "move", "Sample.keeper")["value"], "cond");
    }
}

#[test]
fn no_solver_is_looked_for_where_no_cell_is_open() {
    let folder = lab("");
    let (solver, asked) = (folder.path().join("solver"), folder.path().join("asked"));
    fs::write(&solver, format!("#!/bin/sh\n: > {}\n", asked.display())).unwrap();
    fs::set_permissions(&solver, fs::Permissions::from_mode(0o755)).unwrap();
    let lab = folder.path().join("lab");
    for (action, is_asked) in [("trade", false), ("burn", true)] {
        let mut command = command(&["matrix", lab.to_str().unwrap(), "--action", action]);
        assert_eq!(end(command.env("CVC5", &solver)).code, 0);
        assert_eq!(asked.exists(), is_asked, "{action}");
    }
}
