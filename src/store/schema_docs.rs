//! The `@doc` annotations of a schema, for those who write programs against it.

use std::collections::HashMap;

use cedar_policy_core::{
    est::Annotations,
    validator::json_schema::{EntityTypeKind, Type, TypeVariant},
};

use super::{StoreFiles, problems::Problems, schema};

/// The annotation whose text is shown to people.
const DOC: &str = "doc";

/// The texts of a schema's `@doc` annotations, by the full names of what they describe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchemaDocs {
    texts: HashMap<(String, String), String>,
}

impl SchemaDocs {
    /// Reads the schema files of a store; what cannot be read has no texts.
    #[must_use]
    pub fn of(files: &StoreFiles) -> Self {
        let read = schema::read_files(files, &mut Problems::default(), &mut Problems::default());
        let mut docs = Self::default();
        for (namespace, definition) in read.iter().flat_map(|file| &file.fragment.0) {
            let full = |name: &str| match namespace {
                Some(namespace) => format!("{namespace}::{name}"),
                None => name.to_owned(),
            };
            for (id, action) in &definition.actions {
                docs.add(&full("Action"), id, &action.annotations);
            }
            for (name, declared) in &definition.entity_types {
                let name = full(name.as_ref());
                docs.add(&name, "", &declared.annotations);
                let EntityTypeKind::Standard(standard) = &declared.kind else { continue };
                if let Type::Type { ty: TypeVariant::Record(record), .. } = &standard.shape.0 {
                    for (attribute, declared) in &record.attributes {
                        docs.add(&name, attribute, &declared.annotations);
                    }
                }
            }
        }
        docs
    }

    /// Returns the text of an action, by the full name of its type and its id.
    #[must_use]
    pub fn action(&self, action_type: &str, id: &str) -> Option<&str> {
        self.get(action_type, id)
    }

    /// Returns the text of an entity type.
    #[must_use]
    pub fn entity_type(&self, name: &str) -> Option<&str> {
        self.get(name, "")
    }

    /// Returns the text of an attribute of an entity type, a role slot for example.
    #[must_use]
    pub fn attribute(&self, entity_type: &str, attribute: &str) -> Option<&str> {
        self.get(entity_type, attribute)
    }

    fn get(&self, of: &str, part: &str) -> Option<&str> {
        self.texts.get(&(of.to_owned(), part.to_owned())).map(String::as_str)
    }

    fn add(&mut self, of: &str, part: &str, annotations: &Annotations) {
        let doc = annotations.0.iter().find(|(name, _)| name.as_ref() == DOC);
        if let Some((_, Some(text))) = doc {
            self.texts.insert((of.to_owned(), part.to_owned()), text.val.to_string());
        }
    }
}
