//! The entities for which an action can be allowed at all, found without deciding for each: those that
//! the permits of the action ask for on the open side of a list's question.
//!
//! *Architecture Invariant:* narrowing never leaves out an entity for which a permit applies, or could
//! apply if a fact were sent that is missing. What it cannot follow narrows nothing.

use std::{cell::OnceCell, collections::HashSet};

use cedar_policy_core::ast::{EntityType, EntityUID, Literal, ValueKind};
use smol_str::SmolStr;

use super::{
    CompiledPolicies, CompiledPolicy, Condition, NeedsCedar, ScopeTest,
    eval::Evaluator,
    expr::{Elements, Expr, RoleRef, Target},
    facts::CompiledFacts,
    value::Val,
};
use crate::{
    engine::slices::Slices,
    request::{ListRequest, Side},
    schema::{Schema, Shape},
};

/// The entities for which something can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) enum Narrowing<'a> {
    /// Every entity of the type.
    All,
    /// The entities of these sources, and no other.
    Among(Vec<CandidateSource<'a>>),
}

/// The source of entities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum CandidateSource<'a> {
    /// One entity.
    Entity(&'a EntityUID),
    /// An entity and everything that is in it.
    Under(&'a EntityUID),
    /// The holders of a role and everything that is in them.
    Holders(RoleRef<'a>),
    /// The scopes on which an entity has a role, by itself or by what it is in.
    Scopes {
        /// The entity.
        holder: &'a EntityUID,
        /// The role.
        slot: &'a str,
    },
    /// The entities that name such a scope in an attribute.
    Naming {
        /// The attribute.
        attribute: &'a str,
        /// The holder of the role.
        holder: &'a EntityUID,
        /// The role.
        slot: &'a str,
    },
}

impl<'a> Narrowing<'a> {
    const NONE: Self = Self::Among(Vec::new());

    fn of(source: CandidateSource<'a>) -> Self {
        Self::Among(vec![source])
    }

    /// Returns no entity where a test is false, and every entity where it is true or only Cedar can
    /// tell.
    fn unless_false(test: Result<bool, NeedsCedar>) -> Self {
        if test == Ok(false) { Self::NONE } else { Self::All }
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Among(mut sources), Self::Among(more)) => {
                for source in more {
                    if !sources.contains(&source) {
                        sources.push(source);
                    }
                }
                Self::Among(sources)
            }
            _ => Self::All,
        }
    }

    /// Returns the narrower of two conditions that both have to hold.
    fn and(self, other: Self) -> Self {
        if other.width() < self.width() { other } else { self }
    }

    fn width(&self) -> usize {
        let width = |source: &CandidateSource<'_>| match source {
            CandidateSource::Entity(_) => 1,
            CandidateSource::Scopes { .. } | CandidateSource::Holders(_) => 10,
            CandidateSource::Under(_) => 100,
            CandidateSource::Naming { .. } => 1_000,
        };
        match self {
            Self::All => usize::MAX,
            Self::Among(sources) => sources.iter().map(width).sum(),
        }
    }
}

impl CompiledPolicies {
    /// Narrows the entities for which a permit can apply to the question of a list.
    pub(in crate::engine) fn narrow<'a>(
        &'a self,
        slices: &Slices,
        schema: &'a Schema,
        facts: &CompiledFacts<'a>,
        list: &'a ListRequest,
    ) -> Narrowing<'a> {
        if schema.is_role_type(list.entity_type()) {
            return Narrowing::All;
        }
        let evaluation = Evaluator::new(facts);
        let of_list = ListNarrowing { schema, facts, list, evaluation, held: OnceCell::new() };
        let policies = slices.of_action(&list.shared().action).chain(slices.of_any());
        let mut narrowing = Narrowing::NONE;
        for prepared in policies.filter(|policy| !policy.is_forbid()) {
            let Some(policy) = self.policies.get(prepared.index() as usize) else {
                return Narrowing::All;
            };
            narrowing = narrowing.or(of_list.policy(policy));
            if narrowing == Narrowing::All {
                break;
            }
        }
        narrowing
    }
}

/// Narrows the entities of one list.
struct ListNarrowing<'f, 'a> {
    schema: &'a Schema,
    facts: &'f CompiledFacts<'a>,
    list: &'a ListRequest,
    evaluation: Evaluator<'f, 'a>,
    /// The slots that the known side holds, each with the type of a scope on which it does.
    held: OnceCell<HashSet<(SmolStr, EntityType)>>,
}

impl<'a> ListNarrowing<'_, 'a> {
    fn known(&self) -> &'a EntityUID {
        let shared = self.list.shared();
        match self.list.open() {
            Side::Principal => &shared.resource,
            Side::Resource => &shared.principal,
        }
    }

    fn policy(&self, policy: &'a CompiledPolicy) -> Narrowing<'a> {
        let (open, known) = match self.list.open() {
            Side::Principal => (&policy.principal, &policy.resource),
            Side::Resource => (&policy.resource, &policy.principal),
        };
        if known.holds(self.facts, self.known()) == Ok(false) {
            return Narrowing::NONE;
        }
        let of_scope = self.scope(open);
        match &policy.condition {
            Condition::Compiled(condition) => of_scope.and(self.condition(condition)),
            Condition::Always | Condition::CedarOnly => of_scope,
        }
    }

    fn scope(&self, scope: &'a ScopeTest) -> Narrowing<'a> {
        if scope.entity_type.as_deref().is_some_and(|ty| ty != self.list.entity_type()) {
            return Narrowing::NONE;
        }
        match &scope.target {
            Some(Target::Entity(entity)) if scope.exact => {
                Narrowing::of(CandidateSource::Entity(entity))
            }
            Some(Target::Entity(entity)) => Narrowing::of(CandidateSource::Under(entity)),
            Some(Target::Role(role)) if !scope.exact => {
                Narrowing::of(CandidateSource::Holders(role.borrowed()))
            }
            Some(Target::Role(_) | Target::UnknownRole) | None => Narrowing::All,
        }
    }

    /// Returns the entities for which a condition can be true.
    fn condition(&self, condition: &'a Expr) -> Narrowing<'a> {
        if self.is_closed(condition) {
            return Narrowing::unless_false(self.evaluation.test(condition));
        }
        match condition {
            Expr::All(operands) => operands
                .iter()
                .fold(Narrowing::All, |all, operand| all.and(self.condition(operand))),
            Expr::Any(operands) => operands
                .iter()
                .fold(Narrowing::NONE, |any, operand| any.or(self.condition(operand))),
            Expr::If(parts) => {
                let [test, then, otherwise] = &**parts;
                if self.is_closed(test) && self.evaluation.test(test) == Ok(true) {
                    return self.condition(then);
                }
                self.condition(test).and(self.condition(then)).or(self.condition(otherwise))
            }
            Expr::Is(operand, entity_type) if self.is_open(operand) => {
                Narrowing::unless_false(Ok(**entity_type == *self.list.entity_type()))
            }
            Expr::Equal(operands) => match &**operands {
                [open, other] | [other, open] if self.is_open(open) => self.equal_to(other),
                _ => Narrowing::All,
            },
            Expr::Contains(set, element) if self.is_open(element) => self.one_of(set),
            Expr::In(open, of) if self.is_open(open) => {
                let parts = of.parts().iter();
                parts.fold(Narrowing::NONE, |any, part| any.or(self.within(part)))
            }
            Expr::In(known, of) if self.is_closed(known) => match self.evaluation.value(known) {
                Ok(Val::Entity(known)) => {
                    let parts = of.parts().iter();
                    parts.fold(Narrowing::NONE, |any, part| any.or(self.reaching(known, part)))
                }
                _ => Narrowing::All,
            },
            _ => Narrowing::All,
        }
    }

    /// Narrows `open == other`.
    fn equal_to(&self, other: &'a Expr) -> Narrowing<'a> {
        if !self.is_closed(other) {
            return Narrowing::All;
        }
        match self.evaluation.value(other) {
            Ok(Val::Entity(entity)) => Narrowing::of(CandidateSource::Entity(entity)),
            // The open side is no Role.
            Ok(_) => Narrowing::NONE,
            Err(NeedsCedar) => Narrowing::All,
        }
    }

    /// Narrows `set.contains(open)`.
    fn one_of(&self, set: &'a Elements) -> Narrowing<'a> {
        match set {
            Elements::Listed(items) => {
                items.iter().fold(Narrowing::NONE, |any, item| any.or(self.equal_to(item)))
            }
            Elements::Of(set) => self.elements(set, CandidateSource::Entity),
        }
    }

    /// Narrows `open in other`.
    fn within(&self, other: &'a Expr) -> Narrowing<'a> {
        if !self.is_closed(other) {
            return Narrowing::All;
        }
        match self.evaluation.value(other) {
            Ok(Val::Entity(entity)) => Narrowing::of(CandidateSource::Under(entity)),
            Ok(Val::Role(role)) => Narrowing::of(CandidateSource::Holders(role)),
            _ => self.elements(other, CandidateSource::Under),
        }
    }

    /// Returns a source for each element of a set of entities.
    fn elements(
        &self,
        set: &'a Expr,
        source: impl Fn(&'a EntityUID) -> CandidateSource<'a>,
    ) -> Narrowing<'a> {
        if !self.is_closed(set) {
            return Narrowing::All;
        }
        let Ok(Val::Set(set)) = self.evaluation.value(set) else { return Narrowing::All };
        let sources = set.authoritative.iter().map(|element| match &element.value {
            ValueKind::Lit(Literal::EntityUID(uid)) if !self.schema.is_role(uid) => {
                Some(source(uid))
            }
            _ => None,
        });
        sources.collect::<Option<_>>().map_or(Narrowing::All, Narrowing::Among)
    }

    /// Narrows `known in part`, where the part may look at the open side.
    fn reaching(&self, known: &'a EntityUID, part: &'a Expr) -> Narrowing<'a> {
        let Ok(closure) = self.facts.closure(known) else { return Narrowing::All };
        if self.is_open(part) {
            let entities = closure.entities().iter().copied();
            return Narrowing::Among(entities.map(CandidateSource::Entity).collect());
        }
        if self.is_closed(part) {
            let test = self.evaluation.value(part);
            let test = test.and_then(|of| self.evaluation.is_in_one(&Val::Entity(known), &of));
            return Narrowing::unless_false(test);
        }
        let Expr::Attribute(attribute) = part else { return Narrowing::All };
        let Some(scope_type) = self.type_of(&attribute.base) else { return Narrowing::All };
        let slot = attribute.field.name.as_str();
        if !attribute.field.slot_of.contains(scope_type) {
            return Narrowing::All;
        }
        if self.is_open(&attribute.base) {
            return Narrowing::of(CandidateSource::Scopes { holder: known, slot });
        }
        // The role of another entity, which the open side names in an attribute.
        if known == self.known() && !self.holds_on_some(slot, scope_type) {
            return Narrowing::NONE;
        }
        match &attribute.base {
            Expr::Attribute(named) if self.is_open(&named.base) => {
                let attribute = named.field.name.as_str();
                Narrowing::of(CandidateSource::Naming { attribute, holder: known, slot })
            }
            _ => Narrowing::All,
        }
    }

    /// Returns whether the known side holds a role on any scope of a type.
    fn holds_on_some(&self, slot: &str, scope_type: &EntityType) -> bool {
        let held = self.held.get_or_init(|| {
            let mut held = HashSet::new();
            if let Ok(closure) = self.facts.closure(self.known()) {
                closure.each_role(|role| {
                    held.insert((SmolStr::from(role.slot), role.scope.entity_type().clone()));
                });
            }
            held
        });
        held.iter().any(|(held, ty)| held == slot && ty == scope_type)
    }

    /// Returns the type of the open side, or of an entity that it names in an attribute.
    fn type_of(&self, path: &Expr) -> Option<&'a EntityType> {
        if self.is_open(path) {
            return Some(self.list.entity_type());
        }
        let Expr::Attribute(attribute) = path else { return None };
        let shape = self.schema.entity(self.type_of(&attribute.base)?)?;
        match &shape.attributes.fields.get(&attribute.field.name)?.shape {
            Shape::Entity(entity_type) => Some(entity_type),
            _ => None,
        }
    }

    fn is_open(&self, expr: &Expr) -> bool {
        match self.list.open() {
            Side::Principal => matches!(expr, Expr::Principal),
            Side::Resource => matches!(expr, Expr::Resource),
        }
    }

    /// Returns true if the expression depends neither on the listed entity nor on missing context.
    fn is_closed(&self, expr: &Expr) -> bool {
        let has_gaps = !self.list.missing().is_empty();
        let is_unknown =
            |part: &Expr| self.is_open(part) || (has_gaps && matches!(part, Expr::Context));
        !expr.any(&is_unknown)
    }
}
