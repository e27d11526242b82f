//! The words of a store that a caller writes.

use std::collections::BTreeMap;

use cedar_policy_core::ast::EntityType;

use crate::{
    schema::{ActionSchema, EntityShape, Schema},
    store::{PolicyStore, SchemaDocs},
};

/// The words that callers of a policy store write in questions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vocabulary {
    /// The store's name.
    pub store: String,
    /// The actions by their type. A store with one namespace has one.
    pub actions: Vec<WordGroup>,
    /// The types of principals, resources and other entities, as short as they can be written.
    pub entity_types: Vec<Word>,
    /// The roles by the type of the scope on which they are held.
    pub roles: Vec<WordGroup>,
}

/// Words of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordGroup {
    /// The type of the actions or of the scope; empty for the store's own actions.
    pub of: String,
    /// The words, in order.
    pub words: Vec<Word>,
}

/// A word.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Word {
    /// The word as it is sent.
    pub text: String,
    /// A sentence on it, empty where there is none.
    pub doc: String,
}

impl Vocabulary {
    /// Returns the words of a store. An action that applies to nothing, being only a group of
    /// others, is left out, and so are the role types: nobody asks for either.
    #[must_use]
    pub fn of(store: &PolicyStore) -> Self {
        let words = Words { schema: store.schema(), docs: SchemaDocs::of(store.files()) };
        let mut shapes: Vec<_> = store.schema().entities().collect();
        shapes.sort_by_key(|shape| words.short(&shape.entity_type));
        let mut actions = BTreeMap::<String, Vec<Word>>::new();
        for action in store.schema().actions().filter(|action| is_asked(action)) {
            let (action_type, word) = words.action(action);
            actions.entry(action_type).or_default().push(word);
        }
        let entity_types =
            shapes.iter().filter(|shape| !words.schema.is_role_type(&shape.entity_type));
        Self {
            store: store.name().to_string(),
            actions: actions.into_iter().map(|(of, words)| WordGroup::new(of, words)).collect(),
            entity_types: entity_types.map(|shape| words.entity_type(shape)).collect(),
            roles: shapes.iter().filter_map(|shape| words.roles(shape)).collect(),
        }
    }
}

fn is_asked(action: &ActionSchema) -> bool {
    !action.principals.is_empty() && !action.resources.is_empty()
}

impl WordGroup {
    fn new(of: String, mut words: Vec<Word>) -> Self {
        words.sort();
        Self { of, words }
    }

    /// Describes a group of actions.
    pub(super) fn action_doc(&self) -> String {
        match self.of.as_str() {
            "" => "The actions that can be asked for.".to_owned(),
            of => format!("The actions of type `{of}` that can be asked for."),
        }
    }

    /// Describes the group of roles on a type of scope.
    pub(super) fn role_doc(&self) -> String {
        format!("The roles on `{}`.", self.of)
    }
}

struct Words<'a> {
    schema: &'a Schema,
    docs: SchemaDocs,
}

impl Words<'_> {
    /// The name of an entity type without the store's namespace, where that means the same.
    fn short(&self, entity_type: &EntityType) -> String {
        let short = entity_type.name().basename().to_string();
        match self.schema.entity_type(&short) {
            Some(meant) if meant == entity_type => short,
            _ => entity_type.to_string(),
        }
    }

    /// The type of an action, empty where it is the store's own, with the action's id.
    fn action(&self, action: &ActionSchema) -> (String, Word) {
        let (full, id): (_, &str) =
            (action.uid.entity_type().to_string(), action.uid.eid().as_ref());
        let doc = self.docs.action(&full, id).map(str::to_owned);
        let doc = doc.unwrap_or_else(|| {
            let mut resources: Vec<_> =
                action.resources.iter().map(|resource| self.short(resource)).collect();
            resources.sort_unstable();
            format!("On {}.", resources.join(", "))
        });
        let is_own = self.schema.action("", id).is_some_and(|own| own.uid == action.uid);
        (if is_own { String::new() } else { full }, Word { text: id.to_owned(), doc })
    }

    fn entity_type(&self, shape: &EntityShape) -> Word {
        let doc = self.docs.entity_type(&shape.entity_type.to_string()).unwrap_or_default();
        Word { text: self.short(&shape.entity_type), doc: doc.to_owned() }
    }

    fn roles(&self, shape: &EntityShape) -> Option<WordGroup> {
        let full = shape.entity_type.to_string();
        let word = |slot: &str| Word {
            text: slot.to_owned(),
            doc: self.docs.attribute(&full, slot).unwrap_or_default().to_owned(),
        };
        let words: Vec<_> = shape.slots.keys().map(|slot| word(slot.as_str())).collect();
        let group = WordGroup::new(self.short(&shape.entity_type), words);
        (!group.words.is_empty()).then_some(group)
    }
}
