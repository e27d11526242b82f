use super::{super::cases as cases_of, failures, passing, problems, report, store};
use crate::{
    model::{Timestamp, Uid, Value},
    testing::{DEFAULT_NOW, Expectation},
};

const FILE: &str = "tests/sites.toml";

fn failures_of(text: &str) -> Vec<String> {
    failures(&report(&[(FILE, text)]))
}

#[test]
fn a_store_without_tests_has_no_cases() {
    assert_eq!(passing(&[]), 0);
}

#[test]
fn a_case_passes_or_fails_with_the_reason() {
    let text = r#"
        [[case]]
        name = "viewer views"
        principal = 'Garden::User::"alice"'
        resource = 'Site::42'
        roles = [{ role = "viewer" }]
        action = "site.view"
        expect = "allow"
        policy = "site-view"
        [[case]]
        name = "wrong answer"
        principal = 'User::"alice"'
        resource = 'Site::"42"'
        action = 'Action::"site.view"'
        expect = "allow"
        [[case]]
        name = "wrong policy"
        principal = 'User::"alice"'
        resource = 'Site::"42"'
        roles = [{ role = "viewer", scope = 'Site::"42"' }]
        action = "site.view"
        expect = "allow"
        policies = ["site-edit"]
        [[case]]
        name = "does not fit"
        principal = 'User::"alice"'
        resource = 'Site::"42"'
        roles = [{ role = "boss" }]
        action = "site.view"
        expect = "deny"
    "#;
    assert_eq!(
        failures_of(text),
        [
            "wrong answer: expected allow, got deny",
            "wrong policy: decided by other policies",
            "does not fit: the request does not fit the schema",
        ]
    );
}

#[test]
fn bad_input_can_be_expected() {
    let case = |more: &str, action: &str| {
        format!(
            "[[case]]\nname = 'x'\nprincipal = 'User::\"a\"'\nresource = 'Site::\"1\"'\n\
             action = '{action}'\nexpect = 'invalid'\n{more}"
        )
    };
    assert!(failures_of(&case("roles = [{ role = 'boss' }]", "site.view")).is_empty());
    assert!(failures_of(&case("message = 'no action'", "site.burn")).is_empty());
    assert_eq!(
        failures_of(&case("message = 'no role'", "site.burn")),
        ["x: no violation says `no role`"]
    );
    assert_eq!(
        failures_of(&case("", "site.view")),
        ["x: the request fits the schema, and was to be refused"]
    );
}

#[test]
fn several_actions_are_a_case_each() {
    let text = r#"
        [[case]]
        name = "editor"
        principal = 'User::"alice"'
        resource = 'Site::"42"'
        roles = [{ role = "editor" }]
        allow = ["site.view", "site.edit"]
        deny = ["site.rename"]
    "#;
    let report = report(&[(FILE, text)]);
    let names: Vec<_> = report.results.iter().map(|result| result.case.name.as_str()).collect();
    assert_eq!(names, ["editor / site.view", "editor / site.edit", "editor / site.rename"]);
    assert_eq!(failures(&report), ["editor / site.rename: expected deny, got allow"]);
}

#[test]
fn fixtures_are_laid_from_first_to_last_and_the_case_over_them() {
    let fixtures = r#"
        [fixtures.base]
        principal = 'User::"alice"'
        resource = 'Site::"1"'
        context = { reason = "base", level = 1 }
        groups = ['Group::"a"']
        roles = [{ role = "viewer" }]
        entities = [{ uid = 'Site::"1"', attributes = { frozen = true, team = 'Team::"t"' }, tags = { a = "1" } }]
    "#;
    let cases = r#"
        [fixtures.more]
        resource = 'Site::"2"'
        context = { reason = "more" }
        groups = ['Group::"b"']
        entities = [{ uid = 'Garden::Site::"1"', attributes = { frozen = false }, tags = { b = "2" } }]
        [[case]]
        name = "merged"
        use = ["base", "more"]
        context = { level = 3 }
        roles = [{ role = "editor", scope = 'Site::"1"' }]
        now = "2026-02-01"
        action = "site.edit"
        expect = "deny"
    "#;
    let store = store(&[("tests/fixtures.toml", fixtures), (FILE, cases)]);
    let [case] = cases_of(&store).unwrap().try_into().unwrap();
    let input = &case.input;
    assert_eq!(input.resource, Some(Uid::new("Site", "2")));
    assert_eq!(
        input.context,
        [
            ("reason".to_owned(), Value::String("more".to_owned())),
            ("level".to_owned(), Value::Long(3)),
        ]
    );
    let roles: Vec<_> = input.role_assignments.iter().map(|role| role.role.as_str()).collect();
    assert_eq!(roles, ["viewer", "editor"]);
    let [site, alice] = input.entities.as_slice() else { panic!("{:?}", input.entities) };
    assert_eq!(site.attributes[0], ("frozen".to_owned(), Value::Bool(false)));
    assert_eq!(site.attributes[1], ("team".to_owned(), Value::Entity(Uid::new("Team", "t"))));
    assert_eq!(site.tags.len(), 2);
    assert_eq!(alice.uid, Some(Uid::new("User", "alice")));
    assert_eq!(alice.parents, [Uid::new("Group", "a"), Uid::new("Group", "b")]);
    assert_eq!(case.now, "2026-02-01T00:00:00Z".parse().unwrap());
    assert_eq!((case.file.as_str(), case.line), (FILE, 8));
}

#[test]
fn a_role_ends_at_its_time() {
    let text = |now: &str, answer: &str| {
        format!(
            "[[case]]\nname = 'x'\nprincipal = 'User::\"a\"'\nresource = 'Site::\"1\"'\n{now}\n\
             roles = [{{ role = 'viewer', expires_at = '2026-01-01T00:00:01Z' }}]\n\
             action = 'site.view'\nexpect = '{answer}'\n"
        )
    };
    assert!(failures_of(&text("", "allow")).is_empty());
    assert!(failures_of(&text("now = 2026-01-01T00:00:01Z", "deny")).is_empty());
}

#[test]
fn a_case_can_be_replayed_at_another_time() {
    let text = r#"
        [fixtures.all]
        principal = 'User::"a"'
        roles = [{ role = "viewer", scope = 'Site::"1"', expires_at = "2026-01-01T00:01:00Z" }]
        [[case]]
        name = "takes now from the request"
        use = ["all"]
        resource = 'Site::"1"'
        action = "site.view"
        expect = "allow"
        [[case]]
        name = "takes no now"
        use = ["all"]
        resource = 'Team::"1"'
        action = "team.close"
        expect = "deny"
    "#;
    let store = store(&[(FILE, text)]);
    let [with, without] = cases_of(&store).unwrap().try_into().unwrap();
    let clock: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
    assert!(with.declares_now(store.schema()));
    let input = with.input_at(clock, store.schema());
    assert_eq!(input.context, [("now".to_owned(), Value::Datetime(DEFAULT_NOW))]);
    assert!(!without.declares_now(store.schema()));
    let input = without.input_at(clock, store.schema());
    assert_eq!(input.context, []);
    let ends = input.role_assignments[0].expires_at;
    assert_eq!(ends, Some("2027-01-01T00:01:00Z".parse().unwrap()));
}

#[test]
fn every_mistake_of_every_file_is_told_with_its_place() {
    let one = r#"[[case]]
name = "a"
use = ["nothing"]
principal = 'User'
resource = 'Site::"1"'
action = "site.view"
expekt = "allow"

[[case]]
name = "b"
principal = 'User::"a"'
resource = 5
action = "site.view"
expect = "yes"

[[case]]
name = "b"
roles = [{ rolle = "x" }]
deny = ["site.view"]

[[case]]
name = "c"
now = "today"
expect = "deny"

[[case]]
name = "b"
action = "site.view"
expect = "deny"
"#;
    let two = "[[case]]\nname = \"x\nexpect\n";
    assert_eq!(
        problems(&[("tests/one.toml", one), ("tests/two.toml", two)]),
        [
            "garden/tests/one.toml:3:8: there is no fixture `nothing`",
            "garden/tests/one.toml:4:13: `User` names no entity: write the type and the id, e.g. `Site::\"42\"`",
            "garden/tests/one.toml:6:10: the case does not say what it expects",
            "garden/tests/one.toml:7:1: the key `expekt` is unknown here",
            "garden/tests/one.toml:12:12: a string is expected here, not an integer",
            "garden/tests/one.toml:14:10: `yes` is not an answer",
            "garden/tests/one.toml:18:10: the key `role` is missing here",
            "garden/tests/one.toml:18:12: the key `rolle` is unknown here",
            "garden/tests/one.toml:22:8: the case asks for no action",
            "garden/tests/one.toml:23:7: `today` is not a date and time: write it as RFC 3339, e.g. `2026-01-31T09:00:00Z`",
            "garden/tests/one.toml:24:10: `expect` is only for a case with `action`",
            "garden/tests/two.toml:2:10: invalid basic string, expected `\"`",
            "garden/tests/two.toml:3:7: key with no value, expected `=`",
        ]
    );
}

#[test]
fn a_name_is_given_once_in_a_file() {
    let case = "[[case]]\nname = 'a'\nprincipal = 'User::\"a\"'\nresource = 'Site::\"1\"'\naction = 'site.view'\nexpect = 'deny'\n";
    let twice = format!("{case}{case}");
    assert_eq!(
        problems(&[(FILE, &twice)]),
        ["garden/tests/sites.toml:8:8: the name `a` was given in line 2 already"]
    );
    assert_eq!(passing(&[(FILE, case), ("tests/others.toml", case)]), 2);
}

#[test]
fn what_excludes_each_other_is_refused() {
    let case = |keys: &str| {
        let text = format!(
            "[[case]]\nname = 'a'\nprincipal = 'User::\"a\"'\nresource = 'Site::\"1\"'\n{keys}"
        );
        let problems = problems(&[(FILE, &text)]);
        problems[0].split_once(": ").unwrap().1.to_owned()
    };
    assert_eq!(
        case("action = 'site.view'\nexpect = 'deny'\nallow = ['site.edit']"),
        "`action` and the lists `allow` and `deny` exclude each other"
    );
    assert_eq!(
        case("action = 'site.view'\nexpect = 'deny'\npolicy = 'a'\npolicies = ['b']"),
        "`policy` and `policies` exclude each other"
    );
    assert_eq!(
        case("action = 'site.view'\nexpect = 'deny'\nmessage = 'a'"),
        "`message` is only for `expect = \"invalid\"`"
    );
    assert_eq!(
        case("action = 'site.view'\nexpect = 'invalid'\npolicy = 'a'"),
        "a request that is refused has no policies"
    );
}

#[test]
fn a_fixture_does_not_hide_a_shared_one() {
    let fixture = "[fixtures.a]\nprincipal = 'User::\"a\"'\n";
    assert_eq!(
        problems(&[("tests/fixtures.toml", fixture), (FILE, fixture)]),
        ["garden/tests/sites.toml:1:11: `tests/fixtures.toml` has a fixture `a` already"]
    );
}

#[test]
fn the_expected_policies_are_known() {
    let text = "[[case]]\nname = 'a'\nprincipal = 'User::\"a\"'\nresource = 'Site::\"1\"'\naction = 'site.view'\nexpect = 'deny'\npolicies = []\n";
    let [case] = cases_of(&store(&[(FILE, text)])).unwrap().try_into().unwrap();
    let Expectation::Decision { policies, .. } = &case.expectation else { panic!("{case:?}") };
    assert_eq!(*policies, super::super::ExpectedPolicies::Exactly(Vec::new()));
    assert_eq!(passing(&[(FILE, text)]), 1);
}
