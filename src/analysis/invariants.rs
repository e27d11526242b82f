//! Invariants: what must hold of a store whatever its policies say.
//!
//! A file `invariants/*.cedar` holds policies that describe requests and decide nothing. Each is a
//! `permit` with an `@id` and one of `@never("…")`, no such request is allowed, and `@always("…")`,
//! every such request is allowed. The text says the rule in the reader's words.

use cedar_policy::{Effect, Policy, PolicyId};

use crate::{
    model::{Problem, Text},
    store::{Bounds, ParsedPolicies, PolicyStore, Problems},
};

/// One invariant.
#[derive(Debug, Clone)]
pub struct Invariant {
    /// Its `@id`.
    pub id: String,
    /// The claim about the requests that it describes.
    pub claim: Claim,
    /// The rule in words.
    pub text: String,
    /// The source of the rule: its `@doc`.
    pub doc: Option<String>,
    /// The file, relative to the store's folder.
    pub file: String,
    /// The line on which it begins, from 1.
    pub line: usize,
    /// The requests: those that this permit would allow.
    pub policy: Policy,
}

/// The claim of an invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// None of the requests is allowed.
    Never,
    /// All of the requests are allowed.
    Always,
}

impl Claim {
    /// Returns the name of the annotation.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Always => "always",
        }
    }
}

/// Reads the invariants of a store, in the order of files and lines.
///
/// # Errors
/// Every problem of every file of invariants, if there is one.
pub fn read_invariants(
    store: &PolicyStore,
    bounds: &Bounds,
) -> Result<Vec<Invariant>, Vec<Problem>> {
    let parsed = store.read_invariants(bounds)?;
    let mut problems = Problems::default();
    for template in parsed.set.templates() {
        let place = PolicyPlace::of(store, &parsed, template.id(), template.as_ref().loc());
        problems.push(place.problem("an invariant has no slots", "name the entity or its type"));
    }
    let policies = parsed.set.policies();
    let mut policies: Vec<_> = policies
        .map(|policy| (PolicyPlace::of(store, &parsed, policy.id(), policy.as_ref().loc()), policy))
        .collect();
    policies.sort_by_key(|(place, _)| (place.file, place.start));
    let mut invariants = Vec::new();
    for (place, policy) in policies {
        match invariant(policy, &place) {
            Ok(invariant) => invariants.push(invariant),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(invariants) } else { Err(problems.into_vec()) }
}

fn invariant(policy: &Policy, place: &PolicyPlace<'_>) -> Result<Invariant, Vec<Problem>> {
    let mut problems = Vec::new();
    if policy.effect() == Effect::Forbid {
        let help = "write `permit`: it describes the requests, and `@never` says that none of \
                    them is allowed";
        problems.push(place.problem("an invariant is no `forbid`", help));
    }
    let annotation = |name| policy.annotation(name).map(str::trim).filter(|text| !text.is_empty());
    if annotation("id").is_none() {
        problems.push(place.problem("an invariant needs an `@id`", "add `@id(\"…\")`"));
    }
    let claim = match (annotation("never"), annotation("always")) {
        (Some(text), None) => Some((Claim::Never, text)),
        (None, Some(text)) => Some((Claim::Always, text)),
        (None, None) => {
            let help = "add `@never(\"…\")` if no such request may be allowed, `@always(\"…\")` if \
                        each must be, with the rule in words";
            problems.push(place.problem("an invariant needs `@never` or `@always`", help));
            None
        }
        (Some(_), Some(_)) => {
            let message = "an invariant has one of `@never` and `@always`, and this has both";
            problems.push(place.problem(message, "make two of it"));
            None
        }
    };
    match claim {
        Some((claim, text)) if problems.is_empty() => Ok(Invariant {
            id: policy.id().to_string(),
            claim,
            text: text.to_owned(),
            doc: annotation("doc").map(str::to_owned),
            file: place.file.to_owned(),
            line: place.line(),
            policy: policy.clone(),
        }),
        _ => Err(problems),
    }
}

/// The place at which a policy is written.
struct PolicyPlace<'a> {
    file: &'a str,
    text: Text,
    start: usize,
    end: usize,
}

impl<'a> PolicyPlace<'a> {
    fn of(
        store: &PolicyStore,
        parsed: &'a ParsedPolicies,
        id: &PolicyId,
        loc: Option<&cedar_policy_core::parser::Loc>,
    ) -> Self {
        let file = parsed.files.get(id).map_or("", String::as_str);
        let (start, end) = loc.map_or((0, 0), |loc| (loc.start(), loc.end()));
        Self { file, text: store.files().shared_text(file), start, end }
    }

    fn line(&self) -> usize {
        self.text.line_number(self.start)
    }

    fn problem(&self, message: &str, help: &str) -> Problem {
        Problem::at(&self.text, self.start..self.end, message).with_help(help)
    }
}
