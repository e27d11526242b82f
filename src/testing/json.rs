//! Reports as JSON, for programs.

use serde_json::{Value, json};

use super::{
    coverage::CoverageReport,
    mutants::{Fate, MutantReport},
    report::{Got, TestReport, expected},
};

/// The report of one store.
#[must_use]
pub fn report_as_json(
    tests: &TestReport,
    mutants: Option<&MutantReport>,
    coverage: Option<&CoverageReport>,
) -> Value {
    let files: Vec<_> = tests
        .groups()
        .iter()
        .map(|group| {
            json!({ "file": group.file, "cases": group.results.len(), "failed": group.failed() })
        })
        .collect();
    let failures = tests.failures().map(|(case, failure)| {
        let why = match &failure.got {
            Got::Decision { explanation, .. } => Some(explanation),
            Got::Invalid(_) => None,
        };
        json!({
            "file": case.file,
            "line": case.line,
            "name": case.name,
            "reason": failure.reason,
            "expected": expected(&case.expectation),
            "got": failure.got.to_string(),
            "why": why,
        })
    });
    let exempt = tests.exempt.iter().map(|exempt| {
        json!({
            "scope": exempt.scope,
            "action": exempt.action,
            "column": exempt.column,
            "reason": exempt.reason,
        })
    });
    json!({
        "store": tests.store,
        "cases": tests.results.len(),
        "failed": tests.failed(),
        "files": files,
        "failures": failures.collect::<Vec<_>>(),
        "exempt": exempt.collect::<Vec<_>>(),
        "mutants": mutants.map(mutants_as_json),
        "coverage": coverage.map(coverage_as_json),
    })
}

fn coverage_as_json(report: &CoverageReport) -> Value {
    let policies = report.policies.iter().map(|policy| {
        let conditions = policy.conditions.iter().map(|condition| {
            json!({
                "text": condition.text,
                "line": condition.location.map(|location| location.line),
                "column": condition.location.map(|location| location.column),
                "true": condition.made_true,
                "false": condition.made_false,
            })
        });
        json!({
            "policy": policy.id,
            "file": policy.file,
            "asked": policy.asked,
            "applied": policy.applied,
            "conditions": conditions.collect::<Vec<_>>(),
        })
    });
    json!({ "policies": policies.collect::<Vec<_>>() })
}

fn mutants_as_json(report: &MutantReport) -> Value {
    let listed = |wanted: fn(&Fate) -> bool| {
        let mutants = report.mutants.iter().filter(|(_, fate)| wanted(fate));
        let mutants = mutants.map(|(mutant, fate)| {
            let reason = match fate {
                Fate::Equivalent { reason } => Some(reason),
                Fate::Caught { .. } | Fate::Refused { .. } | Fate::Survived => None,
            };
            json!({
                "mutant": mutant.id,
                "policy": mutant.policy,
                "place": mutant.place,
                "change": mutant.change,
                "reason": reason,
            })
        });
        mutants.collect::<Vec<_>>()
    };
    json!({
        "mutants": report.mutants.len(),
        "caught": report.count(|fate| matches!(fate, Fate::Caught { .. })),
        "refused": report.count(|fate| matches!(fate, Fate::Refused { .. })),
        "caught_percent": report.caught_percent(),
        "survivors": listed(|fate| *fate == Fate::Survived),
        "equivalents": listed(|fate| matches!(fate, Fate::Equivalent { .. })),
        "problems": report.problems,
    })
}
