//! Reads the schema files of a store.

use cedar_policy::{EntityNamespace, EntityTypeName, Schema as CedarSchema, SchemaFragment};

use super::{FileKind, StoreFiles};
use crate::{model::Problem, schema::Schema};

/// The annotation that makes an entity type a role type.
const ROLE: &str = "role";

/// Returns the schema of all schema files together, or nothing where there is a problem.
pub(super) fn read(files: &StoreFiles, problems: &mut Vec<Problem>) -> Option<Schema> {
    let found = problems.len();
    let texts = files.texts(FileKind::Schema, problems);
    if texts.is_empty() {
        problems.push(
            Problem::of_file(files.name().as_str(), "the store has no schema")
                .with_help("add a file `schema.cedarschema`"),
        );
        return None;
    }
    let mut fragments = Vec::new();
    for (path, text) in &texts {
        match SchemaFragment::from_cedarschema_str(text) {
            Ok((fragment, _warnings)) => fragments.push(fragment),
            Err(error) => problems.extend(Problem::of_diagnostic(&files.path(path), text, &error)),
        }
    }
    if problems.len() > found {
        return None;
    }
    // Errors across fragments carry a span of one file only where there is one file.
    let (path, text) = match texts.as_slice() {
        [(path, text)] => (files.path(path), *text),
        _ => (files.name().to_string(), ""),
    };
    let cedar = match CedarSchema::from_schema_fragments(fragments.iter().cloned()) {
        Ok(cedar) => cedar,
        Err(error) => {
            problems.extend(Problem::of_diagnostic(&path, text, &error));
            return None;
        }
    };
    match Schema::new(cedar, |entity_type| {
        let name = EntityTypeName::from(entity_type.clone());
        fragments.iter().any(|fragment| is_role_type(fragment, &name))
    }) {
        Ok(schema) => Some(schema),
        Err(errors) => {
            problems.extend(errors.iter().map(|error| {
                Problem::of_file(&path, error.to_string())
                    .with_help("a role slot is one required attribute: without `?`, and no `Set`")
            }));
            None
        }
    }
}

fn is_role_type(fragment: &SchemaFragment, name: &EntityTypeName) -> bool {
    let namespace: Option<EntityNamespace> = name.namespace().parse().ok();
    fragment.entity_type_annotation(namespace, name.basename(), ROLE).is_some()
}
