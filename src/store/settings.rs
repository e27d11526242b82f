//! `store.toml`: what a store says of itself.

use cedar_policy_core::ast::EntityType;
use serde::Deserialize;

use super::{FileKind, StoreFiles, problems::Problems};
use crate::{
    model::{Problem, Text},
    request::RequestFacts,
    schema::Schema,
};

/// The content of `store.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct StoreSettings {
    /// The level of Cedar's level validation that the policies must pass: how many attributes deep
    /// a policy may look into entities. Without it any depth is allowed.
    pub level: Option<u32>,
    /// The store's directory, if the sidecar keeps one.
    pub directory: DirectoryRules,
    /// The facts that questions in the form of AuthZEN may carry.
    pub authzen: AuthzenRules,
}

/// The table `authzen` of `store.toml`: what questions in the form of AuthZEN may say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthzenRules {
    /// The meaning of `subject.properties.roles` where the subject's type declares no such attribute.
    pub roles: RolesProperty,
    /// Attributes that a question may lay over those of held entities, as `Type.attribute`.
    pub overridable: Vec<String>,
}

/// The meaning of `subject.properties.roles`. In this order each believes callers more than the one
/// before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RolesProperty {
    /// No meaning: access tokens carry `roles` that mean something else.
    #[default]
    Ignore,
    /// Role assignments that name their scope.
    Assignments,
    /// Assignments, and bare names of roles on the resource of the question.
    AssignmentsAndBare,
}

impl RolesProperty {
    /// Returns the value as `store.toml` has it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::Assignments => "assignments",
            Self::AssignmentsAndBare => "assignments-and-bare",
        }
    }
}

impl AuthzenRules {
    /// Returns whether a question may lay an attribute over that of a held entity.
    #[must_use]
    pub fn is_overridable(&self, schema: &Schema, of: &EntityType, attribute: &str) -> bool {
        self.overridable.iter().any(|listed| {
            listed.rsplit_once('.').is_some_and(|(type_name, name)| {
                name == attribute && schema.entity_type(type_name) == Some(of)
            })
        })
    }

    /// Returns what is wrong with the first attribute that the schema does not have, with its text.
    pub(super) fn unknown<'a>(&'a self, schema: &Schema) -> Option<(&'a str, String)> {
        self.overridable.iter().find_map(|listed| {
            let shape = |type_name| schema.entity(schema.entity_type(type_name)?);
            let problem = match listed.rsplit_once('.') {
                None => format!("`{listed}` names no attribute: write `Type.attribute`"),
                Some((type_name, name)) => match shape(type_name) {
                    None => format!("the schema has no entity type `{type_name}`"),
                    Some(shape) if shape.slots.contains_key(name) => {
                        format!("`{listed}` is a role slot, which role assignments alone fill")
                    }
                    Some(shape) if !shape.attributes.fields.contains_key(name) => {
                        format!("`{type_name}` has no attribute `{name}`")
                    }
                    Some(_) => return None,
                },
            };
            Some((listed.as_str(), problem))
        })
    }
}

/// The table `directory` of `store.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DirectoryRules {
    /// The facts that callers may send beside those that the directory holds.
    pub request_facts: RequestFacts,
}

pub(super) fn read(files: &StoreFiles, problems: &mut Problems) -> StoreSettings {
    let Some((path, text)) = files.texts(FileKind::Settings, problems).into_iter().next() else {
        return StoreSettings::default();
    };
    toml::from_str(text).unwrap_or_else(|error| {
        problems.push(toml_problem(&files.shared_text(path), &error));
        StoreSettings::default()
    })
}

/// Reports attributes in the table `authzen` that the schema does not have.
pub(super) fn check(
    settings: &StoreSettings,
    files: &StoreFiles,
    schema: &Schema,
    problems: &mut Problems,
) {
    let Some((listed, problem)) = settings.authzen.unknown(schema) else { return };
    let Some((path, text)) = files.texts(FileKind::Settings, problems).into_iter().next() else {
        return;
    };
    let problem = format!("`authzen.overridable`: {problem}");
    let problem = match text.find(&format!("\"{listed}\"")) {
        Some(start) => {
            let span = start..start + listed.len() + 2;
            Problem::at(&files.shared_text(path), span, problem)
        }
        None => Problem::of_file(files.path(path), problem),
    };
    problems.push(problem);
}

/// The problem that the TOML parser reports of a file.
pub(crate) fn toml_problem(text: &Text, error: &toml::de::Error) -> Problem {
    match error.span() {
        Some(span) => Problem::at(text, span, error.message()),
        None if error.message().contains("recursion") => {
            let message = "tables and lists nest too deeply";
            Problem::at(text, deepest(text.text()), message)
                .with_help("write fewer of them in one another, and names with fewer dots")
        }
        None => Problem::of_file(text.name(), error.message()),
    }
}

/// The byte at which a TOML text nests deepest, counting the dots of a name.
fn deepest(text: &str) -> usize {
    let (mut brackets, mut dots) = (0_usize, 0_usize);
    let (mut deepest, mut place) = (0, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' | b'{' => brackets += 1,
            b']' | b'}' => brackets = brackets.saturating_sub(1),
            b'.' => dots += 1,
            b'\n' => dots = 0,
            _ => continue,
        }
        if brackets + dots > deepest {
            (deepest, place) = (brackets + dots, at);
        }
    }
    place
}
