//! A request without what a state of a store does not take.

use super::{Witness, names::entity_named, other_schema::is_alike};
use crate::{
    model::{Uid, Value},
    request::{EntityInput, RequestInput, RoleAssignmentInput},
    schema::{RecordShape, Schema, Shape},
    store::PolicyStore,
};

/// Returns a request to one state of a store as another can be asked it: about the same types, without the
/// facts that its schema does not declare, or declares of another type, and without descriptions of entities
/// that it holds itself.
pub(crate) fn taken_by(state: &PolicyStore, of: &PolicyStore, witness: &Witness) -> Witness {
    let mut witness = witness.clone();
    if std::ptr::eq(state, of) {
        return witness;
    }
    spell_out(&mut witness.input, of.schema(), state.schema());
    let is_held = |entity: &EntityInput| {
        let uid = entity.uid.as_ref().and_then(|uid| entity_named(state.schema(), uid));
        uid.is_some_and(|uid| state.stored().contains(&uid))
    };
    witness.input.entities.retain(|entity| !is_held(entity));
    if !state.has_schema_of(of) {
        let projection = Projection { schema: state.schema(), of: of.schema() };
        projection.narrow(&mut witness.input);
    }
    witness
}

/// Writes the types of a request in full where another schema may understand them otherwise, because it
/// leaves out another namespace.
pub(super) fn spell_out(input: &mut RequestInput, schema: &Schema, other: &Schema) {
    if schema.namespace() == other.namespace() {
        return;
    }
    let full = |uid: &mut Uid| uid.type_name = schema.full_type_name(&uid.type_name).to_string();
    if let Some(uid) = &mut input.action
        && let Some(action) = schema.action(&uid.type_name, &uid.id)
    {
        uid.type_name = action.uid.entity_type().to_string();
    }
    input.principal.iter_mut().chain(&mut input.resource).for_each(full);
    input.context.iter_mut().for_each(|(_, value)| spell_out_value(value, &full));
    for entity in &mut input.entities {
        entity.uid.iter_mut().chain(&mut entity.parents).for_each(full);
        let values = entity.attributes.iter_mut().chain(&mut entity.tags);
        values.for_each(|(_, value)| spell_out_value(value, &full));
    }
    for role in &mut input.role_assignments {
        role.principal.iter_mut().chain(&mut role.scope).for_each(full);
    }
}

fn spell_out_value(value: &mut Value, full: &impl Fn(&mut Uid)) {
    match value {
        Value::Entity(uid) => full(uid),
        Value::Set(values) => values.iter_mut().for_each(|one| spell_out_value(one, full)),
        Value::Record(fields) => {
            fields.iter_mut().for_each(|(_, field)| spell_out_value(field, full));
        }
        _ => {}
    }
}

struct Projection<'a> {
    schema: &'a Schema,
    of: &'a Schema,
}

impl Projection<'_> {
    fn narrow(&self, input: &mut RequestInput) {
        let context = |schema: &'_ Schema| {
            let uid = input.action.as_ref()?;
            schema.action(&uid.type_name, &uid.id).map(|action| action.context.as_ref().clone())
        };
        if let (Some(known), Some(was)) = (context(self.schema), context(self.of)) {
            retain(&mut input.context, &known, &was);
        }
        let is_known = |uid: &Option<Uid>| {
            uid.as_ref().is_none_or(|uid| entity_named(self.schema, uid).is_some())
        };
        input.entities.retain(|entity| is_known(&entity.uid));
        input.entities.iter_mut().for_each(|entity| self.narrow_entity(entity));
        let principal = input.principal.clone();
        let resource = input.resource.clone();
        input.role_assignments.retain(|role| self.knows_role(role, &principal, &resource));
    }

    fn narrow_entity(&self, entity: &mut EntityInput) {
        let shape = |schema: &'_ Schema| {
            let uid = entity_named(schema, entity.uid.as_ref()?)?;
            schema.entity(uid.entity_type()).cloned()
        };
        let (Some(known), Some(was)) = (shape(self.schema), shape(self.of)) else { return };
        retain(&mut entity.attributes, &known.attributes, &was.attributes);
        entity.attributes.retain(|(name, _)| !known.slots.contains_key(name.as_str()));
        if known.tags != was.tags {
            entity.tags.clear();
        }
        entity.parents.retain(|parent| {
            let parent = entity_named(self.schema, parent);
            parent.is_some_and(|parent| known.parents.contains(parent.entity_type()))
        });
    }

    fn knows_role(
        &self,
        role: &RoleAssignmentInput,
        principal: &Option<Uid>,
        resource: &Option<Uid>,
    ) -> bool {
        let named = |uid: &Option<Uid>, or: &Option<Uid>| {
            entity_named(self.schema, uid.as_ref().or(or.as_ref())?)
        };
        let (holder, scope) = (named(&role.principal, principal), named(&role.scope, resource));
        let Some((holder, scope)) = holder.zip(scope) else { return false };
        let shape = |ty| self.schema.entity(ty);
        let slot = shape(scope.entity_type()).and_then(|shape| shape.slots.get(role.role.as_str()));
        let parents = shape(holder.entity_type()).map(|shape| &shape.parents);
        slot.zip(parents).is_some_and(|(role_type, parents)| parents.contains(role_type))
    }
}

/// Keeps the fields that a record has as it had them.
fn retain(fields: &mut Vec<(String, Value)>, known: &RecordShape, was: &RecordShape) {
    fields.retain_mut(|(name, value)| {
        let declared = known.fields.get(name.as_str()).zip(was.fields.get(name.as_str()));
        let Some((known, was)) = declared else { return false };
        if let (Value::Record(inner), Shape::Record(known), Shape::Record(was)) =
            (value, &known.shape, &was.shape)
        {
            retain(inner, known, was);
        }
        is_alike(&known.shape, &was.shape)
    });
}
