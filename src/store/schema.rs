//! Reads the schema files of a store.

use std::collections::{HashMap, HashSet};

use cedar_policy::Schema as CedarSchema;
use cedar_policy_core::{
    ast::EntityType,
    extensions::Extensions,
    parser::Loc,
    validator::{
        RawName, SchemaError, ValidatorSchema, ValidatorSchemaFragment,
        json_schema::{EntityTypeKind, Fragment, Type, TypeVariant},
    },
};
use miette::Diagnostic;

use super::{
    Bounds, FileKind, StoreFiles, entities::json_problem, problems::Problems, schema_bounds,
};
use crate::{
    model::{self, Problem},
    schema::{Schema, SlotError},
};

/// The annotation that makes an entity type a role type.
const ROLE: &str = "role";
/// Entity types that may be annotated with it. There are one or two.
const ROLE_TYPES: usize = 100;

/// One schema file.
pub(super) struct SchemaFile<'a> {
    path: &'a str,
    text: &'a str,
    pub fragment: Fragment<RawName>,
}

/// Returns the schema of all schema files together, or nothing where there is a problem.
pub(super) fn read(
    files: &StoreFiles,
    bounds: &Bounds,
    warnings: &mut Problems,
    problems: &mut Problems,
) -> Option<Schema> {
    let found = problems.len();
    let read = read_files(files, warnings, problems);
    if problems.len() > found {
        return None;
    }
    if read.is_empty() {
        problems.push(
            Problem::of_file(files.name().as_str(), "the store has no schema")
                .with_help("add a file `schema.cedarschema`"),
        );
        return None;
    }
    let schema = SchemaFiles { store: files, files: &read };
    let excesses = schema_bounds::check(read.iter().map(|file| &file.fragment), bounds);
    problems.extend(excesses.into_iter().map(|excess| {
        schema.problem(excess.place.as_ref(), excess.message).with_help("split the schema")
    }));
    schema.clashes(problems);
    if problems.len() > found {
        return None;
    }
    let cedar = match schema.build() {
        Ok(cedar) => CedarSchema::from(cedar),
        Err(error) => {
            problems.extend(schema.diagnostic(&error));
            return None;
        }
    };
    let role_types = schema.role_types();
    if role_types.len() > ROLE_TYPES {
        let what = format!("{} entity types are annotated with `@role`", role_types.len());
        let message = format!("{what}, more than the bound of {ROLE_TYPES}");
        problems.push(schema.problem(None, message));
        return None;
    }
    match Schema::new(cedar, |entity_type| role_types.contains(&entity_type.to_string())) {
        Ok(schema) => Some(schema),
        Err(errors) => {
            for error in &errors {
                // To find the file takes looking through all of them, once for each problem that is kept.
                let shown = read.first().filter(|_| read.len() == 1);
                let shown =
                    shown.map_or_else(|| files.name().to_string(), |one| files.path(one.path));
                problems.add(&shown, || schema.slot_problem(error));
            }
            None
        }
    }
}

/// Reads each schema file by itself.
pub(super) fn read_files<'a>(
    files: &'a StoreFiles,
    warnings: &mut Problems,
    problems: &mut Problems,
) -> Vec<SchemaFile<'a>> {
    let mut read = Vec::new();
    for (path, text) in files.texts(FileKind::Schema, problems) {
        let shown = files.path(path);
        match Fragment::from_cedarschema_str(text, Extensions::all_available()) {
            Ok((fragment, found)) => {
                for one in found {
                    if warnings.has_room(&shown) {
                        warnings.extend(Problem::of_diagnostic(&files.shared_text(path), &one));
                    }
                }
                read.push(SchemaFile { path, text, fragment });
            }
            Err(error) => {
                problems.extend(Problem::of_diagnostic(&files.shared_text(path), &error));
            }
        }
    }
    for (path, text) in files.texts(FileKind::SchemaJson, problems) {
        // A repeated name is refused before Cedar keeps the last one.
        let fragment = model::json::parse(text)
            .and_then(|_| serde_json::from_str::<Fragment<RawName>>(text))
            .map_err(|error| json_problem(&files.shared_text(path), &error));
        match fragment {
            Ok(fragment) => read.push(SchemaFile { path, text, fragment }),
            Err(problem) => problems.push(problem),
        }
    }
    read
}

/// All schema files of a store.
struct SchemaFiles<'a> {
    store: &'a StoreFiles,
    files: &'a [SchemaFile<'a>],
}

impl SchemaFiles<'_> {
    #[expect(clippy::result_large_err, reason = "the error is Cedar's own")]
    fn build(&self) -> Result<ValidatorSchema, SchemaError> {
        let fragments = self.files.iter().map(|file| file.fragment.clone());
        let fragments: Result<Vec<_>, _> =
            fragments.map(ValidatorSchemaFragment::from_schema_fragment).collect();
        ValidatorSchema::from_schema_fragments(fragments?, Extensions::all_available())
    }

    /// The file that a place is in.
    fn file_of(&self, place: &Loc) -> Option<&SchemaFile<'_>> {
        self.files.iter().find(|file| *file.text == *place.src)
    }

    fn problem(&self, place: Option<&Loc>, message: String) -> Problem {
        match (place.and_then(|place| Some((place, self.file_of(place)?))), self.files) {
            (Some((place, file)), _) => {
                Problem::at(&self.store.shared_text(file.path), place.span, message)
            }
            (None, [file]) => Problem::of_file(self.store.path(file.path), message),
            (None, _) => Problem::of_file(self.store.name().as_str(), message),
        }
    }

    /// The problems that Cedar reports of all files together. A place is in one of them.
    fn diagnostic(&self, error: &SchemaError) -> Vec<Problem> {
        let label = error.labels().and_then(|mut labels| labels.next());
        let file = label.and_then(|label| {
            let source = error.source_code()?;
            self.files.iter().find(|file| {
                let whole = (0, file.text.len()).into();
                let read = source.read_span(&whole, 0, 0);
                read.is_ok_and(|read| read.data() == file.text.as_bytes())
                    && label.offset() <= file.text.len()
            })
        });
        match (file, self.files) {
            (Some(file), _) | (None, [file]) => {
                Problem::of_diagnostic(&self.store.shared_text(file.path), error)
            }
            _ => {
                let problem = Problem::of_file(self.store.name().as_str(), error.to_string());
                let help = error.help().map(|help| help.to_string());
                vec![match help {
                    Some(help) => problem.with_help(help),
                    None => problem,
                }]
            }
        }
    }

    /// Names that two files declare.
    fn clashes(&self, problems: &mut Problems) {
        let mut first: HashMap<(&str, String), &SchemaFile<'_>> = HashMap::new();
        for file in self.files {
            let shown = self.store.path(file.path);
            for (what, name, place) in declarations(&file.fragment) {
                let Some(other) = first.insert((what, name.clone()), file) else { continue };
                problems.add(&shown, || {
                    let other = self.store.path(other.path);
                    let message = format!(
                        "the {what} `{name}` is declared in two files: the other is {other}"
                    );
                    let problem = match place {
                        Some(place) => {
                            Problem::at(&self.store.shared_text(file.path), place.span, message)
                        }
                        None => Problem::of_file(&shown, message),
                    };
                    problem.with_help("keep one of the two")
                });
            }
        }
    }

    /// The full names of the entity types that are annotated with `@role`.
    fn role_types(&self) -> HashSet<String> {
        let definitions = self.files.iter().flat_map(|file| &file.fragment.0);
        let names = definitions.flat_map(|(namespace, definition)| {
            let is_role = |annotations: &cedar_policy_core::est::Annotations| {
                annotations.0.keys().any(|name| name.as_ref() == ROLE)
            };
            let declared = definition.entity_types.iter();
            declared.filter(move |(_, declared)| is_role(&declared.annotations)).map(
                move |(name, _)| match namespace {
                    Some(namespace) => format!("{namespace}::{name}"),
                    None => name.to_string(),
                },
            )
        });
        names.collect()
    }

    fn entity_types<'a>(
        &'a self,
        entity_type: &'a EntityType,
    ) -> impl Iterator<Item = &'a cedar_policy_core::validator::json_schema::EntityType<RawName>>
    {
        let namespace = entity_type.name().as_ref().namespace();
        let basename = entity_type.name().basename();
        self.files.iter().flat_map(|file| &file.fragment.0).filter_map(move |(name, definition)| {
            let is_it = name.as_ref().map(ToString::to_string).unwrap_or_default() == namespace;
            definition.entity_types.get(&basename).filter(|_| is_it)
        })
    }

    fn slot_problem(&self, error: &SlotError) -> Problem {
        let (SlotError::Optional { entity_type, attribute }
        | SlotError::Set { entity_type, attribute }
        | SlotError::Record { entity_type, attribute }) = error;
        let place = self.entity_types(entity_type).find_map(|declared| {
            let EntityTypeKind::Standard(standard) = &declared.kind else { return None };
            let attribute = match &standard.shape.0 {
                Type::Type { ty: TypeVariant::Record(record), .. } => {
                    record.attributes.get(attribute).and_then(|attribute| attribute.ty.loc())
                }
                _ => None,
            };
            attribute.or(declared.loc.as_ref())
        });
        self.problem(place, error.to_string()).with_help(
            "a role slot is one required attribute of the type itself: without `?`, and no `Set`",
        )
    }
}

/// A declaration of a fragment: its kind, its full name and its place.
fn declarations(
    fragment: &Fragment<RawName>,
) -> impl Iterator<Item = (&'static str, String, Option<&Loc>)> {
    fragment.0.iter().flat_map(|(namespace, definition)| {
        let prefix = namespace.as_ref().map(|name| format!("{name}::")).unwrap_or_default();
        let full = move |name: &dyn std::fmt::Display| format!("{prefix}{name}");
        let action = full.clone();
        let entity = full.clone();
        let common = definition.common_types.iter();
        let entities = definition.entity_types.iter();
        let actions = definition.actions.iter();
        common
            .map(move |(name, declared)| ("type", full(name), declared.loc.as_ref()))
            .chain(
                entities.map(move |(name, declared)| {
                    ("entity type", entity(name), declared.loc.as_ref())
                }),
            )
            .chain(actions.map(move |(id, declared)| {
                let name = action(&format!("Action::{:?}", id.as_str()));
                ("action", name, declared.loc.as_ref())
            }))
    })
}
