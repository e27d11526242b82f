//! The rows of a directory for another schema.

use std::sync::Arc;

use super::{Change, Directory, apply::Applying, row_check::RowCheck, rows::renamed};
use crate::{
    request::HeldPlace,
    schema::{Schema, StoredEntities},
};

impl Directory {
    /// Makes the same directory for another state of the store. The rows of entities are
    /// checked again, and of assignments the kinds: types of principal and scope, and role.
    #[must_use]
    pub fn with_schema(&self, schema: Arc<Schema>, stored: Arc<StoredEntities>) -> Self {
        let check = RowCheck::new(schema, stored, self.check.limits.clone());
        let means_another = |name: &str| check.schema.full_type_name(name) != name;
        if self.types.iter().any(|(_, record)| means_another(&record.name)) {
            return self.made_anew(check);
        }
        let mut next = Self { check: Arc::new(check), ..self.clone() };
        next.check_types();
        let has_changed = next.check_kinds();
        let mut next = next.check_rows();
        if has_changed {
            let places: Vec<HeldPlace> = next.order.iter().collect();
            places.into_iter().for_each(|place| next.update_visible(place));
        }
        next
    }

    /// Makes the directory of its rows, where names of types have come to mean others.
    fn made_anew(&self, check: RowCheck) -> Self {
        let entities = self.entities().map(Change::PutEntity);
        let rows = renamed(self.assignments().map(Change::Put).chain(entities), &check.schema);
        let RowCheck { schema, stored, limits } = check;
        let directory = Self::new(schema, stored, limits).apply(rows).0;
        Self { was_renamed: true, ..directory }
    }

    fn check_types(&mut self) {
        let types = self.types.iter().map(|(number, record)| {
            let entity_type = self.check.schema.entity_type(&record.name).cloned();
            (number, entity_type, self.check.namesakes(&record.name))
        });
        let types: Vec<_> = types.collect();
        let known = types.iter().filter_map(|(number, of, _)| Some((of.clone()?, *number)));
        self.type_numbers = Arc::new(known.collect());
        for (number, entity_type, namesakes) in types {
            if let Some(record) = self.types.get_mut(number) {
                (record.entity_type, record.namesakes) = (entity_type, namesakes);
            }
        }
    }

    /// Checks the kinds of assignments, and returns whether any of them is in force that was not, or
    /// the reverse.
    fn check_kinds(&mut self) -> bool {
        let kinds = self.kinds.iter();
        let changed = kinds.filter(|(_, kind)| self.kind_fits(kind) != kind.fits);
        let changed: Vec<_> = changed.map(|(number, _)| number).collect();
        for number in &changed {
            let Some(kind) = self.kinds.get_mut(*number) else { continue };
            let count = kind.uses as usize;
            kind.fits = !kind.fits;
            let ignored = &mut self.counts.ignored;
            *ignored = if kind.fits { *ignored - count } else { *ignored + count };
        }
        !changed.is_empty()
    }

    /// Checks the rows of entities.
    fn check_rows(&self) -> Self {
        let mut applying = Applying::new(self);
        for row in self.entities() {
            // Its faults were told when it came.
            let _ = applying.make(&Change::PutEntity(row));
        }
        applying.finish()
    }
}
