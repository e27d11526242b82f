//! The paths of violations in AuthZEN's names.

use crate::request::{FieldPath, Violation};

/// The paths in the body from which the parts of a question were read.
#[derive(Debug, Default)]
pub(super) struct Paths {
    /// `subject` or `resource`, for each entity.
    pub entities: Vec<&'static str>,
    /// The facts of the context that `action.properties` has.
    pub of_action: Vec<String>,
    /// The place in `subject.properties.roles` of each role assignment.
    pub roles: Vec<usize>,
}

impl Paths {
    /// Names a violation that the core found by the field in which it was sent.
    pub fn rename(&self, violation: Violation) -> Violation {
        Violation { field: self.renamed(&violation.field), ..violation }
    }

    fn renamed(&self, field: &str) -> String {
        let (first, rest) = field.split_at(field.find(['.', '[']).unwrap_or(field.len()));
        match first {
            "principal" => format!("subject{rest}"),
            "action" if rest == ".id" => "action.name".to_owned(),
            "context" => format!("{}{rest}", self.source(field)),
            "entities" => {
                let (index, rest) = indexed(rest);
                let side = index.and_then(|index| self.entities.get(index)).unwrap_or(&"request");
                let rest = rest.strip_prefix(".uid").unwrap_or(rest);
                match rest.strip_prefix(".attributes") {
                    Some(rest) => format!("{side}.properties{rest}"),
                    None => format!("{side}{rest}"),
                }
            }
            "role_assignments" => {
                let (index, rest) = indexed(rest);
                let place = index.and_then(|index| self.roles.get(index));
                let place = place.map(|place| format!("[{place}]")).unwrap_or_default();
                format!("subject.properties.roles{place}{rest}")
            }
            _ => field.to_owned(),
        }
    }

    /// Returns where a fact of the context was sent.
    fn source(&self, field: &str) -> &'static str {
        let is_it = |name: &String| {
            let path = FieldPath::Of(&FieldPath::Field("context"), name).to_string();
            field
                .strip_prefix(path.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        if self.of_action.iter().any(is_it) { "action.properties" } else { "context" }
    }
}

/// Splits `[12].rest`.
fn indexed(rest: &str) -> (Option<usize>, &str) {
    let split = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match split.and_then(|(index, rest)| Some((index.parse().ok()?, rest))) {
        Some((index, rest)) => (Some(index), rest),
        None => (None, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_request() {
        let paths = Paths {
            entities: vec!["resource"],
            of_action: vec!["soft".to_owned(), "a b".to_owned()],
            roles: vec![0, 3],
        };
        for (field, renamed) in [
            ("principal.type", "subject.type"),
            ("action.id", "action.name"),
            ("resource.id", "resource.id"),
            ("entities[0].attributes.level[2].x", "resource.properties.level[2].x"),
            ("entities[0].uid.id", "resource.id"),
            ("context.soft", "action.properties.soft"),
            ("context.softer", "context.softer"),
            ("context[\"a b\"].c", "action.properties[\"a b\"].c"),
            ("role_assignments[1].scope.type", "subject.properties.roles[3].scope.type"),
            ("role_assignments", "subject.properties.roles"),
            ("request", "request"),
        ] {
            assert_eq!(paths.renamed(field), renamed, "{field}");
        }
    }
}
