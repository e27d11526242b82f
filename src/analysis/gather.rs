//! The literals of policies, and the entities that these lead to.

use cedar_policy_core::ast::{EntityUID, Expr, ExprKind, Literal, PartialValue, Value};

use super::{
    constants::{Constants, is_nameless},
    literals::{self, Literals},
    world::entities_in,
};
use crate::{
    engine::{Engine, PreparedPolicy},
    model::{Timestamp, duration_millis},
};

/// Entities of one type that a store holds and that are tried.
const STORED: usize = 32;

/// Named entities, with those that they lead to.
const REACHED: usize = 1_000;

/// Sets and records that are tried because policies write them out.
const WHOLES: usize = 1_000;

impl Constants {
    /// Gathers the literals of all policies of the engines.
    pub(super) fn of<'a>(engines: impl IntoIterator<Item = &'a Engine>) -> Self {
        Self::of_named(engines, [])
    }

    /// Gathers the literals of all policies of the engines, and takes some entities as if policies
    /// named them.
    pub(super) fn of_named<'a>(
        engines: impl IntoIterator<Item = &'a Engine>,
        named: impl IntoIterator<Item = EntityUID>,
    ) -> Self {
        let mut constants = Self::default();
        constants.reached.extend(named);
        let engines: Vec<&Engine> = engines.into_iter().collect();
        for action in engines.iter().flat_map(|engine| engine.schema().actions()) {
            constants.principals.extend(action.principals.iter().cloned());
        }
        constants.gather_stored(&engines);
        for policy in engines.iter().flat_map(|engine| engine.slices().policies()) {
            constants.add_policy(policy);
        }
        constants.entities.retain(|uid| !is_nameless(uid));
        for engine in engines {
            constants.add_reachable(engine);
        }
        constants
    }

    /// Adds what named entities of the store lead to. Any other entity of the store shows no more than one
    /// that is made up.
    fn add_reachable(&mut self, engine: &Engine) {
        let mut pending: Vec<EntityUID> = self.entities.union(&self.reached).cloned().collect();
        while let Some(uid) = pending.pop() {
            let Some(stored) = engine.stored().get(&uid) else { continue };
            let mut found: Vec<EntityUID> = stored.ancestors().cloned().collect();
            for (_, value) in stored.attrs().chain(stored.tags()) {
                if let PartialValue::Value(value) = value {
                    entities_in(value, &mut found);
                }
            }
            let schema = engine.schema();
            for uid in found {
                let is_known = schema.entity(uid.entity_type()).is_some() && !schema.is_role(&uid);
                if is_known && self.reached.len() < REACHED && self.reached.insert(uid.clone()) {
                    pending.push(uid);
                }
            }
        }
    }

    pub(super) fn add_policy(&mut self, policy: &PreparedPolicy) {
        self.entities.extend(policy.variables().values().cloned());
        let scopes = [policy.principal(), policy.resource()];
        let named = scopes.iter().filter_map(|scope| scope.entity.as_deref().cloned());
        self.entities.extend(named);
        let mut elements = Literals::default();
        for expr in policy.condition().into_iter().flat_map(Expr::subexpressions) {
            self.add(expr);
            elements.add(expr);
        }
        for set in elements.sets() {
            self.add_whole(set);
        }
    }

    fn add_whole(&mut self, value: Value) {
        if self.wholes.len() >= WHOLES {
            self.wholes_left_out += 1;
        } else if !self.wholes.contains(&value) {
            self.wholes.push(value);
        }
    }

    fn gather_stored(&mut self, engines: &[&Engine]) {
        for engine in engines {
            for uid in engine.stored().uids() {
                if engine.schema().entity(uid.entity_type()).is_some() {
                    self.stored.entry(uid.entity_type().clone()).or_default().push(uid.clone());
                }
            }
        }
        for uids in self.stored.values_mut() {
            uids.sort_unstable();
            uids.dedup();
            uids.truncate(STORED);
        }
    }

    fn add(&mut self, expr: &Expr) {
        match expr.expr_kind() {
            ExprKind::Lit(Literal::Long(value)) => drop(self.longs.insert(*value)),
            ExprKind::Lit(Literal::String(text)) => self.texts.add(text),
            ExprKind::Lit(Literal::EntityUID(uid)) => drop(self.entities.insert((**uid).clone())),
            ExprKind::Like { pattern, .. } => self.texts.add_pattern(pattern),
            ExprKind::Set(_) | ExprKind::Record(_) => {
                if let Some(value) = literals::value_of(expr) {
                    self.add_whole(value);
                }
            }
            ExprKind::ExtensionFunctionApp { fn_name, args } => {
                let Some(ExprKind::Lit(Literal::String(text))) = args.first().map(Expr::expr_kind)
                else {
                    return;
                };
                match fn_name.to_string().as_str() {
                    "decimal" => drop(self.decimals.insert(text.to_string())),
                    "ip" => drop(self.ips.insert(text.to_string())),
                    "datetime" => {
                        let moment: Option<Timestamp> = text.parse().ok();
                        self.moments.extend(moment.map(Timestamp::as_millis));
                    }
                    "duration" => self.durations.extend(duration_millis(text)),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}
