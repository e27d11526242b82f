//! Reading and validating the policies of a store.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    str::FromStr,
};

use cedar_policy::{Policy, PolicyId, PolicySet, Template};
use miette::Diagnostic;
use serde_json::{Map, Value};

use super::{
    Bounds, FileKind, StoreFiles,
    files::decode,
    links::JsonLinks,
    parsed_policies::ParsedPolicies,
    text_bounds,
    unchanged::Unchanged,
    validation::{self, Findings},
};
use crate::{
    model::{
        Problem, Text,
        json::{self, Step},
    },
    schema::Schema,
};

/// Reads the policies of all files. Links in JSON files of policies are returned for later, when all
/// templates are known.
pub(super) fn read<'a>(
    files: &'a StoreFiles,
    problems: &mut Vec<Problem>,
) -> (ParsedPolicies, Vec<JsonLinks<'a>>) {
    let mut parsed = read_texts(files, FileKind::Policies, problems);
    let mut links = Vec::new();
    for (path, text) in files.texts(FileKind::PoliciesJson, problems) {
        match json::parse(text) {
            Ok(value) => {
                let mut reader = Reader { files, path, text, parsed: &mut parsed, problems };
                links.extend(reader.json(value));
            }
            Err(error) => {
                problems.push(super::json_problem(&files.path(path), text, &error));
            }
        }
    }
    (parsed, links)
}

/// Reads the policies that are written in Cedar's own language.
fn read_texts(files: &StoreFiles, kind: FileKind, problems: &mut Vec<Problem>) -> ParsedPolicies {
    let mut parsed = ParsedPolicies::default();
    for (path, text) in files.texts(kind, problems) {
        match PolicySet::from_str(text) {
            Ok(set) => Reader { files, path, text, parsed: &mut parsed, problems }.text(&set),
            Err(error) => problems.extend(Problem::of_diagnostic(&files.path(path), text, &error)),
        }
    }
    parsed
}

/// Reads invariants and validates them as policies.
pub(super) fn read_invariants(
    files: &StoreFiles,
    schema: &Schema,
    bounds: &Bounds,
) -> Result<ParsedPolicies, Vec<Problem>> {
    let mut problems = Vec::new();
    text_bounds::check_invariants(files, bounds, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    problems.extend(files.unreadable(|path| path.starts_with("invariants")));
    let parsed = read_texts(files, FileKind::Invariants, &mut problems);
    let all = Unchanged::default();
    validate(files, schema, &parsed, all, None, bounds, &mut problems);
    if problems.is_empty() { Ok(parsed) } else { Err(problems) }
}

/// Reads one file.
struct Reader<'a, 'p> {
    files: &'a StoreFiles,
    path: &'a str,
    text: &'a str,
    parsed: &'p mut ParsedPolicies,
    problems: &'p mut Vec<Problem>,
}

impl<'a> Reader<'a, '_> {
    fn text(&mut self, set: &PolicySet) {
        for policy in set.policies() {
            let id = named(annotated_id(policy.annotations()))
                .unwrap_or_else(|| default_id(self.path, policy.id()));
            let span = policy.as_ref().loc().map(|loc| loc.start()..loc.end());
            self.policy(policy, id, span);
        }
        for template in set.templates() {
            let id = named(annotated_id(template.annotations()))
                .unwrap_or_else(|| default_id(self.path, template.id()));
            let span = template.as_ref().loc().map(|loc| loc.start()..loc.end());
            self.template(template, id, span);
        }
    }

    fn policy(&mut self, policy: &Policy, id: PolicyId, span: Option<Range<usize>>) {
        if self.parsed.files.contains_key(&id)
            || self.parsed.set.add(policy.new_id(id.clone())).is_err()
        {
            self.clash(&id, span);
        } else {
            self.parsed.files.insert(id, self.path.to_owned());
        }
    }

    fn template(&mut self, template: &Template, id: PolicyId, span: Option<Range<usize>>) {
        if self.parsed.files.contains_key(&id)
            || self.parsed.set.add_template(template.new_id(id.clone())).is_err()
        {
            self.clash(&id, span);
        } else {
            self.parsed.files.insert(id, self.path.to_owned());
        }
    }

    fn clash(&mut self, id: &PolicyId, span: Option<Range<usize>>) {
        let path = self.files.path(self.path);
        let other = self.parsed.files.get(id).cloned().unwrap_or_default();
        let other = self.files.path(&other);
        let message = format!("two policies have the id `{id}`: the other is in {other}");
        let problem = match span {
            Some(span) => Problem::at(path, self.text, span, Some("this one".into()), message),
            None => Problem::of_file(path, message),
        };
        self.problems.push(problem.with_help("give one of them another `@id`"));
    }

    /// Reads a policy set in Cedar's JSON form, or a single policy in it.
    fn json(&mut self, value: Value) -> Option<JsonLinks<'a>> {
        let Value::Object(mut members) = value else {
            self.json_problem(&[], "expected a policy set in Cedar's JSON form".to_owned());
            return None;
        };
        if members.contains_key("effect") {
            self.json_policy(PolicyId::new(self.path), Value::Object(members), 0..self.text.len());
            return None;
        }
        let renamed = renamed_templates(&members);
        for (group, read) in [
            ("staticPolicies", Self::json_policy as fn(&mut Self, _, _, _)),
            ("templates", Self::json_template),
        ] {
            match members.remove(group) {
                None => {}
                Some(Value::Object(policies)) => {
                    let place = json::place(self.text, &[Step::Name(group.to_owned())]);
                    let mut places: HashMap<_, _> =
                        json::children(self.text, place).into_iter().collect();
                    for (id, policy) in policies {
                        let new_id = PolicyId::new(&id);
                        let span = places.remove(&Step::Name(id)).unwrap_or_default();
                        read(self, new_id, policy, span);
                    }
                }
                Some(_) => {
                    let message = format!("`{group}` must hold policies by their ids");
                    self.json_problem(&[Step::Name(group.to_owned())], message);
                }
            }
        }
        let links = members.remove("templateLinks");
        for (name, _) in members {
            let message = format!(
                "unknown name `{name}`: a policy set has `staticPolicies`, `templates` and \
                 `templateLinks`"
            );
            self.json_problem(&[Step::Name(name)], message);
        }
        let links = JsonLinks::of_policy_set(self.path, self.text, links?, renamed);
        if links.is_none() {
            let place = [Step::Name("templateLinks".to_owned())];
            self.json_problem(&place, "`templateLinks` must be a list".to_owned());
        }
        links
    }

    fn json_policy(&mut self, id: PolicyId, policy: Value, span: Range<usize>) {
        match Policy::from_json(Some(id.clone()), policy) {
            Ok(policy) => {
                let id = named(annotated_id(policy.annotations())).unwrap_or(id);
                self.parsed.places.insert(id.clone(), span.clone());
                self.policy(&policy, id, Some(span));
            }
            Err(error) => self.json_error(span, &error),
        }
    }

    fn json_template(&mut self, id: PolicyId, template: Value, span: Range<usize>) {
        match Template::from_json(Some(id.clone()), template) {
            Ok(template) => {
                let id = named(annotated_id(template.annotations())).unwrap_or(id);
                self.parsed.places.insert(id.clone(), span.clone());
                self.template(&template, id, Some(span));
            }
            Err(error) => self.json_error(span, &error),
        }
    }

    fn json_error(&mut self, span: Range<usize>, error: &dyn Diagnostic) {
        let text = Text::new(&self.files.path(self.path), self.text);
        let problems = Problem::of_diagnostic_in(&text, error);
        self.problems
            .extend(problems.into_iter().map(|problem| problem.or_at(&text, span.clone())));
    }

    fn json_problem(&mut self, place: &[Step], message: String) {
        let span = json::place(self.text, place);
        self.problems.push(Problem::at(self.files.path(self.path), self.text, span, None, message));
    }
}

/// The `@id` of a policy. Asking Cedar for it by its name would parse that name each time.
fn annotated_id<'a>(mut annotations: impl Iterator<Item = (&'a str, &'a str)>) -> Option<&'a str> {
    annotations.find(|(name, _)| *name == "id").map(|(_, id)| id)
}

/// The templates of a policy set in JSON that have an `@id`, by the ids that the set gives them.
fn renamed_templates(policy_set: &Map<String, Value>) -> HashMap<String, String> {
    let templates = policy_set.get("templates").and_then(Value::as_object).into_iter().flatten();
    let named = templates.filter_map(|(id, template)| {
        let annotated = template.get("annotations")?.get("id")?.as_str()?;
        (!annotated.is_empty()).then(|| (id.clone(), annotated.to_owned()))
    });
    named.collect()
}

fn named(id: Option<&str>) -> Option<PolicyId> {
    id.filter(|id| !id.is_empty()).map(PolicyId::new)
}

/// The id of a policy without `@id`: its file and its place in it, counted from 1. Cedar's parser
/// calls the policies of a text `policy0`, `policy1` and so on.
fn default_id(path: &str, parsed_id: &PolicyId) -> PolicyId {
    let id: &str = parsed_id.as_ref();
    let place =
        id.strip_prefix("policy").and_then(|n| n.parse::<usize>().ok()).unwrap_or_default() + 1;
    PolicyId::new(format!("{path}:{place}"))
}

/// Warns of a store that can permit nothing.
pub(super) fn decide_nothing(files: &StoreFiles, parsed: &ParsedPolicies) -> Option<Problem> {
    if parsed.set.policies().next().is_some() {
        return None;
    }
    let (message, help) = if parsed.set.templates().next().is_some() {
        ("the store has templates and no links: it denies every request", "add `*.links.toml`")
    } else {
        ("the store has no policies: it denies every request", "add `*.cedar`")
    };
    Some(Problem::of_file(files.name().as_str(), message).with_help(help))
}

/// Validates the policies that are not unchanged. Returns what Cedar only warns of, such as a policy
/// that can never apply.
pub(super) fn validate(
    files: &StoreFiles,
    schema: &Schema,
    parsed: &ParsedPolicies,
    unchanged: Unchanged<'_>,
    level: Option<u32>,
    bounds: &Bounds,
    problems: &mut Vec<Problem>,
) -> Vec<Problem> {
    let is_valid = |id: &PolicyId| unchanged.contains(&parsed.set, id);
    let mut texts = Texts { files, parsed, by_path: HashMap::new() };
    match validation::validate(
        schema.cedar(),
        &parsed.set,
        level,
        bounds.validation_steps,
        is_valid,
    ) {
        Ok(Findings { errors, warnings }) => {
            let errors = errors.iter().flat_map(|error| texts.problems(error.policy_id(), error));
            problems.extend(once_each(errors));
            let warnings =
                warnings.iter().flat_map(|warning| texts.problems(warning.policy_id(), warning));
            once_each(warnings)
        }
        Err(too_much) => {
            problems.push(texts.problem(&too_much.policy, too_much.to_string()).with_help(
                "narrow the scope of the policies, or declare fewer types for the actions",
            ));
            Vec::new()
        }
    }
}

/// The texts of files, each kept once for all problems in it.
struct Texts<'a> {
    files: &'a StoreFiles,
    parsed: &'a ParsedPolicies,
    by_path: HashMap<&'a str, Text>,
}

impl Texts<'_> {
    /// The problems that Cedar reports of a policy, template or link.
    fn problems(&mut self, id: &PolicyId, diagnostic: &dyn Diagnostic) -> Vec<Problem> {
        let place = self.parsed.places.get(id).cloned();
        let is_link = self.parsed.set.policy(id).is_some_and(|policy| !policy.is_static());
        if is_link && place.is_some() {
            // The text that Cedar shows is the template's, which is right for other links.
            let problem = self.problem(id, diagnostic.to_string());
            let help = diagnostic.help().map(|help| help.to_string());
            return vec![match help {
                Some(help) => problem.with_help(help),
                None => problem,
            }];
        }
        let text = self.text(id);
        let problems = Problem::of_diagnostic_in(&text, diagnostic);
        match place {
            Some(span) => {
                problems.into_iter().map(|problem| problem.or_at(&text, span.clone())).collect()
            }
            None => problems,
        }
    }

    /// A problem at the place of a policy, template or link.
    fn problem(&mut self, id: &PolicyId, message: String) -> Problem {
        let text = self.text(id);
        let place = self.parsed.places.get(id).cloned().or_else(|| {
            let policy = self.parsed.set.policy(id);
            let loc = policy.and_then(|policy| policy.as_ref().loc())?;
            Some(loc.start()..loc.end())
        });
        let problem = Problem::of_file(text.name(), message);
        match place {
            Some(span) => problem.or_at(&text, span),
            None => problem,
        }
    }

    fn text(&mut self, id: &PolicyId) -> Text {
        let path = self.parsed.files.get(id).map_or("", String::as_str);
        let text = self.by_path.entry(path).or_insert_with(|| {
            let text = self.files.get(path).and_then(|bytes| decode(bytes).ok());
            Text::new(&self.files.path(path), text.unwrap_or_default())
        });
        text.clone()
    }
}

/// Cedar reports a mistake once for each kind of request in which it shows.
fn once_each(problems: impl Iterator<Item = Problem>) -> Vec<Problem> {
    let mut seen = HashSet::new();
    problems.filter(|problem| seen.insert(problem.key())).collect()
}

pub(super) fn validate_set(
    schema: &Schema,
    set: &PolicySet,
    level: Option<u32>,
) -> Result<(), String> {
    // A variant that tests make of a valid store is as large as the store.
    let findings = validation::validate(schema.cedar(), set, level, usize::MAX, |_| false);
    match findings {
        Ok(findings) => findings.errors.first().map_or(Ok(()), |error| Err(error.to_string())),
        Err(too_much) => Err(too_much.to_string()),
    }
}
