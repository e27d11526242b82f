//! Checks of the policies of a store once they are read: they fit the schema, and the index of decisions
//! has places for them.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
};

use cedar_policy::{Policy, PolicyId, PolicySet};
use miette::Diagnostic;

use super::{
    Bounds, StoreFiles,
    bounds::more_than,
    parsed_policies::ParsedPolicies,
    problems::Problems,
    request_kinds::RequestKinds,
    unchanged::Unchanged,
    validation::{self, Findings, TooMuchWork},
};
use crate::{
    model::{Problem, Text},
    schema::Schema,
};

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
    let texts = PolicyTexts { files, parsed };
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

/// Refuses policies that together have too many places in the index of decisions, and returns whether it
/// did. Policies that differ in nothing but their ids are validated once, and each has its own places.
pub(super) fn too_many_places(
    files: &StoreFiles,
    schema: &Schema,
    parsed: &ParsedPolicies,
    bounds: &Bounds,
    problems: &mut Problems,
) -> bool {
    let kinds = RequestKinds::of(schema.cedar().as_ref());
    let mut places = 0_usize;
    let is_beyond = |policy: &&Policy| {
        places = places.saturating_add(kinds.places(policy.as_ref()));
        places > bounds.index_places
    };
    let Some(policy) = parsed.set.policies().find(is_beyond) else { return false };
    let what = format!(
        "the policies up to this one are to be looked at in {places} places (a policy counts for each \
         action that it is on, and once more for each kind of request where it names neither a \
         principal nor a resource)"
    );
    let message = more_than(&what, bounds.index_places, "index_places");
    let problem = PolicyTexts { files, parsed }.problem(policy.id(), message);
    problems.push(
        problem.with_help("name a principal or a resource, or declare fewer types for the actions"),
    );
    true
}

/// The texts in which policies are written.
pub(super) struct PolicyTexts<'a> {
    files: &'a StoreFiles,
    parsed: &'a ParsedPolicies,
}

impl<'a> PolicyTexts<'a> {
    pub(super) fn new(files: &'a StoreFiles, parsed: &'a ParsedPolicies) -> Self {
        Self { files, parsed }
    }

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
            let file = self.files.path(self.path(id));
            if problems.has_room(&file) {
                if seen.insert(hashes.hash_one((id, at, diagnostic.to_string()))) {
                    problems.extend(self.problems(id, diagnostic));
                }
            } else if seen.insert(hashes.hash_one((id, at))) {
                // A message can name a type of thousands of attributes: it is not written for nothing.
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
    pub(super) fn problem(&self, id: &PolicyId, message: String) -> Problem {
        let text = self.text(id);
        let place = self.parsed.places.get(id).cloned().or_else(|| {
            let policy = self.parsed.set.policy(id).and_then(|policy| policy.as_ref().loc());
            let template = || self.parsed.set.template(id)?.as_ref().loc();
            let loc = policy.or_else(template)?;
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

/// Validates policies that have no files. Returns the first error.
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
