//! Reading the policies of a store.

use std::{collections::HashMap, ops::Range, str::FromStr};

use cedar_policy::{Policy, PolicyId, PolicySet, Template};
use miette::Diagnostic;
use serde_json::{Map, Value};

use super::{
    Bounds, FileKind, StoreFiles, link_forms::JsonLinks, open_text::open_text,
    parsed_policies::ParsedPolicies, policy_checks, problems::Problems, text_bounds,
    unchanged::Unchanged,
};
use crate::{
    model::{
        Problem,
        json::{self, Step},
    },
    schema::Schema,
};

/// Reads the policies of all files. Links in JSON files of policies are returned for later, when all
/// templates are known.
pub(super) fn read<'a>(
    files: &'a StoreFiles,
    problems: &mut Problems,
) -> (ParsedPolicies, Vec<JsonLinks<'a>>) {
    let mut parsed = read_texts(files, FileKind::Policies, problems);
    let mut links = Vec::new();
    for (path, text) in files.texts(FileKind::PoliciesJson, problems) {
        match json::parse(text) {
            Ok(value) => {
                let mut reader = PolicyReader { files, path, text, parsed: &mut parsed, problems };
                links.extend(reader.json(value));
            }
            Err(error) => {
                problems.push(super::json_problem(&files.shared_text(path), &error));
            }
        }
    }
    (parsed, links)
}

/// Reads the policies that are written in Cedar's own language.
fn read_texts(files: &StoreFiles, kind: FileKind, problems: &mut Problems) -> ParsedPolicies {
    let mut parsed = ParsedPolicies::default();
    for (path, text) in files.texts(kind, problems) {
        match PolicySet::from_str(text) {
            Ok(set) => PolicyReader { files, path, text, parsed: &mut parsed, problems }.text(&set),
            Err(error) => {
                let text = files.shared_text(path);
                problems.extend(open_text(&text));
                problems.extend(Problem::of_diagnostic(&text, &error));
            }
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
    let mut problems = Problems::default();
    text_bounds::check_invariants(files, bounds, &mut problems);
    if !problems.is_empty() {
        return Err(problems.into_vec());
    }
    problems.extend(files.unreadable(|path| path.starts_with("invariants")));
    let parsed = read_texts(files, FileKind::Invariants, &mut problems);
    let all = Unchanged::default();
    policy_checks::validate(files, schema, &parsed, all, None, bounds, &mut problems);
    if problems.is_empty() { Ok(parsed) } else { Err(problems.into_vec()) }
}

/// Reads one file.
struct PolicyReader<'a, 'p> {
    files: &'a StoreFiles,
    path: &'a str,
    text: &'a str,
    parsed: &'p mut ParsedPolicies,
    problems: &'p mut Problems,
}

impl<'a> PolicyReader<'a, '_> {
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
        let bytes = span.as_ref().map_or(self.text.len(), Range::len);
        self.parsed.template_bytes.insert(id.clone(), bytes);
        if self.parsed.files.contains_key(&id)
            || self.parsed.set.add_template(template.new_id(id.clone())).is_err()
        {
            self.clash(&id, span);
        } else {
            self.parsed.files.insert(id, self.path.to_owned());
        }
    }

    fn clash(&mut self, id: &PolicyId, span: Option<Range<usize>>) {
        let other = self.parsed.files.get(id).map_or("", String::as_str);
        let other = self.files.path(other);
        let (files, path) = (self.files, self.path);
        self.problems.add(&files.path(path), || {
            let message = format!("two policies have the id `{id}`: the other is in {other}");
            let text = files.shared_text(path);
            let problem = match span {
                Some(span) => Problem::at(&text, span, message),
                None => Problem::of_file(text.name(), message),
            };
            problem.with_help("give one of them another `@id`")
        });
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
                    let file = self.files.path(self.path);
                    for (id, policy) in policies {
                        if self.problems.leaves_rest(&file) {
                            break;
                        }
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
        let text = self.files.shared_text(self.path);
        let problems = Problem::of_diagnostic(&text, error);
        self.problems
            .extend(problems.into_iter().map(|problem| problem.or_at(&text, span.clone())));
    }

    fn json_problem(&mut self, place: &[Step], message: String) {
        let span = json::place(self.text, place);
        self.problems.push(Problem::at(&self.files.shared_text(self.path), span, message));
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
