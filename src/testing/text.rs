//! Reports as a short tree for a terminal: counts, and details only of what is wrong.

use std::fmt::{self, Write};

use super::{
    coverage::{CoverageReport, PolicyCoverage},
    mutants::{Fate, MutantReport},
    report::TestReport,
};
use crate::request::shorten;

/// The tests of a store as text.
#[must_use]
pub fn tests_as_text(report: &TestReport) -> String {
    written(|text| {
        let count = counted(report.results.len(), report.failed());
        writeln!(text, "{}: {count}", report.store)?;
        for group in report.groups() {
            let mark = if group.failed() == 0 { '✓' } else { '✗' };
            let count = counted(group.results.len(), group.failed());
            writeln!(text, "  {mark} {}: {count}", group.file)?;
            for result in &group.results {
                let Some(failure) = &result.failure else { continue };
                let case = &result.case;
                writeln!(text, "\n    ✗ {}:{} {}", case.file, case.line, case.name)?;
                writeln!(text, "      {}", failure.reason)?;
                for line in failure.details(case).lines() {
                    writeln!(text, "        {line}")?;
                }
            }
            if group.failed() > 0 {
                writeln!(text)?;
            }
        }
        for (reason, cells) in exempt_by_reason(report) {
            let cells_are = if cells == 1 { "cell is" } else { "cells are" };
            writeln!(text, "  - {cells} {cells_are} not asked: {reason}")?;
        }
        Ok(())
    })
}

/// The mutants of a store as text. Below `threshold` per cent caught is a failure.
#[must_use]
pub fn mutants_as_text(report: &MutantReport, threshold: f64) -> String {
    written(|text| {
        let percent = report.caught_percent();
        let mark = if report.is_success(threshold) { '✓' } else { '✗' };
        writeln!(
            text,
            "  {mark} mutants: {}, {} caught, {} survived ({percent:.2} % caught), {} equivalent, {} refused by validation",
            report.mutants.len(),
            report.count(|fate| matches!(fate, Fate::Caught { .. })),
            report.count(|fate| *fate == Fate::Survived),
            report.count(|fate| matches!(fate, Fate::Equivalent { .. })),
            report.count(|fate| matches!(fate, Fate::Refused { .. })),
        )?;
        for (mutant, fate) in &report.mutants {
            let (id, place, change) = (&mutant.id, &mutant.place, &mutant.change);
            match fate {
                Fate::Survived => writeln!(text, "    survived: {id}\n      {place}: {change}")?,
                Fate::Equivalent { reason } => {
                    writeln!(
                        text,
                        "    equivalent: {id}\n      {place}: {change}\n      {reason}"
                    )?;
                }
                Fate::Caught { .. } | Fate::Refused { .. } => {}
            }
        }
        for problem in &report.problems {
            writeln!(text, "{}", problem.render())?;
        }
        Ok(())
    })
}

/// The coverage of a store as text: what no case makes true, or false.
#[must_use]
pub fn coverage_as_text(report: &CoverageReport) -> String {
    written(|text| {
        let policies = &report.policies;
        let conditions = || policies.iter().flat_map(|policy| &policy.conditions);
        let applied = policies.iter().filter(|policy| policy.applied > 0).count();
        let made_true = conditions().filter(|condition| condition.made_true > 0).count();
        let made_false = conditions().filter(|condition| condition.made_false > 0).count();
        let mark = if policies.iter().any(PolicyCoverage::has_gaps) { '-' } else { '✓' };
        writeln!(
            text,
            "  {mark} coverage: {applied} of {} policies apply; of {} conditions {made_true} are \
             true and {made_false} false in a case",
            policies.len(),
            conditions().count(),
        )?;
        for policy in policies.iter().filter(|policy| policy.has_gaps()) {
            let file = policy.file.as_deref().unwrap_or_default();
            writeln!(text, "    {} ({file})", policy.id)?;
            match (policy.asked, policy.applied) {
                (0, _) => {
                    writeln!(text, "      no case asks for it")?;
                    continue;
                }
                (_, 0) => writeln!(text, "      never applies")?,
                _ => {}
            }
            for condition in policy.conditions.iter().filter(|condition| condition.has_gaps()) {
                let never = match (condition.made_true, condition.made_false) {
                    (0, 0) => "never reached",
                    (0, _) => "never true",
                    _ => "never false",
                };
                let line = condition.location.map_or(0, |location| location.line);
                let shown = condition.text.split_whitespace().collect::<Vec<_>>().join(" ");
                writeln!(text, "      {never}: line {line}: {}", shorten(&shown))?;
            }
        }
        Ok(())
    })
}

/// The reasons for exempt cells, each with the number of cells, in the order of the matrix.
fn exempt_by_reason(report: &TestReport) -> Vec<(&str, usize)> {
    let mut reasons: Vec<(&str, usize)> = Vec::new();
    for exempt in &report.exempt {
        match reasons.iter_mut().find(|(reason, _)| *reason == exempt.reason) {
            Some((_, cells)) => *cells += 1,
            None => reasons.push((&exempt.reason, 1)),
        }
    }
    reasons
}

fn counted(all: usize, failed: usize) -> String {
    let cases = if all == 1 { "case" } else { "cases" };
    if failed == 0 { format!("{all} {cases}") } else { format!("{all} {cases}, {failed} failed") }
}

fn written(write: impl FnOnce(&mut String) -> fmt::Result) -> String {
    let mut text = String::new();
    match write(&mut text) {
        Ok(()) => text,
        // Writing to a string does not fail.
        Err(fmt::Error) => text,
    }
}
