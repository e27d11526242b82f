//! Reading and validating the policies of a store.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher as _, RandomState},
    ops::Range,
    str::FromStr,
};

use cedar_policy::{Policy, PolicyId, PolicySet, Template};
use miette::Diagnostic;
use serde_json::{Map, Value};

use super::{
    Bounds, FileKind, StoreFiles,
    bounds::more_than,
    links::JsonLinks,
    parsed_policies::ParsedPolicies,
    problems::Problems,
    request_kinds::RequestKinds,
    text_bounds,
    unchanged::Unchanged,
    validation::{self, Findings, TooMuchWork},
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
    problems: &mut Problems,
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
            Ok(set) => Reader { files, path, text, parsed: &mut parsed, problems }.text(&set),
            Err(error) => problems.extend(Problem::of_diagnostic(&files.shared_text(path), &error)),
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
    validate(files, schema, &parsed, all, None, bounds, &mut problems);
    if problems.is_empty() { Ok(parsed) } else { Err(problems.into_vec()) }
}

/// Reads one file.
struct Reader<'a, 'p> {
    files: &'a StoreFiles,
    path: &'a str,
    text: &'a str,
    parsed: &'p mut ParsedPolicies,
    problems: &'p mut Problems,
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
    problems: &mut Problems,
) -> Problems {
    let is_valid = |id: &PolicyId| unchanged.contains(&parsed.set, id);
    let texts = Texts { files, parsed };
    let mut warned = Problems::default();
    let found = |Findings { errors, warnings }: Findings| {
        let errors = errors.iter().map(|error| (error.policy_id(), error as &dyn Diagnostic));
        texts.report(errors, problems);
        let warnings = warnings.iter().map(|one| (one.policy_id(), one as &dyn Diagnostic));
        texts.report(warnings, &mut warned);
    };
    let done = validation::validate(
        schema.cedar(),
        &parsed.set,
        level,
        bounds.validation_steps,
        is_valid,
        found,
    );
    if let Err(error) = done {
        let (TooMuchWork::Steps { policy, .. } | TooMuchWork::StepsOfPolicy { policy, .. }) =
            &error;
        problems.push(
            texts.problem(policy, error.to_string()).with_help(
                "narrow the scope of the policies, or declare fewer types for the actions",
            ),
        );
    }
    warned
}

/// Refuses policies that together have too many places in the index of decisions. Policies that differ
/// in nothing but their ids are validated once, and each has its own places.
pub(super) fn check_index(
    files: &StoreFiles,
    schema: &Schema,
    parsed: &ParsedPolicies,
    bounds: &Bounds,
    problems: &mut Problems,
) {
    let kinds = RequestKinds::of(schema.cedar().as_ref());
    let mut places = 0_usize;
    for policy in parsed.set.policies() {
        places = places.saturating_add(kinds.places(policy.as_ref()));
        if places > bounds.index_places {
            let what = format!(
                "the policies up to this one are to be looked at in {places} places (a policy counts \
                 for each action that it is on, and once more for each kind of request where it names \
                 neither a principal nor a resource)"
            );
            let message = more_than(&what, bounds.index_places, "index_places");
            let problem = Texts { files, parsed }.problem(policy.id(), message);
            return problems.push(problem.with_help(
                "name a principal or a resource, or declare fewer types for the actions",
            ));
        }
    }
}

/// The texts in which policies are written.
struct Texts<'a> {
    files: &'a StoreFiles,
    parsed: &'a ParsedPolicies,
}

impl Texts<'_> {
    /// Reports what Cedar finds. It tells a mistake once for each kind of request in which it shows.
    fn report<'d>(
        &self,
        found: impl Iterator<Item = (&'d PolicyId, &'d dyn Diagnostic)>,
        problems: &mut Problems,
    ) {
        // The hash is enough to count what is told once, and the message would be kept with it.
        let (mut seen, hashes) = (HashSet::new(), RandomState::new());
        for (id, diagnostic) in found {
            let label = diagnostic.labels().and_then(|mut labels| labels.next());
            let at = label.map(|label| label.offset());
            if !seen.insert(hashes.hash_one((id, at, diagnostic.to_string()))) {
                continue;
            }
            let file = self.files.path(self.path(id));
            if problems.has_room(&file) {
                problems.extend(self.problems(id, diagnostic));
            } else {
                problems.add(&file, || Problem::of_file(&file, diagnostic.to_string()));
            }
        }
    }

    /// The problems that Cedar reports of a policy, template or link.
    fn problems(&self, id: &PolicyId, diagnostic: &dyn Diagnostic) -> Vec<Problem> {
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
        let problems = Problem::of_diagnostic(&text, diagnostic);
        match place {
            Some(span) => {
                problems.into_iter().map(|problem| problem.or_at(&text, span.clone())).collect()
            }
            None => problems,
        }
    }

    /// A problem at the place of a policy, template or link.
    fn problem(&self, id: &PolicyId, message: String) -> Problem {
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

    fn path(&self, id: &PolicyId) -> &str {
        self.parsed.files.get(id).map_or("", String::as_str)
    }

    fn text(&self, id: &PolicyId) -> Text {
        self.files.shared_text(self.path(id))
    }
}

pub(super) fn validate_set(
    schema: &Schema,
    set: &PolicySet,
    level: Option<u32>,
) -> Result<(), String> {
    // A variant that tests make of a valid store is as large as the store.
    let mut first = None;
    let found = |findings: Findings| {
        first = first.take().or_else(|| findings.errors.first().map(ToString::to_string));
    };
    validation::validate(schema.cedar(), set, level, usize::MAX, |_| false, found)
        .map_err(|too_much| too_much.to_string())?;
    first.map_or(Ok(()), Err)
}
