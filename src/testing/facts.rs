//! A set of facts: what a fixture, a case, or a column of the matrix says of a request.

use super::{
    node::{Node, TestField, TestPlace},
    table::{self, TestTable},
    value::value,
};
use crate::{
    model::{Timestamp, Uid},
    request::{EntityInput, RequestInput, RoleAssignmentInput},
    schema::{ActionSchema, EntityShape, Schema},
    store::Problems,
};

/// A set of facts.
#[derive(Debug, Clone, Default)]
pub(super) struct TestFacts {
    pub principal: Option<Uid>,
    pub resource: Option<Uid>,
    pub entities: Vec<EntityFact>,
    pub roles: Vec<RoleAssignmentInput>,
    /// Parents of the principal.
    pub groups: Vec<Uid>,
    pub context: Vec<TestField>,
    pub now: Option<Timestamp>,
}

/// The facts of one entity.
#[derive(Debug, Clone)]
pub(super) struct EntityFact {
    pub uid: Uid,
    pub attributes: Vec<TestField>,
    pub parents: Vec<Uid>,
    pub tags: Vec<TestField>,
}

impl TestFacts {
    /// Takes the facts out of a table; other keys stay in it.
    pub(super) fn take(table: &mut TestTable, problems: &mut Problems) -> Self {
        let entities = table.array("entities", problems);
        let roles = table.array("roles", problems);
        let groups = table.array("groups", problems);
        Self {
            principal: table.uid("principal", problems),
            resource: table.uid("resource", problems),
            entities: entities.into_iter().filter_map(|node| entity(node, problems)).collect(),
            roles: roles.into_iter().filter_map(|node| role(node, problems)).collect(),
            groups: groups.into_iter().filter_map(|node| table::uid(node, problems)).collect(),
            context: table.fields("context", problems),
            now: table.moment("now", problems),
        }
    }

    /// The facts of a table that holds nothing else.
    pub(super) fn read(node: Node, problems: &mut Problems) -> Option<Self> {
        let mut table = TestTable::new(node, problems)?;
        let facts = Self::take(&mut table, problems);
        table.finish(problems);
        Some(facts)
    }

    /// Lays other facts over these.
    pub(super) fn add(&mut self, other: &Self, schema: &Schema) {
        for entity in &other.entities {
            self.add_entity(entity, schema);
        }
        self.roles.extend(other.roles.iter().cloned());
        self.groups.extend(other.groups.iter().cloned());
        lay(&mut self.context, &other.context);
        replace(&mut self.principal, other.principal.as_ref());
        replace(&mut self.resource, other.resource.as_ref());
        replace(&mut self.now, other.now.as_ref());
    }

    fn add_entity(&mut self, entity: &EntityFact, schema: &Schema) {
        let uid = canonical(&entity.uid, schema);
        match self.entities.iter_mut().find(|known| canonical(&known.uid, schema) == uid) {
            Some(known) => {
                lay(&mut known.attributes, &entity.attributes);
                lay(&mut known.tags, &entity.tags);
                for parent in &entity.parents {
                    if !known.parents.contains(parent) {
                        known.parents.push(parent.clone());
                    }
                }
            }
            None => self.entities.push(entity.clone()),
        }
    }

    /// The facts that another column of the matrix may take over: what is true of entities and of
    /// the request, without who asks, on what and in which role.
    pub(super) fn circumstances(&self) -> Self {
        Self { entities: self.entities.clone(), context: self.context.clone(), ..Self::default() }
    }

    /// The request for an action on these facts.
    pub(super) fn request(&self, action: &Uid, schema: &Schema) -> RequestInput {
        let mut facts = self.clone();
        if let Some(principal) = self.principal.clone()
            && !self.groups.is_empty()
        {
            facts.add_entity(
                &EntityFact {
                    uid: principal,
                    attributes: Vec::new(),
                    parents: self.groups.clone(),
                    tags: Vec::new(),
                },
                schema,
            );
        }
        // One entity may have been named twice in one set of facts.
        let mut merged = Self::default();
        facts.entities.iter().for_each(|entity| merged.add_entity(entity, schema));
        let shape = schema.action(&action.type_name, &action.id);
        RequestInput {
            principal: self.principal.clone(),
            action: Some(action.clone()),
            resource: self.resource.clone(),
            context: context(&self.context, shape, schema),
            entities: merged.entities.iter().map(|entity| entity.input(schema)).collect(),
            role_assignments: self.roles.clone(),
        }
    }
}

impl EntityFact {
    fn input(&self, schema: &Schema) -> EntityInput {
        let shape: Option<&EntityShape> =
            schema.entity_type(&self.uid.type_name).and_then(|ty| schema.entity(ty));
        let attributes = self.attributes.iter().map(|field| {
            let declared = shape.and_then(|shape| shape.attributes.fields.get(field.name.as_str()));
            let shape = declared.map(|field| &field.shape);
            (field.name.clone(), value(&field.value, shape, schema))
        });
        let tag = shape.and_then(|shape| shape.tags.as_ref());
        let tags =
            self.tags.iter().map(|field| (field.name.clone(), value(&field.value, tag, schema)));
        EntityInput {
            uid: Some(self.uid.clone()),
            attributes: attributes.collect(),
            parents: self.parents.clone(),
            tags: tags.collect(),
            overrides: false,
        }
    }
}

fn context(
    fields: &[TestField],
    action: Option<&ActionSchema>,
    schema: &Schema,
) -> Vec<(String, crate::model::Value)> {
    let fields = fields.iter().map(|field| {
        let declared = action.and_then(|action| action.context.fields.get(field.name.as_str()));
        let shape = declared.map(|field| &field.shape);
        (field.name.clone(), value(&field.value, shape, schema))
    });
    fields.collect()
}

fn entity(node: Node, problems: &mut Problems) -> Option<EntityFact> {
    let mut table = TestTable::new(node, problems)?;
    let uid = match table.take("uid") {
        Some(node) => table::uid(node, problems),
        None => {
            problems.push(table.place().problem("an entity needs a `uid`, e.g. `'Site::\"42\"'`"));
            None
        }
    };
    let attributes = table.fields("attributes", problems);
    let parents = table.array("parents", problems);
    let parents = parents.into_iter().filter_map(|node| table::uid(node, problems)).collect();
    let tags = table.fields("tags", problems);
    table.finish(problems);
    Some(EntityFact { uid: uid?, attributes, parents, tags })
}

fn role(node: Node, problems: &mut Problems) -> Option<RoleAssignmentInput> {
    let mut table = TestTable::new(node, problems)?;
    let role = table.required_string("role", problems);
    let assignment = RoleAssignmentInput {
        principal: table.uid("principal", problems),
        role: role.map(|(role, _): (String, TestPlace)| role).unwrap_or_default(),
        scope: table.uid("scope", problems),
        expires_at: table.moment("expires_at", problems),
    };
    table.finish(problems);
    Some(assignment)
}

/// Lays fields over others: a later one replaces an earlier one of its name.
fn lay(fields: &mut Vec<TestField>, over: &[TestField]) {
    for field in over {
        match fields.iter_mut().find(|known| known.name == field.name) {
            Some(known) => *known = field.clone(),
            None => fields.push(field.clone()),
        }
    }
}

fn replace<T: Clone>(value: &mut Option<T>, by: Option<&T>) {
    if let Some(by) = by {
        *value = Some(by.clone());
    }
}

/// Qualifies a uid, since the same entity is written with and without the namespace.
fn canonical(uid: &Uid, schema: &Schema) -> Uid {
    schema
        .entity_type(&uid.type_name)
        .map_or_else(|| uid.clone(), |ty| Uid::new(ty.to_string(), &*uid.id))
}
