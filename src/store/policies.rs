//! Reading and validating the policies of a store.

use std::{
    collections::{HashMap, HashSet},
    str::FromStr,
};

use cedar_policy::{
    Policy, PolicyId, PolicySet, Schema, Template, ValidationMode, ValidationResult, Validator,
};
use miette::Diagnostic;

use super::{FileKind, PolicyStore, StoreFiles, StoreSchema};
use crate::diagnostics::Problem;

/// The policies and templates of a store, and where each was written.
#[derive(Debug, Default)]
pub(super) struct ParsedPolicies {
    /// Everything under its final id.
    pub set: PolicySet,
    /// The file of each policy, template and link.
    pub files: HashMap<PolicyId, String>,
}

pub(super) fn read(files: &StoreFiles, problems: &mut Vec<Problem>) -> ParsedPolicies {
    let mut parsed = ParsedPolicies::default();
    for (path, text) in files.texts(FileKind::Policies, problems) {
        match PolicySet::from_str(text) {
            Ok(set) => add(files, path, text, &set, &mut parsed, problems),
            Err(error) => problems.extend(Problem::of_diagnostic(&files.path(path), text, &error)),
        }
    }
    parsed
}

fn add(
    files: &StoreFiles,
    path: &str,
    text: &str,
    set: &PolicySet,
    parsed: &mut ParsedPolicies,
    problems: &mut Vec<Problem>,
) {
    let name = |parsed_id: &PolicyId, id: Option<&str>| {
        id.filter(|id| !id.is_empty()).map_or_else(|| default_id(path, parsed_id), PolicyId::new)
    };
    let mut clash = |id: &PolicyId, span: Option<(usize, usize)>, parsed: &ParsedPolicies| {
        let other = parsed.files.get(id).cloned().unwrap_or_default();
        let message =
            format!("two policies have the id `{id}`: the other is in {}", files.path(&other));
        let problem = match span {
            Some(span) => {
                Problem::at(files.path(path), text, span, Some("this one".into()), message)
            }
            None => Problem::of_file(files.path(path), message),
        };
        problems.push(problem.with_help("give one of them another `@id`"));
    };
    for policy in set.policies() {
        let id = name(policy.id(), policy.annotation("id"));
        let span = policy.as_ref().loc().map(|loc| (loc.start(), loc.end() - loc.start()));
        if parsed.files.contains_key(&id) || parsed.set.add(policy.new_id(id.clone())).is_err() {
            clash(&id, span, parsed);
        } else {
            parsed.files.insert(id, path.to_owned());
        }
    }
    for template in set.templates() {
        let id = name(template.id(), template.annotation("id"));
        let span = template.as_ref().loc().map(|loc| (loc.start(), loc.end() - loc.start()));
        if parsed.files.contains_key(&id)
            || parsed.set.add_template(template.new_id(id.clone())).is_err()
        {
            clash(&id, span, parsed);
        } else {
            parsed.files.insert(id, path.to_owned());
        }
    }
}

/// The id of a policy without `@id`: its file and its place in it, counted from 1. Cedar's parser
/// calls the policies of a text `policy0`, `policy1` and so on.
fn default_id(path: &str, parsed_id: &PolicyId) -> PolicyId {
    let id: &str = parsed_id.as_ref();
    let place =
        id.strip_prefix("policy").and_then(|n| n.parse::<usize>().ok()).unwrap_or_default() + 1;
    PolicyId::new(format!("{path}:{place}"))
}

/// Validates the policies, but for those that are the same in `known`, where they are valid. What
/// Cedar only warns of, such as a policy that can never apply, is returned.
pub(super) fn validate(
    files: &StoreFiles,
    schema: &StoreSchema,
    parsed: &ParsedPolicies,
    known: Option<&PolicyStore>,
    level: Option<u32>,
    problems: &mut Vec<Problem>,
) -> Vec<Problem> {
    // Warnings have places that may have moved, so a store that has some is validated as a whole.
    let known = known.filter(|known| known.warnings().is_empty());
    let result = match known.and_then(|known| changed(&parsed.set, known.policies())) {
        Some(changed) => validation(schema.cedar(), &changed, level),
        None => validation(schema.cedar(), &parsed.set, level),
    };
    let told = |id: &PolicyId, diagnostic: &dyn Diagnostic| {
        // The mistake of a link shows in the text of its template.
        let template = parsed.set.policy(id).and_then(|policy| policy.template_id());
        let path = parsed.files.get(template.unwrap_or(id)).map_or("", String::as_str);
        let text = files.get(path).and_then(|bytes| std::str::from_utf8(bytes).ok());
        Problem::of_diagnostic(&files.path(path), text.unwrap_or_default(), diagnostic)
    };
    let errors = result.validation_errors().flat_map(|error| told(error.policy_id(), error));
    problems.extend(once_each(errors));
    let warnings =
        result.validation_warnings().flat_map(|warning| told(warning.policy_id(), warning));
    once_each(warnings)
}

/// The policies that are not the same in `known`; none where templates or links differ, which are
/// not told apart.
fn changed(set: &PolicySet, known: &PolicySet) -> Option<PolicySet> {
    fn links(set: &PolicySet) -> impl Iterator<Item = &Policy> {
        set.policies().filter(|policy| !policy.is_static())
    }
    let same = |policy: &Policy| known.policy(policy.id()) == Some(policy);
    let same_template = |template: &Template| known.template(template.id()) == Some(template);
    if !set.templates().all(same_template) || !links(set).all(same) {
        return None;
    }
    let changed = set.policies().filter(|policy| policy.is_static() && !same(policy));
    PolicySet::from_policies(changed.cloned()).ok()
}

/// Cedar reports a mistake once for each kind of request in which it shows.
fn once_each(problems: impl Iterator<Item = Problem>) -> Vec<Problem> {
    let mut seen = HashSet::new();
    problems.filter(|problem| seen.insert(problem.to_string())).collect()
}

pub(super) fn validate_set(
    schema: &StoreSchema,
    set: &PolicySet,
    level: Option<u32>,
) -> Result<(), String> {
    let result = validation(schema.cedar(), set, level);
    match result.validation_errors().next() {
        None => Ok(()),
        Some(error) => Err(error.to_string()),
    }
}

fn validation(schema: &Schema, set: &PolicySet, level: Option<u32>) -> ValidationResult {
    let validator = Validator::new(schema.clone());
    match level {
        Some(level) => validator.validate_with_level(set, ValidationMode::Strict, level),
        None => validator.validate(set, ValidationMode::Strict),
    }
}
