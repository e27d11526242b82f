//! The kinds of requests that a schema allows, and what a policy costs by them.

use std::{cell::RefCell, collections::HashMap};

use cedar_policy_core::{
    ast::{ActionConstraint, BinaryOp, EntityUID, Expr, ExprKind, Policy, Template, Var},
    validator::{ValidatorSchema, types::Type},
};

/// Actions, and kinds of requests for them: pairs of the types of principal and resource.
#[derive(Debug, Clone, Copy, Default)]
struct KindCount {
    actions: usize,
    kinds: usize,
}

impl KindCount {
    fn plus(self, other: Self) -> Self {
        Self {
            actions: self.actions.saturating_add(other.actions),
            kinds: self.kinds.saturating_add(other.kinds),
        }
    }
}

/// Fields of a record type that Cedar's validator compares in the time of a step.
const FIELDS_A_STEP: usize = 4;

/// Counts the kinds of requests that a schema allows.
pub(super) struct RequestKinds<'a> {
    schema: &'a ValidatorSchema,
    by_action: HashMap<&'a EntityUID, usize>,
    all: KindCount,
    /// The parts of the largest type that an expression may have.
    widest_type: usize,
    /// The reach of a clause on one action or group, kept once it was counted.
    of_named: RefCell<HashMap<EntityUID, KindCount>>,
}

impl<'a> RequestKinds<'a> {
    pub fn of(schema: &'a ValidatorSchema) -> Self {
        let by_action: HashMap<_, _> = schema
            .action_ids()
            .map(|action| {
                let principals = action.applies_to_principals().count();
                (action.name(), principals.saturating_mul(action.applies_to_resources().count()))
            })
            .collect();
        let reach = |kinds: &usize| KindCount { actions: 1, kinds: *kinds };
        let all = by_action.values().map(reach).fold(KindCount::default(), KindCount::plus);
        let widest_type = widest_type(schema);
        Self { schema, by_action, all, widest_type, of_named: RefCell::default() }
    }

    /// Returns the steps of the validator: the parts of a condition, for each kind of request that the
    /// scope may allow; and every kind costs a look at the scope. A part that may be a record and is
    /// used as a whole is compared field by field, four fields a step.
    pub fn steps(&self, template: &Template) -> usize {
        let condition = template.non_scope_constraints();
        let parts = condition.map_or(0, |condition| {
            let (parts, wholes) = count_parts(condition);
            parts.saturating_add(wholes.saturating_mul(self.widest_type / FIELDS_A_STEP))
        });
        let in_scope = self.of_scope(template.action_constraint()).kinds;
        self.all.kinds.saturating_add(in_scope.saturating_mul(parts))
    }

    /// Returns the places that a policy has in the index of decisions: one for each action, and one for
    /// each kind of request where it names neither a principal nor a resource.
    pub fn places(&self, policy: &Policy) -> usize {
        let names = policy.principal_constraint().as_inner().get_euid().is_some()
            || policy.resource_constraint().as_inner().get_euid().is_some();
        let reach = self.of_scope(policy.action_constraint());
        let is_on_any = matches!(policy.action_constraint(), ActionConstraint::Any);
        let actions = if is_on_any { 1 } else { reach.actions };
        if names { actions } else { actions.saturating_add(reach.kinds) }
    }

    /// Returns the reach of the actions of a scope; some count twice where groups overlap.
    fn of_scope(&self, scope: &ActionConstraint) -> KindCount {
        match scope {
            ActionConstraint::Eq(action) => self.of_action(action),
            ActionConstraint::In(actions) => {
                let reach = actions.iter().map(|action| self.of_group(action));
                reach.fold(KindCount::default(), KindCount::plus)
            }
            _ => self.all,
        }
    }

    fn of_action(&self, action: &EntityUID) -> KindCount {
        KindCount { actions: 1, kinds: self.by_action.get(action).copied().unwrap_or(0) }
    }

    fn of_group(&self, group: &EntityUID) -> KindCount {
        if let Some(reach) = self.of_named.borrow().get(group) {
            return *reach;
        }
        let members = self.schema.get_action_id(group).into_iter();
        let members = members.flat_map(|group| group.descendants());
        let reach = members.map(|action| self.of_action(action));
        let reach = reach.fold(self.of_action(group), KindCount::plus);
        self.of_named.borrow_mut().insert(group.clone(), reach);
        reach
    }
}

/// Returns the parts of an expression, and how many of them may be records that are used as a whole.
fn count_parts(expression: &Expr) -> (usize, usize) {
    let may_be_record = |expression: &Expr| {
        matches!(
            expression.expr_kind(),
            ExprKind::Var(Var::Context)
                | ExprKind::GetAttr { .. }
                | ExprKind::BinaryApp { op: BinaryOp::GetTag, .. }
        )
    };
    let (mut parts, mut records, mut looked_into) = (0, 0, 0);
    for part in expression.subexpressions() {
        parts += 1;
        records += usize::from(may_be_record(part));
        if let ExprKind::GetAttr { expr, .. }
        | ExprKind::HasAttr { expr, .. }
        | ExprKind::ExtHasAttr { expr, .. } = part.expr_kind()
        {
            looked_into += usize::from(may_be_record(expr));
        }
    }
    (parts, records - looked_into)
}

/// Returns the parts of the largest type of a context, an attribute or a tag.
fn widest_type(schema: &ValidatorSchema) -> usize {
    let contexts = schema.action_ids().filter_map(|action| action.context_type());
    let of_entities = schema.entity_types().flat_map(|entity_type| {
        let attributes =
            entity_type.attributes().iter().map(|(_, attribute)| &*attribute.attr_type);
        attributes.chain(entity_type.tag_type())
    });
    contexts.chain(of_entities).map(parts_of_type).max().unwrap_or_default()
}

fn parts_of_type(of: &Type) -> usize {
    match of {
        Type::Record { attrs, .. } => {
            attrs.iter().map(|(_, attribute)| parts_of_type(&attribute.attr_type)).sum::<usize>()
                + 1
        }
        Type::Set { element_type: Some(element) } => parts_of_type(element) + 1,
        _ => 1,
    }
}
