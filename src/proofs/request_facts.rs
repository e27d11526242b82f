//! Facts that hold of every request which the sidecar answers, and that the solver does not know.

use super::{
    moments,
    policies::{Environment, StaticPolicy},
    policy_view::PolicyView,
    slots,
};
use crate::schema::{Schema, StoredEntities};

/// Returns what holds of a kind of request and what those policies look at, as conditions in Cedar: what is
/// proved under them holds for every request. `stored` are the entities that the states hold which are asked
/// about. Each fact stands by itself: of one long condition the solver's compiler would make a term that
/// grows without measure.
pub(super) fn request_facts(
    schema: &Schema,
    stored: &[&StoredEntities],
    env: &Environment<'_>,
    policies: &[&StaticPolicy],
) -> Vec<String> {
    let view = PolicyView::of(schema, policies);
    let mut facts = slots::facts(&view, env);
    facts.extend(moments::facts(&view, env, stored));
    facts
}
