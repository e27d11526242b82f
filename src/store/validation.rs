//! Validating policies with Cedar's validator, which asks about each policy every kind of request
//! that the schema knows.
//!
//! Policies that differ only in the ids of the entities in their scopes form a group, of which one is
//! validated: of an entity that is neither an action nor one of an enumerated type the validator looks
//! at the type alone. If that one has an error or warning, each policy of the group is validated, so
//! every one is reported.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

use cedar_policy::{
    Policy, PolicyId, PolicySet, PolicySetError, Schema, ValidationError, ValidationMode,
    ValidationWarning, Validator,
};
use cedar_policy_core::{
    ast::{
        ActionConstraint, EntityReference, EntityType, EntityUID, Expr,
        PrincipalOrResourceConstraint as Constraint, SlotId, Template,
    },
    validator::{ValidatorEntityTypeKind, ValidatorSchema},
};

/// The findings of the validator.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub errors: Vec<ValidationError>,
    pub warnings: Vec<ValidationWarning>,
}

/// Validating the policies would take more steps than the bound.
#[derive(Debug, thiserror::Error)]
#[error(
    "validating `{policy}` and the policies before it takes {steps} steps (the parts of each \
     condition, times the kinds of requests that it applies to), more than \
     `bounds.validation_steps` = {most}"
)]
pub(super) struct ValidationStepsError {
    /// The policy with which it is too much.
    pub policy: PolicyId,
    steps: usize,
    most: usize,
}

/// Validates policies, templates and links, but for those that are known to be valid.
pub(super) fn validate(
    schema: &Schema,
    set: &PolicySet,
    level: Option<u32>,
    most_steps: usize,
    is_known: impl Fn(&PolicyId) -> bool,
) -> Result<Findings, ValidationStepsError> {
    let alike = Alike::new(schema.as_ref(), set, is_known);
    if alike.templates.is_empty() && alike.policies.is_empty() {
        return Ok(Findings::default());
    }
    alike.check_steps(schema.as_ref(), set, most_steps)?;
    let validator = Validator::new(schema.clone());
    // Cedar can refuse no policy that it has accepted in the whole set. Should it, nothing may be
    // left out.
    Ok(validate_once_each(&validator, set, level, &alike)
        .unwrap_or_else(|_| Findings::of(&validator, set, level)))
}

#[expect(clippy::result_large_err, reason = "the error is Cedar's own")]
fn validate_once_each(
    validator: &Validator,
    set: &PolicySet,
    level: Option<u32>,
    alike: &Alike<'_>,
) -> Result<Findings, PolicySetError> {
    let mut chosen = Chosen::new(set);
    for template in &alike.templates {
        chosen.template(template)?;
    }
    for policy in alike.policies.iter().filter_map(|policies| policies.first()) {
        chosen.policy(policy)?;
    }
    let mut findings = Findings::of(validator, &chosen.set, level);
    let told = findings.about();
    let mut chosen = Chosen::new(set);
    for policies in &alike.policies {
        let is_told = policies.first().is_some_and(|policy| told.contains(policy.id()));
        for policy in policies.iter().skip(1).filter(|_| is_told) {
            chosen.policy(policy)?;
        }
    }
    if !chosen.is_empty() {
        findings.add(Findings::of(validator, &chosen.set, level));
    }
    Ok(findings)
}

impl Findings {
    fn of(validator: &Validator, set: &PolicySet, level: Option<u32>) -> Self {
        let mode = ValidationMode::Strict;
        let result = match level {
            Some(level) => validator.validate_with_level(set, mode, level),
            None => validator.validate(set, mode),
        };
        Self {
            errors: result.validation_errors().cloned().collect(),
            warnings: result.validation_warnings().cloned().collect(),
        }
    }

    /// Adds findings of further policies; skips those of policies that were reported already, as
    /// templates are.
    fn add(&mut self, others: Self) {
        let told = self.about();
        let is_new = |id: &PolicyId| !told.contains(id);
        self.errors.extend(others.errors.into_iter().filter(|error| is_new(error.policy_id())));
        let warnings = others.warnings.into_iter();
        self.warnings.extend(warnings.filter(|warning| is_new(warning.policy_id())));
    }

    /// Returns the policies with an error or a warning.
    fn about(&self) -> HashSet<PolicyId> {
        let errors = self.errors.iter().map(ValidationError::policy_id);
        errors.chain(self.warnings.iter().map(ValidationWarning::policy_id)).cloned().collect()
    }
}

/// Groups of policies that are valid or invalid together.
struct Alike<'a> {
    templates: Vec<&'a PolicyId>,
    policies: Vec<Vec<&'a Policy>>,
}

impl<'a> Alike<'a> {
    fn new(
        schema: &ValidatorSchema,
        set: &'a PolicySet,
        is_known: impl Fn(&PolicyId) -> bool,
    ) -> Self {
        let mut policies: Vec<Vec<&Policy>> = Vec::new();
        let mut places = HashMap::new();
        for policy in set.policies().filter(|policy| !is_known(policy.id())) {
            let place = Shape::of(schema, policy)
                .map_or(policies.len(), |shape| *places.entry(shape).or_insert(policies.len()));
            match policies.get_mut(place) {
                Some(alike) => alike.push(policy),
                None => policies.push(vec![policy]),
            }
        }
        let templates = set.templates().map(cedar_policy::Template::id);
        Self { templates: templates.filter(|id| !is_known(id)).collect(), policies }
    }
}

impl Alike<'_> {
    /// Refuses what would take the validator more than `most` steps.
    fn check_steps(
        &self,
        schema: &ValidatorSchema,
        set: &PolicySet,
        most: usize,
    ) -> Result<(), ValidationStepsError> {
        let kinds = RequestKinds::of(schema);
        let templates = self.templates.iter().filter_map(|id| set.template(id));
        let templates = templates.map(|template| (template.id(), template.as_ref()));
        let policies = self.policies.iter().filter_map(|policies| policies.first());
        let policies = policies.filter(|policy| policy.is_static()).map(|policy| {
            let core: &cedar_policy_core::ast::Policy = policy.as_ref();
            (policy.id(), core.template())
        });
        let mut steps = 0_usize;
        for (id, template) in templates.chain(policies) {
            let condition = template.non_scope_constraints();
            let parts = condition.map_or(0, |condition| condition.subexpressions().count());
            let kinds = (kinds.all, kinds.of_scope(schema, template.action_constraint()));
            // Every kind of request costs a look at the scope.
            steps = steps.saturating_add(kinds.0).saturating_add(kinds.1.saturating_mul(parts));
            if steps > most {
                return Err(ValidationStepsError { policy: id.clone(), steps, most });
            }
        }
        Ok(())
    }
}

/// Counts the kinds of requests that a schema allows: pairs of the types of principal and resource.
struct RequestKinds<'a> {
    by_action: HashMap<&'a EntityUID, usize>,
    all: usize,
}

impl<'a> RequestKinds<'a> {
    fn of(schema: &'a ValidatorSchema) -> Self {
        let by_action: HashMap<_, _> = schema
            .action_ids()
            .map(|action| {
                let principals = action.applies_to_principals().count();
                (action.name(), principals.saturating_mul(action.applies_to_resources().count()))
            })
            .collect();
        let all = by_action.values().fold(0, |all: usize, kinds| all.saturating_add(*kinds));
        Self { by_action, all }
    }

    /// The kinds for the actions in a scope.
    fn of_scope(&self, schema: &ValidatorSchema, scope: &ActionConstraint) -> usize {
        let of = |action: &EntityUID| self.by_action.get(action).copied().unwrap_or(0);
        match scope {
            ActionConstraint::Eq(action) => of(action),
            ActionConstraint::In(actions) => {
                let in_groups = actions.iter().filter_map(|action| schema.get_action_id(action));
                let members: HashSet<&EntityUID> =
                    in_groups.flat_map(|group| group.descendants().chain([group.name()])).collect();
                members.into_iter().fold(0, |sum: usize, action| sum.saturating_add(of(action)))
            }
            _ => self.all,
        }
    }
}

/// All of a policy that the validator looks at.
#[derive(PartialEq, Eq, Hash)]
enum Shape<'a> {
    Static {
        principal: Scope<'a>,
        action: &'a ActionConstraint,
        resource: Scope<'a>,
        condition: Option<&'a Expr>,
    },
    Link {
        template: &'a str,
        principal: Option<&'a EntityType>,
        resource: Option<&'a EntityType>,
    },
}

#[derive(PartialEq, Eq, Hash)]
enum Scope<'a> {
    Any,
    Is(&'a EntityType),
    Eq(&'a EntityType),
    In(&'a EntityType),
    IsIn(&'a EntityType, &'a EntityType),
}

impl<'a> Shape<'a> {
    /// None where there may be more to look at.
    fn of(schema: &ValidatorSchema, policy: &'a Policy) -> Option<Self> {
        let policy: &cedar_policy_core::ast::Policy = policy.as_ref();
        let template: &Template = policy.template();
        if policy.is_static() {
            return Some(Self::Static {
                principal: Scope::of(schema, template.principal_constraint().as_inner())?,
                action: template.action_constraint(),
                resource: Scope::of(schema, template.resource_constraint().as_inner())?,
                condition: template.non_scope_constraints(),
            });
        }
        // The types alone of a link are looked at, whatever they are.
        let filled = |slot| policy.env().get(&slot).map(EntityUID::entity_type);
        Some(Self::Link {
            template: template.id().as_ref(),
            principal: filled(SlotId::principal()),
            resource: filled(SlotId::resource()),
        })
    }
}

impl<'a> Scope<'a> {
    fn of(schema: &ValidatorSchema, constraint: &'a Constraint) -> Option<Self> {
        let type_of = |reference: &'a EntityReference| match reference {
            EntityReference::EUID(uid) => type_alone(schema, uid),
            EntityReference::Slot(_) => None,
        };
        Some(match constraint {
            Constraint::Any => Self::Any,
            Constraint::Is(ty) => Self::Is(ty),
            Constraint::Eq(entity) => Self::Eq(type_of(entity)?),
            Constraint::In(entity) => Self::In(type_of(entity)?),
            Constraint::IsIn(ty, entity) => Self::IsIn(ty, type_of(entity)?),
        })
    }
}

/// The type of an entity of which the id says nothing to the validator.
fn type_alone<'a>(schema: &ValidatorSchema, uid: &'a EntityUID) -> Option<&'a EntityType> {
    let is_enumerated = || {
        let declared = schema.get_entity_type(uid.entity_type());
        declared.is_some_and(|ty| matches!(ty.kind, ValidatorEntityTypeKind::Enum(_)))
    };
    // The validator warns of letters that look like others.
    let id: &str = uid.eid().as_ref();
    let is_plain = id.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    (is_plain && !uid.is_action() && !is_enumerated()).then(|| uid.entity_type())
}

/// A part of a policy set.
struct Chosen<'a> {
    from: &'a PolicySet,
    set: PolicySet,
}

#[expect(clippy::result_large_err, reason = "the error is Cedar's own")]
impl<'a> Chosen<'a> {
    fn new(from: &'a PolicySet) -> Self {
        Self { from, set: PolicySet::new() }
    }

    fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    fn template(&mut self, id: &PolicyId) -> Result<(), PolicySetError> {
        match self.from.template(id) {
            Some(template) if self.set.template(id).is_none() => {
                self.set.add_template(template.clone())
            }
            _ => Ok(()),
        }
    }

    /// Adds a policy, or a link with its template.
    fn policy(&mut self, policy: &Policy) -> Result<(), PolicySetError> {
        match (policy.template_id(), policy.template_links()) {
            (Some(template), Some(links)) => {
                self.template(template)?;
                self.set.link(template.clone(), policy.id().clone(), links)
            }
            _ => self.set.add(policy.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
