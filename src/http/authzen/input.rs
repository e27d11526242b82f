//! From a question of AuthZEN to one of the core.

use std::collections::BTreeSet;

use cedar_policy_core::ast::{Eid, EntityUID};

use super::{
    form::{AuthzenQuestion, Entity, Object},
    paths::Paths,
    values::ValueReader,
};
use crate::{
    model::{Timestamp, Uid, Value},
    reload::InForce,
    request::{EntityInput, FieldPath, Request, RequestInput, RequestLimits, Side, Violation},
    schema::{EntityShape, RecordShape, Schema},
    store::PolicyStore,
};

/// A question of the core, as far as it could be read.
#[derive(Debug)]
pub(super) struct ReadQuestion {
    pub input: RequestInput,
    /// The paths of properties that do not count, because they are held or because of `store.toml`.
    pub ignored: Vec<String>,
    violations: Vec<Violation>,
    paths: Paths,
}

/// A question that fits the schema.
pub(super) struct CheckedQuestion {
    pub request: Request,
    pub input: RequestInput,
    pub ignored: Vec<String>,
}

impl ReadQuestion {
    /// Reads a question by the schema of the store that will decide it.
    pub fn new(in_force: &InForce, question: &AuthzenQuestion<'_>, limits: &RequestLimits) -> Self {
        let mut reader = QuestionReader::new(in_force, limits);
        let mut input = RequestInput {
            principal: Some(question.subject.uid()),
            action: Some(Uid::action(&question.action.name)),
            resource: Some(question.resource.uid()),
            ..RequestInput::default()
        };
        input.entities = reader.entities(question.subject, question.resource);
        input.role_assignments = reader.roles(question.subject, question.resource);
        if let Some(action) = in_force.store.schema().action("", &question.action.name) {
            let properties = &question.action.properties;
            input.context = reader.context(properties, question.context, &action.context);
        }
        let QuestionReader { values, ignored, paths, .. } = reader;
        Self { input, ignored, violations: values.violations, paths }
    }

    /// Checks the question against the schema.
    ///
    /// # Errors
    /// Every violation, with its path in the request.
    pub fn check(
        self,
        in_force: &InForce,
        now: Timestamp,
        limits: &RequestLimits,
    ) -> Result<CheckedQuestion, Vec<Violation>> {
        let checked = in_force.store.check_with(in_force.held(), &self.input, now, limits);
        match checked {
            Ok(request) if self.violations.is_empty() => {
                Ok(CheckedQuestion { request, input: self.input, ignored: self.ignored })
            }
            checked => Err(self.violations(checked.err().unwrap_or_default())),
        }
    }

    /// Returns the question without one of its entities, and whether all of it could be read.
    pub fn leaving_open(self, open: Side) -> (RequestInput, bool) {
        let Self { mut input, violations, paths, .. } = self;
        let of_open = match open {
            Side::Principal => "subject",
            Side::Resource => "resource",
        };
        let entities = input.entities.into_iter().zip(&paths.entities);
        input.entities =
            entities.filter(|(_, side)| **side != of_open).map(|(entity, _)| entity).collect();
        match open {
            Side::Principal => input.principal = None,
            Side::Resource => input.resource = None,
        }
        (input, violations.is_empty())
    }

    /// Adds violations of the check to those of reading. What could not be read is missing in the check,
    /// and is not told again.
    pub fn violations(self, of_check: Vec<Violation>) -> Vec<Violation> {
        let mut all = self.violations;
        for violation in of_check {
            let violation = self.paths.rename(violation);
            let is_told = all.iter().any(|told| {
                told.field == violation.field
                    && (violation.description.starts_with("missing")
                        || told.description == violation.description)
            });
            if !is_told {
                all.push(violation);
            }
        }
        all
    }
}

/// Reads the parts of a question and gathers what is wrong with them.
pub(super) struct QuestionReader<'a> {
    pub store: &'a PolicyStore,
    in_force: &'a InForce,
    pub values: ValueReader,
    pub ignored: Vec<String>,
    pub paths: Paths,
}

impl<'a> QuestionReader<'a> {
    fn new(in_force: &'a InForce, limits: &RequestLimits) -> Self {
        Self {
            store: &in_force.store,
            in_force,
            values: ValueReader::new(limits.violations),
            ignored: Vec::new(),
            paths: Paths::default(),
        }
    }

    fn schema(&self) -> &'a Schema {
        self.store.schema()
    }

    pub fn shape(&self, type_name: &str) -> Option<&'a EntityShape> {
        let schema = self.schema();
        schema.entity(schema.entity_type(type_name)?)
    }

    /// Reads what is said of subject and resource. Where they are the same entity it is both.
    fn entities(&mut self, subject: &Entity, resource: &Entity) -> Vec<EntityInput> {
        let of_subject = self.entity("subject", subject);
        let of_resource = self.entity("resource", resource);
        let is_same = self.shape(&subject.type_name).is_some_and(|shape| {
            self.schema().entity_type(&resource.type_name) == Some(&shape.entity_type)
        }) && subject.id == resource.id;
        let entities = match (of_subject, of_resource) {
            (Some(subject), Some(resource)) if is_same => {
                vec![("subject", self.both(subject, resource))]
            }
            (subject, resource) => {
                let subject = subject.map(|entity| ("subject", entity));
                subject.into_iter().chain(resource.map(|entity| ("resource", entity))).collect()
            }
        };
        self.paths.entities = entities.iter().map(|(side, _)| *side).collect();
        entities.into_iter().map(|(_, entity)| entity).collect()
    }

    fn both(&mut self, mut subject: EntityInput, resource: EntityInput) -> EntityInput {
        for (name, value) in resource.attributes {
            match subject.attributes.iter().find(|(known, _)| *known == name) {
                None => subject.attributes.push((name, value)),
                Some((_, known)) if *known == value => {}
                Some(_) => self.values.violation(
                    &of_properties("resource", &name),
                    "subject and resource are the same entity, and the subject has another value",
                ),
            }
        }
        subject
    }

    /// Reads the attributes of an entity; nothing where there is nothing to say: its type is not known,
    /// or it is held and no property counts.
    fn entity(&mut self, side: &'static str, entity: &Entity) -> Option<EntityInput> {
        let shape = self.shape(&entity.type_name)?;
        if shape.ids.is_some() {
            return None;
        }
        let id = Eid::new(entity.id.as_str());
        let uid = EntityUID::from_components(shape.entity_type.clone(), id, None);
        let is_held = self.is_held(&uid);
        let mut attributes = Vec::new();
        for (name, json) in entity.properties.iter().filter(|(_, json)| !json.is_null()) {
            let field = shape.attributes.fields.get(name.as_str());
            let Some(field) = field.filter(|_| !shape.slots.contains_key(name.as_str())) else {
                continue;
            };
            let path = of_properties(side, name);
            if is_held && !self.is_overridable(shape, name) {
                self.ignored.push(path.to_string());
            } else if let Some(value) = self.values.value(&path, json, &field.shape) {
                attributes.push((name.clone(), value));
            }
        }
        if is_held && attributes.is_empty() {
            return None;
        }
        Some(EntityInput {
            uid: Some(entity.uid()),
            attributes,
            overrides: is_held,
            ..EntityInput::default()
        })
    }

    fn is_overridable(&self, shape: &EntityShape, name: &str) -> bool {
        self.store.authzen().is_overridable(self.schema(), &shape.entity_type, name)
    }

    /// Returns whether the store or its directory holds facts of an entity.
    fn is_held(&self, uid: &EntityUID) -> bool {
        let of_directory = || {
            let facts = &self.in_force.held()?.facts;
            let place = facts.place(uid)?;
            Some(facts.entity(place).is_some() || facts.is_unreadable(place))
        };
        self.store.stored().contains(uid) || of_directory() == Some(true)
    }

    /// Reads those facts of `action.properties` and `context` that an action declares.
    fn context(
        &mut self,
        properties: &Object,
        context: Option<&Object>,
        shape: &RecordShape,
    ) -> Vec<(String, Value)> {
        let empty = Object::new();
        let context = context.unwrap_or(&empty);
        let sent =
            |object: &Object, name: &str| object.get(name).is_some_and(|json| !json.is_null());
        let names: BTreeSet<_> = properties.keys().chain(context.keys()).collect();
        let declared =
            names.into_iter().filter_map(|name| Some((name, shape.fields.get(name.as_str())?)));
        let mut facts = Vec::new();
        for (name, field) in declared {
            let is_of_action = sent(properties, name);
            let path = if is_of_action { "action.properties" } else { "context" };
            let (path, object) =
                (FieldPath::Field(path), if is_of_action { properties } else { context });
            if is_of_action {
                self.paths.of_action.push(name.clone());
                if sent(context, name) && context.get(name) != properties.get(name) {
                    self.values.violation(
                        &FieldPath::Of(&FieldPath::Field("context"), name),
                        "`action.properties` has another value of that name: send it once",
                    );
                }
            }
            let Some(json) = object.get(name).filter(|json| !json.is_null()) else { continue };
            if let Some(value) = self.values.value(&FieldPath::Of(&path, name), json, &field.shape)
            {
                facts.push((name.clone(), value));
            }
        }
        facts
    }
}

/// Returns the path of a property.
pub(super) fn of_properties<'a>(side: &'static str, name: &'a str) -> FieldPath<'a> {
    let properties: &'static FieldPath<'static> = match side {
        "subject" => &FieldPath::Field("subject.properties"),
        _ => &FieldPath::Field("resource.properties"),
    };
    FieldPath::Of(properties, name)
}
