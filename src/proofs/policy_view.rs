//! The facts of a request that the policies which are asked about can look at, as expressions of Cedar's.

use std::collections::BTreeSet;

use cedar_policy_core::ast::{EntityType, EntityUID};
use smol_str::SmolStr;

use super::policies::{Environment, StaticPolicy, named_attributes, named_entities};
use crate::{
    analysis::terms::{attribute, has},
    schema::{RecordShape, Schema, Shape},
};

/// Something that is reached, as an expression, with what must be there for it to have a value.
#[derive(Clone)]
pub(super) struct Reached<T> {
    pub expr: String,
    pub presence: Vec<String>,
    /// Its type.
    pub of: T,
}

/// The part of a schema that policies see, and the entities that they name.
pub(super) struct PolicyView<'a> {
    pub schema: &'a Schema,
    /// The attributes of those names.
    pub attributes: BTreeSet<SmolStr>,
    /// The entities that are named, roles among them.
    pub named: BTreeSet<EntityUID>,
}

impl<'a> PolicyView<'a> {
    pub fn of(schema: &'a Schema, policies: &[&StaticPolicy]) -> Self {
        let (attributes, named) = (named_attributes(policies), named_entities(policies));
        Self { schema, attributes, named }
    }

    /// Finds the entities that are principal, resource, named, or in a field of the context; those that
    /// attributes of theirs refer to; and those that attributes of these do.
    pub fn entities(&self, env: &Environment<'a>) -> Vec<Reached<&'a EntityType>> {
        let start = |expr: String, of| Reached { expr, presence: Vec::new(), of };
        let mut reached = vec![
            start("principal".to_owned(), env.principal),
            start("resource".to_owned(), env.resource),
        ];
        reached.extend(self.entities_in("context", &[], env.context));
        let named = self.named.iter().filter(|uid| !self.schema.is_role(uid));
        reached.extend(named.filter_map(|uid| {
            let own_type = self.schema.own_type(uid.entity_type())?;
            Some(start(uid.to_string(), own_type))
        }));
        for _ in 0..2 {
            let further: Vec<_> = reached
                .iter()
                .filter_map(|entity| Some((entity, self.schema.entity(entity.of)?)))
                .flat_map(|(entity, shape)| {
                    self.entities_in(&entity.expr, &entity.presence, &shape.attributes)
                })
                .collect();
            for entity in further {
                if reached.iter().all(|known| known.expr != entity.expr) {
                    reached.push(entity);
                }
            }
        }
        reached
    }

    /// Finds the entities in the fields of a record, but for roles.
    fn entities_in(
        &self,
        expr: &str,
        presence: &[String],
        record: &'a RecordShape,
    ) -> Vec<Reached<&'a EntityType>> {
        let fields = self.fields(expr, presence, record).into_iter();
        let entities = fields.filter_map(|Reached { expr, presence, of }| match of {
            Shape::Entity(ty) if !self.schema.is_role_type(ty) => {
                Some(Reached { expr, presence, of: &**ty })
            }
            _ => None,
        });
        entities.collect()
    }

    /// Finds the fields of a record that are looked at, and those of records in it.
    pub fn fields(
        &self,
        expr: &str,
        presence: &[String],
        record: &'a RecordShape,
    ) -> Vec<Reached<&'a Shape>> {
        let mut found = Vec::new();
        for (name, field) in &record.fields {
            if !self.attributes.contains(name) {
                continue;
            }
            let mut presence = presence.to_vec();
            if !field.required {
                presence.push(has(expr, name));
            }
            let expr = attribute(expr, name);
            if let Shape::Record(inner) = &field.shape {
                found.extend(self.fields(&expr, &presence, inner));
            }
            found.push(Reached { expr, presence, of: &field.shape });
        }
        found
    }
}
