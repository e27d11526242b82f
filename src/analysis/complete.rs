//! Requests with every required fact: in place of one that is missing stands a plain value.

use smol_str::SmolStr;

use super::{
    fact::{Base, Place},
    names::entity_named,
};
use crate::{
    model::{Timestamp, Uid, Value},
    request::RequestInput,
    schema::{RecordShape, Schema, Shape},
};

/// Adds required facts that a request lacks, and returns where they are.
pub(super) fn completed(
    schema: &Schema,
    input: &RequestInput,
    now: Timestamp,
) -> (RequestInput, Vec<Place>) {
    let (mut input, mut added) = (input.clone(), Vec::new());
    let plain = Plain { schema, now };
    let action = input.action.as_ref().and_then(|uid| schema.action(&uid.type_name, &uid.id));
    if let Some(action) = action {
        let missing = plain.add_missing(&action.context, &mut input.context, &|name| {
            name == "now" && action.wants_now
        });
        added.extend(
            missing.into_iter().map(|name| Place { base: Base::Context, path: vec![name] }),
        );
    }
    for entity in &mut input.entities {
        let uid = entity.uid.as_ref().and_then(|uid| entity_named(schema, uid));
        let shape = uid.as_ref().and_then(|uid| schema.entity(uid.entity_type()));
        let Some((uid, shape)) = uid.zip(shape) else { continue };
        let missing = plain.add_missing(&shape.attributes, &mut entity.attributes, &|name| {
            shape.slots.contains_key(name)
        });
        let base = Base::Entity(uid);
        added
            .extend(missing.into_iter().map(|name| Place { base: base.clone(), path: vec![name] }));
    }
    (input, added)
}

/// Makes plain values.
struct Plain<'a> {
    schema: &'a Schema,
    now: Timestamp,
}

impl Plain<'_> {
    /// Adds the required fields that are missing, at every depth, and returns their names, of those
    /// on the top level.
    fn add_missing(
        &self,
        record: &RecordShape,
        fields: &mut Vec<(String, Value)>,
        is_filled: &dyn Fn(&str) -> bool,
    ) -> Vec<SmolStr> {
        for (name, value) in fields.iter_mut() {
            if let (Some(field), Value::Record(inner)) = (record.fields.get(name.as_str()), value)
                && let Shape::Record(shape) = &field.shape
            {
                self.add_missing(shape, inner, &|_| false);
            }
        }
        let is_there =
            |name: &str| is_filled(name) || fields.iter().any(|(field, _)| field == name);
        let missing: Vec<_> = record
            .missing(is_there)
            .map(|(name, shape)| (SmolStr::from(name), self.value(shape)))
            .collect();
        let added = missing.iter().map(|(name, value)| (name.to_string(), value.clone()));
        fields.extend(added.collect::<Vec<_>>());
        missing.into_iter().map(|(name, _)| name).collect()
    }

    fn value(&self, shape: &Shape) -> Value {
        match shape {
            Shape::Bool => Value::Bool(false),
            Shape::Long => Value::Long(0),
            Shape::String => Value::String("text".to_owned()),
            Shape::Entity(ty) => {
                let declared = self.schema.entity(ty).and_then(|shape| shape.ids.as_ref());
                let mut actions = self.schema.actions().map(|action| &action.uid);
                let action = actions.find(|action| action.entity_type() == &**ty);
                let id = match (declared.and_then(|ids| ids.iter().min()), action) {
                    (Some(id), _) => id.to_string(),
                    (None, Some(action)) => AsRef::<str>::as_ref(action.eid()).to_owned(),
                    (None, None) => "1".to_owned(),
                };
                Value::Entity(Uid::new(ty.to_string(), id))
            }
            Shape::Set(_) => Value::Set(Vec::new()),
            Shape::Record(record) => {
                let mut fields = Vec::new();
                self.add_missing(record, &mut fields, &|_| false);
                Value::Record(fields)
            }
            Shape::Extension(name) => match name.as_str() {
                "decimal" => Value::Decimal("0.0".to_owned()),
                "datetime" => Value::Datetime(self.now),
                "duration" => Value::Duration(0),
                _ => Value::Ip("192.0.2.1".to_owned()),
            },
        }
    }
}
