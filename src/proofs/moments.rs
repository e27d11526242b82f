//! Conditions in Cedar that tell the solver which moments a request may have: those of the years 1 to 9999,
//! while Cedar's `datetime` reaches further in both directions.

use super::{
    policies::Environment,
    policy_view::{PolicyView, Reached},
};
use crate::{
    analysis::terms::given,
    model::Timestamp,
    schema::{Shape, StoredEntities},
};

/// The most moments of which it is said.
const MOST: usize = 16;

/// Returns what holds of the moments in a kind of request: of the context's, and of those of the entities
/// that are reached. A store may hold any moment, so nothing is said of types of which one holds something.
pub(super) fn facts(
    view: &PolicyView<'_>,
    env: &Environment<'_>,
    stored: &[&StoredEntities],
) -> Vec<String> {
    let mut fields = view.fields("context", &[], env.context);
    for entity in view.entities(env) {
        let is_held = stored.iter().any(|stored| stored.types().contains(entity.of));
        if let Some(shape) = view.schema.entity(entity.of).filter(|_| !is_held) {
            fields.extend(view.fields(&entity.expr, &entity.presence, &shape.attributes));
        }
    }
    let moments = fields.into_iter().filter(is_moment).take(MOST);
    let facts = moments.map(|Reached { expr, presence, .. }| {
        let (first, last) = (Timestamp::FIRST, Timestamp::LAST);
        let bounds = format!("{expr} >= datetime(\"{first}\") && {expr} <= datetime(\"{last}\")");
        given(&presence, &bounds)
    });
    facts.collect()
}

fn is_moment(field: &Reached<&Shape>) -> bool {
    matches!(field.of, Shape::Extension(name) if name == "datetime")
}
