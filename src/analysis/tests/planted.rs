//! A planted change of a shipped store.

use super::support::{changed, shipped};
use crate::{
    analysis::{Direction, Finder, Kind, PolicyChange, PolicyChangeKind, diff, read_invariants},
    model::{Effect, OnForbidError},
    store::{Bounds, PolicyStore},
    testing::{self, Expected},
};

/// A changed copy of HitKeep's store in which editors may add members.
fn editors_add_members(hitkeep: &PolicyStore) -> PolicyStore {
    changed(
        hitkeep,
        "planted.cedar",
        r#"@id("editors-add-members")
permit (principal, action == HitKeep::Action::"site.members.add", resource)
when { principal in resource.editor };"#,
    )
}

#[test]
fn a_planted_permit_changes_exactly_its_cells_and_each_gain_replays() {
    let old = shipped("hitkeep");
    let new = editors_add_members(&old);
    let diff = diff(&old, &new, OnForbidError::Deny).unwrap();
    let cells: Vec<_> = diff
        .cells
        .iter()
        .map(|cell| (&*cell.column, &*cell.action, cell.before, cell.after, cell.direction))
        .collect();
    let (action, gain) = ("site.members.add", Direction::Gain);
    let expected = [
        ("site_editor", action, Expected::Deny, Expected::Cond, gain),
        // An API client may hold the role too.
        ("api_client", action, Expected::Cond, Expected::Cond, gain),
    ];
    assert_eq!(cells, expected);
    assert!(diff.others.is_empty() && diff.unknown.is_empty(), "{:?}", diff.unknown);
    let added =
        PolicyChange { id: "editors-add-members".to_owned(), kind: PolicyChangeKind::Added };
    assert_eq!(diff.policies, [added]);
    for cell in &diff.cells {
        let witness = cell.gain.as_ref().unwrap();
        assert_eq!(witness.decide(&old).unwrap().effect, Effect::Deny);
        assert_eq!(witness.decide(&new).unwrap().effect, Effect::Allow);
    }
    let witness = diff.cells[0].gain.as_ref().unwrap().to_string();
    assert!(witness.contains("is editor of"), "{witness}");
}

#[test]
fn the_same_change_backwards_loses_the_same_cells() {
    let new = shipped("hitkeep");
    let old = editors_add_members(&new);
    let diff = diff(&old, &new, OnForbidError::Deny).unwrap();
    assert!(!diff.has_gains() && diff.has_losses());
    assert_eq!(diff.cells.len(), 2);
}

#[test]
fn what_changes_no_answer_changes_no_cell() {
    let old = shipped("hitkeep");
    let new = changed(
        &old,
        "planted.cedar",
        r#"@id("owners-view-already")
permit (principal is HitKeep::User, action == HitKeep::Action::"site.view", resource)
when { principal in resource.owner };"#,
    );
    let diff = diff(&old, &new, OnForbidError::Deny).unwrap();
    assert!(
        diff.cells.is_empty() && diff.others.is_empty() && diff.unknown.is_empty(),
        "{:?}",
        diff.unknown
    );
    assert_eq!(diff.policies.len(), 1);
}

#[test]
fn a_change_that_no_test_notices_is_found() {
    let old = shipped("hitkeep");
    let new = changed(
        &old,
        "planted.cedar",
        r#"@id("mallory-deletes")
permit (principal == HitKeep::User::"mallory", action == HitKeep::Action::"site.delete", resource);"#,
    );
    assert_eq!(testing::run(&new).unwrap().failed(), 0, "a test notices it");
    let diff = diff(&old, &new, OnForbidError::Deny).unwrap();
    assert!(diff.cells.is_empty() && diff.has_gains());
    let [other] = diff.others.as_slice() else { panic!("{:?}", diff.others) };
    let witness = other.witness.to_string();
    assert!(witness.starts_with("User::\"mallory\" asks for site.delete"), "{witness}");
}

#[test]
fn an_invariant_that_a_planted_change_breaks_is_contradicted_by_a_request() {
    let new = editors_add_members(&shipped("hitkeep"));
    let invariants = read_invariants(&new, &Bounds::default()).unwrap();
    let broken = invariants.iter().find(|one| one.id == "editors-add-no-members").unwrap();
    let schema = new.schema();
    let action = schema.action("", "site.members.add").unwrap();
    let kind = Kind {
        action: &action.uid,
        principal: schema.entity_type("User").unwrap(),
        resource: schema.entity_type("Site").unwrap(),
    };
    let engine = new.engine();
    let witness = Finder::new(&new, [engine]).against(kind, broken).unwrap();
    assert_eq!(witness.decide(&new).unwrap().effect, Effect::Allow, "{witness}");
    let old = shipped("hitkeep");
    assert!(Finder::new(&old, [old.engine()]).against(kind, broken).is_none());
}
