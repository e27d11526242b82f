use super::{
    super::{Fate, MutantReport, mutants::run_mutants, mutate, mutate_expression::text, run_where},
    store,
};
use crate::store::PolicyStore;

const CASES: &str = r#"
[fixtures.site]
principal = 'User::"alice"'
resource = 'Site::"42"'
[fixtures.frozen]
entities = [{ uid = 'Site::"42"', attributes = { frozen = true } }]
[fixtures.team]
principal = 'User::"alice"'
resource = 'Team::"acme"'

[[case]]
name = "viewer"
use = ["site"]
roles = [{ role = "viewer" }]
allow = ["site.view"]
deny = ["site.edit", "site.rename"]
[[case]]
name = "editor"
use = ["site"]
roles = [{ role = "editor" }]
allow = ["site.view", "site.edit", "site.rename"]
[[case]]
name = "stranger"
use = ["site"]
deny = ["site.view", "site.edit", "site.rename"]
[[case]]
name = "frozen"
use = ["site", "frozen"]
roles = [{ role = "editor" }]
allow = ["site.rename"]
deny = ["site.edit"]
[[case]]
name = "thawed"
use = ["site"]
roles = [{ role = "editor" }]
entities = [{ uid = 'Site::"42"', attributes = { frozen = false } }]
allow = ["site.edit"]
[[case]]
name = "owner of an active team"
use = ["team"]
roles = [{ role = "owner" }]
entities = [{ uid = 'Team::"acme"', attributes = { active = true } }]
allow = ["team.close"]
[[case]]
name = "owner of another team"
use = ["team"]
roles = [{ role = "owner" }]
entities = [{ uid = 'Team::"acme"', attributes = { active = false } }]
deny = ["team.close"]
[[case]]
name = "stranger to an active team"
use = ["team"]
entities = [{ uid = 'Team::"acme"', attributes = { active = true } }]
deny = ["team.close"]
"#;

const TEMPLATE: &str = r#"
@id("share")
permit (principal == ?principal, action == Garden::Action::"site.view", resource == ?resource)
unless { resource has frozen && resource.frozen };
"#;

const LINKS: &str = r#"
[[link]]
id = "share-with-bob"
template = "share"
principal = 'Garden::User::"bob"'
resource = 'Garden::Site::"1"'
[[link]]
id = "share-with-eve"
template = "share"
principal = 'Garden::User::"eve"'
resource = 'Garden::Site::"2"'
"#;

fn run(files: &[(&str, &str)]) -> MutantReport {
    run_mutants(&store(files), &|_, _| {}).unwrap()
}

fn ids(report: &MutantReport, wanted: impl Fn(&Fate) -> bool) -> Vec<&str> {
    let mutants = report.mutants.iter().filter(|(_, fate)| wanted(fate));
    mutants.map(|(mutant, _)| mutant.id.as_str()).collect()
}

#[test]
fn every_part_of_a_policy_has_its_mutants() {
    let ids: Vec<_> = mutate::mutants(&store(&[])).into_iter().map(|mutant| mutant.id).collect();
    assert_eq!(
        ids,
        [
            "site-edit/delete",
            "site-edit/flip",
            "site-edit/drop-action:site.edit",
            "site-edit/drop-action:site.rename",
            "site-edit/drop-conjunct:1",
            "site-edit/widen-action",
            "site-frozen/delete",
            "site-frozen/flip",
            "site-frozen/drop-conjunct:1",
            "site-frozen/drop-conjunct:2",
            "site-frozen/widen-action",
            "site-view/delete",
            "site-view/flip",
            "site-view/drop-conjunct:1",
            "site-view/drop-slot:resource.viewer",
            "site-view/drop-slot:resource.editor",
            "site-view/widen-action",
            "team-close/delete",
            "team-close/flip",
            "team-close/drop-conjunct:1",
            "team-close/drop-conjunct:2",
            "team-close/drop-conjunct:3",
            "team-close/widen-action",
        ]
    );
}

#[test]
fn nested_conditions_are_mutated_everywhere() {
    let policy = r#"
        @id("nested")
        forbid (principal is Garden::User in Garden::Group::"g", action, resource == Garden::Site::"1")
        when { context has level && (context.level == 1 || context.level == 2) }
        when { if principal in [resource.viewer, resource.viewer] then true else action in [Garden::Action::"site.view", Garden::Action::"site.edit"] }
        unless { context has reason && context.reason == "Set" };
    "#;
    let mutants = mutate::mutants(&store(&[("nested.cedar", policy)]));
    let nested = mutants.iter().filter(|mutant| mutant.policy == "nested");
    let nested: Vec<_> = nested
        .map(|mutant| (mutant.id.strip_prefix("nested/").unwrap(), mutant.change.as_str()))
        .collect();
    assert_eq!(
        nested,
        [
            ("delete", "deleted"),
            ("flip", "`permit` instead of `forbid`"),
            ("drop-conjunct:1", "without the condition `context has level`"),
            (
                "drop-conjunct:2",
                "without the condition `(context.level == 1) || (context.level == 2)`"
            ),
            ("drop-disjunct:1", "without the alternative `context.level == 1`"),
            ("drop-disjunct:2", "without the alternative `context.level == 2`"),
            (
                "drop-conjunct:3",
                "without `when { if principal in [resource.viewer, resource.viewer] then true else action in [Garden::Action::\"site.view\", Garden::Action::\"site.edit\"] }`"
            ),
            ("drop-slot:resource.viewer", "without `resource.viewer` in the set"),
            ("drop-slot:resource.viewer#2", "without `resource.viewer` in the set"),
            ("drop-action:site.view", "without the action `site.view`"),
            ("drop-action:site.edit", "without the action `site.edit`"),
            (
                "drop-conjunct:4",
                "without `unless { (context has reason) && (context.reason == \"Set\") }`"
            ),
            ("drop-conjunct:5", "without the condition `context has reason`"),
            ("drop-conjunct:6", "without the condition `context.reason == \"Set\"`"),
            ("widen-principal", "any principal"),
            ("widen-resource", "any resource"),
        ]
    );
    assert!(mutants.iter().all(|mutant| mutant.by.is_ok()));
    let places: Vec<_> =
        mutants.iter().filter(|m| m.policy == "nested").map(|m| &m.place).collect();
    assert!(places.iter().all(|place| *place == "nested.cedar:2"), "{places:?}");
}

#[test]
fn an_expression_is_shown_in_cedars_syntax() {
    let expression = serde_json::json!({ "has": { "left": { "Var": "context" }, "attr": "a}" } });
    assert_eq!(text(&expression), "context has \"a}\"");
    let nonsense = serde_json::json!({ "what": 1 });
    assert_eq!(text(&nonsense), r#"{"what":1}"#);
}

#[test]
fn good_tests_catch_every_mutant() {
    let report = run(&[("tests/a.toml", CASES)]);
    assert_eq!(ids(&report, |fate| *fate == Fate::Survived), Vec::<&str>::new());
    assert!(report.is_success(100.0));
    let refused = ids(&report, |fate| matches!(fate, Fate::Refused { .. }));
    assert_eq!(
        refused,
        [
            "site-edit/widen-action",
            "site-frozen/drop-conjunct:1",
            "site-view/widen-action",
            "team-close/drop-conjunct:2",
            "team-close/widen-action",
        ]
    );
}

#[test]
fn a_missing_test_lets_mutants_survive() {
    let without = CASES.replace("deny = [\"site.edit\"]", "deny = []");
    let report = run(&[("tests/a.toml", &without)]);
    assert_eq!(
        ids(&report, |fate| *fate == Fate::Survived),
        ["site-frozen/delete", "site-frozen/flip"]
    );
    assert!(!report.is_success(99.0));
    assert!(report.is_success(50.0));
    let percent = report.caught_percent();
    assert!((percent - 16.0 * 100.0 / 18.0).abs() < 1e-9, "{percent}");
}

#[test]
fn equivalent_mutants_are_named_with_a_reason() {
    let without = CASES.replace("deny = [\"site.edit\"]", "deny = []");
    let equivalent =
        |mutant: &str| format!("[[equivalent]]\nmutant = '{mutant}'\nreason = 'thawed anyway'\n");
    let named = ["site-frozen/delete", "site-frozen/flip"].map(equivalent).concat();
    let report = run(&[("tests/a.toml", &without), ("mutants.toml", &named)]);
    assert!(report.is_success(100.0));
    assert_eq!(report.count(|fate| matches!(fate, Fate::Equivalent { .. })), 2);

    let wrong =
        ["site-view/delete", "site-view/widen-action", "nothing/delete", "site-frozen/flip"];
    let wrong = wrong.map(equivalent).concat() + &equivalent("site-frozen/flip");
    let report = run(&[("tests/a.toml", &without), ("mutants.toml", &wrong)]);
    let problems: Vec<_> = report.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "garden/mutants.toml:2:10: the mutant `site-view/delete` is not equivalent: `tests/a.toml: viewer / site.view` catches it",
            "garden/mutants.toml:5:10: the mutant `site-view/widen-action` is not valid anyway",
            "garden/mutants.toml:8:10: there is no mutant `nothing/delete`",
            "garden/mutants.toml:14:10: the mutant `site-frozen/flip` is named twice",
        ]
    );
    assert!(!report.is_success(0.0));
}

#[test]
fn mistakes_in_mutants_toml_are_told() {
    let text = "[[equivalent]]\nmutant = 1\nwhy = 'x'\n[other]\n";
    let problems = run_mutants(&store(&[("mutants.toml", text)]), &|_, _| {}).unwrap_err();
    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "garden/mutants.toml:1:1: the key `reason` is missing here",
            "garden/mutants.toml:2:10: a string is expected here, not an integer",
            "garden/mutants.toml:3:1: the key `why` is unknown here",
            "garden/mutants.toml:4:2: the key `other` is unknown here",
        ]
    );
}

#[test]
fn a_mutant_of_a_template_changes_its_links() {
    let cases = r#"
        [[case]]
        name = "bob"
        principal = 'User::"bob"'
        resource = 'Site::"1"'
        action = "site.view"
        expect = "allow"
        [[case]]
        name = "bob, frozen"
        principal = 'User::"bob"'
        resource = 'Site::"1"'
        entities = [{ uid = 'Site::"1"', attributes = { frozen = true } }]
        action = "site.view"
        expect = "deny"
    "#;
    let files = [("share.cedar", TEMPLATE), ("a.links.toml", LINKS), ("tests/a.toml", cases)];
    let report = run(&files);
    let share = report.mutants.iter().filter(|(mutant, _)| mutant.policy.starts_with("share"));
    let share: Vec<_> = share
        .map(|(mutant, fate)| {
            let fate = match fate {
                Fate::Caught { .. } => "caught",
                Fate::Refused { .. } => "refused",
                Fate::Survived => "survived",
                Fate::Equivalent { .. } => "equivalent",
            };
            (mutant.id.as_str(), fate)
        })
        .collect();
    assert_eq!(
        share,
        [
            ("share/delete", "caught"),
            ("share/flip", "caught"),
            ("share/drop-conjunct:1", "caught"),
            ("share/drop-conjunct:2", "refused"),
            ("share/drop-conjunct:3", "survived"),
            ("share/widen-principal", "survived"),
            ("share/widen-action", "survived"),
            ("share/widen-resource", "survived"),
            ("share-with-bob/delete", "caught"),
            ("share-with-eve/delete", "survived"),
        ]
    );
}

/// A mutant is not made into a store, for that would take long: here it is, to see that the short
/// way comes to the same.
#[test]
fn the_short_way_agrees_with_whole_stores() {
    let files = [
        ("share.cedar", TEMPLATE),
        ("a.links.toml", LINKS),
        ("tests/a.toml", &CASES.replace("deny = [\"site.edit\"]", "deny = []")),
    ];
    let store = store(&files);
    let report = run_mutants(&store, &|_, _| {}).unwrap();
    let (mut caught, mut survived) = (0, 0);
    for (mutant, fate) in &report.mutants {
        let Some(changed) = whole(&store, mutant) else {
            assert!(matches!(fate, Fate::Refused { .. }), "{}", mutant.id);
            continue;
        };
        let fails = run_where(&changed, |_| true).unwrap().failed() > 0;
        assert_eq!(fails, matches!(fate, Fate::Caught { .. }), "{}", mutant.id);
        *(if fails { &mut caught } else { &mut survived }) += 1;
    }
    assert!(caught > 10 && survived > 2, "{caught} {survived}");
}

fn whole(store: &PolicyStore, mutant: &mutate::Mutant) -> Option<PolicyStore> {
    use cedar_policy::PolicySet;

    let by = mutant.by.as_ref().ok()?;
    let mut set = PolicySet::new();
    let kept = store.policies().policies().filter(|policy| {
        policy.template_id().is_none() && !mutant.replaced.contains(policy.id().as_ref() as &str)
    });
    for policy in kept.chain(by.policies().filter(|policy| policy.template_id().is_none())) {
        set.add(policy.clone()).unwrap();
    }
    let templates = || by.templates().chain(store.policies().templates());
    for template in templates() {
        let _ = set.add_template(template.clone());
    }
    for link in by.policies().chain(store.policies().policies()) {
        let Some(template) = link.template_id() else { continue };
        let replaced = mutant.replaced.contains(link.id().as_ref() as &str);
        if replaced && by.policy(link.id()).is_none() {
            continue;
        }
        let values = link.template_links().unwrap();
        let _ = set.link(template.clone(), link.id().clone(), values);
    }
    store.with_policies(set).ok()
}
