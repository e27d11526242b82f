//! One compiled policy.

use std::sync::Arc;

use cedar_policy_core::ast::{EntityType, EntityUID};

use super::{
    NeedsCedar,
    compile::Compiler,
    eval::Evaluator,
    expr::{Expr, Target},
    facts::CompiledFacts,
};
use crate::engine::slices::{PreparedPolicy, Scope};

#[derive(Debug)]
pub(super) struct CompiledPolicy {
    pub prepared: Arc<PreparedPolicy>,
    pub is_forbid: bool,
    pub principal: ScopeTest,
    pub resource: ScopeTest,
    pub condition: Condition,
}

/// A scope clause on principal or resource.
#[derive(Debug)]
pub(super) struct ScopeTest {
    pub entity_type: Option<Box<EntityType>>,
    /// The entity that the clause names.
    pub target: Option<Target>,
    /// True where it must be met exactly, and not only be an ancestor.
    pub exact: bool,
}

#[derive(Debug)]
pub(super) enum Condition {
    /// There is none.
    Always,
    Compiled(Expr),
    /// It uses a part of the language that only Cedar evaluates here.
    CedarOnly,
}

impl CompiledPolicy {
    pub fn applies<'a>(
        &'a self,
        facts: &CompiledFacts<'a>,
        evaluation: &Evaluator<'_, 'a>,
    ) -> Result<bool, NeedsCedar> {
        let request = facts.request();
        Ok(self.principal.holds(facts, &request.principal)?
            && self.resource.holds(facts, &request.resource)?
            && match &self.condition {
                Condition::Always => true,
                Condition::Compiled(condition) => evaluation.test(condition)?,
                Condition::CedarOnly => return Err(NeedsCedar),
            })
    }
}

impl ScopeTest {
    pub fn new(scope: &Scope, compiler: &Compiler<'_>) -> Self {
        Self {
            entity_type: scope.entity_type.as_deref().map(|ty| Box::new(compiler.own_type(ty))),
            target: scope.entity.as_deref().map(|uid| compiler.target(uid)),
            exact: scope.exact,
        }
    }

    pub fn holds<'a>(
        &'a self,
        facts: &CompiledFacts<'a>,
        uid: &'a EntityUID,
    ) -> Result<bool, NeedsCedar> {
        if self.entity_type.as_deref().is_some_and(|ty| ty != uid.entity_type()) {
            return Ok(false);
        }
        match &self.target {
            None => Ok(true),
            // The principal and the resource are no Roles, or Cedar decides.
            Some(Target::Role(_) | Target::UnknownRole) if self.exact => Ok(false),
            Some(Target::Role(role)) => Ok(facts.has_role(&*facts.closure(uid)?, role.borrowed())),
            Some(Target::Entity(entity)) if self.exact => Ok(**entity == *uid),
            Some(Target::Entity(entity)) => Ok(facts.closure(uid)?.has_entity(entity)),
            Some(Target::UnknownRole) => facts.closure(uid).map(|_| false),
        }
    }
}
