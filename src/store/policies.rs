//! Reading and validating the policies of a store.

use std::{
    collections::{HashMap, HashSet},
    str::FromStr,
};

use cedar_policy::{PolicyId, PolicySet};
use miette::Diagnostic;

use super::{FileKind, StoreFiles, unchanged::Unchanged, validation, validation::Findings};
use crate::{
    model::{Problem, Text},
    schema::Schema,
};

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
        let id = name(policy.id(), annotated_id(policy.annotations()));
        let span = policy.as_ref().loc().map(|loc| (loc.start(), loc.end() - loc.start()));
        if parsed.files.contains_key(&id) || parsed.set.add(policy.new_id(id.clone())).is_err() {
            clash(&id, span, parsed);
        } else {
            parsed.files.insert(id, path.to_owned());
        }
    }
    for template in set.templates() {
        let id = name(template.id(), annotated_id(template.annotations()));
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

/// The `@id` of a policy. Asking Cedar for it by its name would parse that name each time.
fn annotated_id<'a>(mut annotations: impl Iterator<Item = (&'a str, &'a str)>) -> Option<&'a str> {
    annotations.find(|(name, _)| *name == "id").map(|(_, id)| id)
}

/// The id of a policy without `@id`: its file and its place in it, counted from 1. Cedar's parser
/// calls the policies of a text `policy0`, `policy1` and so on.
fn default_id(path: &str, parsed_id: &PolicyId) -> PolicyId {
    let id: &str = parsed_id.as_ref();
    let place =
        id.strip_prefix("policy").and_then(|n| n.parse::<usize>().ok()).unwrap_or_default() + 1;
    PolicyId::new(format!("{path}:{place}"))
}

/// Validates the policies that are not unchanged. Returns what Cedar only warns of, such as a policy
/// that can never apply.
pub(super) fn validate(
    files: &StoreFiles,
    schema: &Schema,
    parsed: &ParsedPolicies,
    unchanged: Unchanged<'_>,
    level: Option<u32>,
    problems: &mut Vec<Problem>,
) -> Vec<Problem> {
    let is_valid = |id: &PolicyId| unchanged.contains(&parsed.set, id);
    let Findings { errors, warnings } =
        validation::validate(schema.cedar(), &parsed.set, level, is_valid);
    let mut texts = HashMap::new();
    let mut told = |id: &PolicyId, diagnostic: &dyn Diagnostic| {
        // The mistake of a link shows in the text of its template.
        let template = parsed.set.policy(id).and_then(|policy| policy.template_id());
        let path = parsed.files.get(template.unwrap_or(id)).map_or("", String::as_str);
        let text = texts.entry(path).or_insert_with(|| {
            let text = files.get(path).and_then(|bytes| std::str::from_utf8(bytes).ok());
            Text::new(&files.path(path), text.unwrap_or_default())
        });
        Problem::of_diagnostic_in(text, diagnostic)
    };
    let errors = errors.iter().flat_map(|error| told(error.policy_id(), error));
    problems.extend(once_each(errors));
    once_each(warnings.iter().flat_map(|warning| told(warning.policy_id(), warning)))
}

/// Cedar reports a mistake once for each kind of request in which it shows.
fn once_each(problems: impl Iterator<Item = Problem>) -> Vec<Problem> {
    let mut seen = HashSet::new();
    problems.filter(|problem| seen.insert(problem.to_string())).collect()
}

pub(super) fn validate_set(
    schema: &Schema,
    set: &PolicySet,
    level: Option<u32>,
) -> Result<(), String> {
    let findings = validation::validate(schema.cedar(), set, level, |_| false);
    match findings.errors.first() {
        None => Ok(()),
        Some(error) => Err(error.to_string()),
    }
}
