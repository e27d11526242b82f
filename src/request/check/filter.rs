//! Checks the names that narrow a list of what a directory holds.

use super::checker::{Checker, listed};
use crate::request::{FieldPath, Known, RequestLimits, Violation, shorten};

/// The names that narrow a list of what a directory holds.
#[derive(Debug, Clone, Default)]
pub struct FilterNames<'a> {
    /// Entity types, each with the field in which it was sent; the store's namespace may be missing.
    pub types: Vec<(&'static str, &'a str)>,
    /// A role.
    pub role: Option<&'a str>,
}

/// Checks that the schema has every name.
///
/// # Errors
/// A violation for each that it does not have, up to the limit on their number.
pub fn check_filter(
    known: Known<'_>,
    names: &FilterNames<'_>,
    limits: &RequestLimits,
) -> Result<(), Vec<Violation>> {
    let mut checker = Checker::new(known, limits);
    for (field, name) in &names.types {
        if known.schema.entity_type(name).is_none() {
            checker.no_entity_type(&FieldPath::Field(field), name);
        }
    }
    if let Some(role) = names.role {
        let slots = || known.schema.entities().flat_map(|shape| shape.slots.keys());
        if !slots().any(|slot| slot.as_str() == role) {
            let mut there_are: Vec<_> = slots().collect();
            there_are.sort_unstable();
            there_are.dedup();
            let (written, there_are) = (shorten(role), listed(there_are));
            let description = format!("no role `{written}` in the schema: there are {there_are}");
            checker.violation(&FieldPath::Field("role"), description);
        }
    }
    checker.finish(Some(()))
}
