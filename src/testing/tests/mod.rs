//! The tests of the tests, on a small store.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod cases;
mod cedar_json;
mod matrix;
mod mutants;
mod nonsense;
mod reports;
mod values;

use std::sync::Arc;

use super::{TestReport, run};
use crate::{
    model::Problem,
    store::{Bounds, PolicyStore, StoreFiles},
};

pub(super) const SCHEMA: &str = r#"
namespace Garden {
    @role entity Role;
    entity Group in [Role];
    entity User in [Role, Group] { trial_ends?: datetime };
    entity Team { owner: Role, active?: Bool };
    entity Site { viewer: Role, editor: Role, team?: Team, frozen?: Bool } tags String;
    type TestFacts = {
        now?: datetime,
        reason?: String,
        target?: User,
        level?: Long,
        price?: decimal,
        address?: ipaddr,
        wait?: duration,
        labels?: Set<String>,
        place?: { room: Long, keeper?: User },
    };
    action "site.view", "site.edit", "site.rename" appliesTo {
        principal: [User], resource: [Site], context: TestFacts,
    };
    action "team.close" appliesTo { principal: [User], resource: [Team], context: {} };
}
"#;

pub(super) const POLICIES: &str = r#"
@id("site-view")
permit (principal, action == Garden::Action::"site.view", resource)
when { principal in [resource.viewer, resource.editor] };

@id("site-edit")
permit (
    principal,
    action in [Garden::Action::"site.edit", Garden::Action::"site.rename"],
    resource
)
when { principal in resource.editor };

@id("site-frozen")
@advice("Ask the owner of the team to thaw it.")
forbid (principal, action == Garden::Action::"site.edit", resource)
when { resource has frozen && resource.frozen };

@id("team-close")
permit (principal, action == Garden::Action::"team.close", resource)
when { principal in resource.owner && resource has active && resource.active };
"#;

/// The small store with those files more.
pub(super) fn store(files: &[(&str, &str)]) -> PolicyStore {
    let bytes = |text: &str| Arc::from(text.as_bytes());
    let all = [("schema.cedarschema", SCHEMA), ("policies.cedar", POLICIES)];
    let all = all.iter().chain(files).map(|(path, text)| ((*path).to_owned(), bytes(text)));
    let files = StoreFiles::new("garden".parse().unwrap(), all);
    match PolicyStore::load(Arc::new(files), &Bounds::default()) {
        Ok(store) => store,
        Err(problems) => panic!("{}", rendered(&problems)),
    }
}

/// Runs the small store with some files and returns the findings.
pub(super) fn report(files: &[(&str, &str)]) -> TestReport {
    match run(&store(files)) {
        Ok(report) => report,
        Err(problems) => panic!("{}", rendered(&problems)),
    }
}

/// Asserts that all cases of the small store with those files pass, and returns their number.
pub(super) fn passing(files: &[(&str, &str)]) -> usize {
    let report = report(files);
    assert_eq!(failures(&report), Vec::<String>::new());
    report.results.len()
}

/// The failures, each as `name: reason`.
pub(super) fn failures(report: &TestReport) -> Vec<String> {
    let text = |(case, failure): (&super::Case, &super::CaseFailure)| {
        format!("{}: {}", case.name, failure.reason)
    };
    report.failures().map(text).collect()
}

/// The problems of the small store with those files.
pub(super) fn problems(files: &[(&str, &str)]) -> Vec<String> {
    let problems = run(&store(files)).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

fn rendered(problems: &[Problem]) -> String {
    problems.iter().map(Problem::render).collect()
}
