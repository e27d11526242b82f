//! Warnings, and how many are shown.

use super::*;

#[test]
fn cedars_warnings_are_kept_with_their_places() {
    let policies = "permit (principal, action, resource) when { false };
permit (principal, action, resource) when { principal.name == \"p\u{430}ge\" };
permit (principal, action, resource) when { principal.name == \"a\u{202e}b\" };
permit (principal is Doc, action, resource);
permit (principal == User::\"a\", action, resource) when { 1 == 2 };
permit (principal == User::\"b\", action, resource) when { 1 == 2 };
permit (principal, action, resource);";
    let store = loaded(&[("s.cedarschema", SCHEMA), ("p.cedar", policies)]);
    let lines: Vec<_> =
        store.warnings().iter().filter_map(Problem::location).map(|at| at.line).collect();
    for line in 1..=6 {
        assert!(lines.contains(&line), "{line}: {:#?}", store.warnings());
    }
    assert!(!lines.contains(&7), "{:#?}", store.warnings());
}

#[test]
fn a_link_whose_types_are_swapped_is_said_at_its_place() {
    let template = "@id(\"t\") permit (principal == ?principal, action, resource == ?resource);";
    let links = "[[link]]\nid = \"fine\"\ntemplate = \"t\"\nprincipal = 'User::\"a\"'\nresource = 'Doc::\"a\"'\n
[[link]]\nid = \"swapped\"\ntemplate = \"t\"\nprincipal = 'Doc::\"a\"'\nresource = 'User::\"a\"'\n";
    let store = files(&[("s.cedarschema", SCHEMA), ("p.cedar", template), ("a.links.toml", links)]);
    let said = match load(store) {
        Ok(store) => store.warnings().to_vec(),
        Err(problems) => problems,
    };
    check(&said, "a.links.toml", 7, "swapped");
    assert!(!said.iter().any(|problem| problem.to_string().contains("fine")), "{said:?}");
}

#[test]
fn warnings_of_the_schema_are_kept() {
    let schema = schema_with(["entity Long;".to_owned()]);
    let store = loaded(&[("s.cedarschema", &schema), ("p.cedar", PERMIT)]);
    check(store.warnings(), "s.cedarschema", 5, "shadows");
}

#[test]
fn a_store_that_can_permit_nothing_is_said_to_deny() {
    let template = "@id(\"t\") permit (principal == ?principal, action, resource);";
    for (policies, words) in [("// none", "no policies"), (template, "no links"), (PERMIT, "")] {
        let store = loaded(&[("s.cedarschema", SCHEMA), ("p.cedar", policies)]);
        let said = store.warnings().iter().any(|warning| warning.message().contains("denies"));
        assert_eq!(said, !words.is_empty(), "{policies}");
        let messages: Vec<_> = store.warnings().iter().map(Problem::message).collect();
        assert!(messages.join(" ").contains(words), "{messages:?}");
    }
}

#[test]
fn files_that_are_not_read_are_warned_of() {
    let store =
        loaded(&[("s.cedarschema", SCHEMA), ("p.cedar", PERMIT), ("guard.CEDAR", "forbid")]);
    let warning = store.warnings().first().unwrap();
    assert_eq!(warning.file(), "main/guard.CEDAR");
    assert!(warning.help().unwrap().contains("*.cedar"), "{warning:?}");
}

#[test]
fn of_many_problems_in_a_file_the_first_are_shown() {
    let dead = "permit (principal, action, resource) when { false };\n".repeat(5_000);
    let store = loaded(&[("s.cedarschema", SCHEMA), ("p.cedar", &dead)]);
    assert_eq!(store.warnings().len(), 101);
    assert_eq!(store.warnings().last().unwrap().message(), "4900 more are not shown");
    let broken = "permit;\n".repeat(5_000);
    let problems =
        refused(&[("s.cedarschema", SCHEMA), ("p.cedar", &broken), ("q.cedar", "permit")]);
    assert!(problems.len() < 110, "{}", problems.len());
    assert!(problems.iter().any(|problem| problem.file() == "main/q.cedar"));
}
