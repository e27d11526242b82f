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
    Policy, PolicyId, PolicySet, Schema, ValidationError, ValidationMode, ValidationWarning,
    Validator,
};
use cedar_policy_core::{
    ast::{
        self, ActionConstraint, EntityReference, EntityType, EntityUID, Expr,
        PrincipalOrResourceConstraint as Constraint, SlotId, StaticPolicy, Template,
    },
    validator::{ValidatorEntityTypeKind, ValidatorSchema},
};

use super::{bounds::STEPS_OF_POLICY, request_kinds::RequestKinds, without_text::WithoutText};

/// The findings of the validator.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub errors: Vec<ValidationError>,
    pub warnings: Vec<ValidationWarning>,
}

/// Validating the policies would cost more than a bound allows.
#[derive(Debug, thiserror::Error)]
pub(super) enum TooMuchWork {
    /// All policies together take too many steps.
    #[error(
        "validating `{policy}` and the policies before it takes {steps} steps (the parts of each \
         condition, times the kinds of requests that it applies to), more than \
         `bounds.validation_steps` = {most}"
    )]
    Steps {
        /// The policy with which it is too much.
        policy: PolicyId,
        steps: usize,
        most: usize,
    },
    /// One policy takes too many steps.
    #[error(
        "validating `{policy}` takes {steps} steps (the parts of its condition, times the kinds of \
         requests that it applies to), more than the {} that one policy may take",
        STEPS_OF_POLICY
    )]
    StepsOfPolicy {
        /// The policy.
        policy: PolicyId,
        steps: usize,
    },
}

/// Steps of a batch of policies. The findings of one batch are kept at a time.
const BATCH: usize = 250_000;

/// Validates policies, templates and links, but for those that are known to be valid. `found` takes
/// the findings, batch by batch.
pub(super) fn validate(
    schema: &Schema,
    set: &PolicySet,
    level: Option<u32>,
    most_steps: usize,
    is_known: impl Fn(&PolicyId) -> bool,
    mut found: impl FnMut(Findings),
) -> Result<(), TooMuchWork> {
    let alike = Alike::new(schema.as_ref(), set, is_known);
    if alike.templates.is_empty() && alike.policies.is_empty() {
        return Ok(());
    }
    let work = RequestKinds::of(schema.as_ref());
    alike.check_steps(&work, set, most_steps)?;
    let validator = Validator::new(schema.clone());
    let mut batches = Batches {
        work,
        validator: &validator,
        level,
        chosen: Chosen::new(set),
        steps: 0,
        told: HashSet::new(),
        found: &mut found,
    };
    // Cedar can refuse no policy that it has accepted in the whole set. Should it, nothing may be
    // left out.
    if batches.validate(&alike).is_none() {
        found(Findings::of(&validator, set, level));
    }
    Ok(())
}

/// Validates policies a batch at a time.
struct Batches<'a, F> {
    work: RequestKinds<'a>,
    validator: &'a Validator,
    level: Option<u32>,
    chosen: Chosen<'a>,
    /// The steps of the batch so far.
    steps: usize,
    /// The policies that something is said about.
    told: HashSet<PolicyId>,
    found: F,
}

impl<'a, F: FnMut(Findings)> Batches<'a, F> {
    /// Validates one of each group, and all of a group of which that one gives rise to a word. None
    /// where a policy cannot be put into a set.
    fn validate(&mut self, alike: &Alike<'a>) -> Option<()> {
        for template in &alike.templates {
            self.steps += self.chosen.template(template)?.map_or(0, |added| self.work.steps(added));
            self.flush(BATCH);
        }
        let first = || alike.policies.iter().filter_map(|policies| policies.first());
        self.policies(first().copied())?;
        let is_told = |policies: &&Vec<&Policy>| {
            policies.first().is_some_and(|policy| self.told.contains(policy.id()))
        };
        let told: Vec<_> = alike.policies.iter().filter(is_told).collect();
        self.policies(told.iter().flat_map(|policies| policies.iter().skip(1)).copied())
    }

    /// Links go last, so that their templates are in one batch.
    fn policies(&mut self, policies: impl Iterator<Item = &'a Policy> + Clone) -> Option<()> {
        for policy in policies.clone().filter(|policy| policy.is_static()) {
            self.chosen.policy(policy)?;
            let core: &cedar_policy_core::ast::Policy = policy.as_ref();
            self.steps += self.work.steps(core.template());
            self.flush(BATCH);
        }
        for policy in policies.filter(|policy| !policy.is_static()) {
            self.chosen.policy(policy)?;
            self.steps += 1;
        }
        self.flush(1);
        Some(())
    }

    fn flush(&mut self, at: usize) {
        if self.steps < at || self.chosen.is_empty() {
            return;
        }
        let next = Chosen::new(self.chosen.from);
        let set = std::mem::replace(&mut self.chosen, next).set;
        self.steps = 0;
        let mut findings = Findings::of(self.validator, &set.into(), self.level);
        // A template that is in two batches has the same findings in both.
        findings.errors.retain(|error| !self.told.contains(error.policy_id()));
        findings.warnings.retain(|warning| !self.told.contains(warning.policy_id()));
        self.told.extend(findings.about());
        (self.found)(findings);
    }
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
            let place = PolicyShape::of(schema, policy)
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
        work: &RequestKinds<'_>,
        set: &PolicySet,
        most: usize,
    ) -> Result<(), TooMuchWork> {
        let templates = self.templates.iter().filter_map(|id| set.template(id));
        let templates = templates.map(|template| (template.id(), template.as_ref()));
        let policies = self.policies.iter().filter_map(|policies| policies.first());
        let policies = policies.filter(|policy| policy.is_static()).map(|policy| {
            let core: &cedar_policy_core::ast::Policy = policy.as_ref();
            (policy.id(), core.template())
        });
        let mut all = 0_usize;
        for (id, template) in templates.chain(policies) {
            let steps = work.steps(template);
            if steps > STEPS_OF_POLICY {
                return Err(TooMuchWork::StepsOfPolicy { policy: id.clone(), steps });
            }
            all = all.saturating_add(steps);
            if all > most {
                return Err(TooMuchWork::Steps { policy: id.clone(), steps: all, most });
            }
        }
        Ok(())
    }
}

/// All of a policy that the validator looks at.
#[derive(PartialEq, Eq, Hash)]
enum PolicyShape<'a> {
    Static {
        principal: ScopeShape<'a>,
        action: &'a ActionConstraint,
        resource: ScopeShape<'a>,
        condition: Option<&'a Expr>,
    },
    Link {
        template: &'a str,
        principal: Option<&'a EntityType>,
        resource: Option<&'a EntityType>,
    },
}

#[derive(PartialEq, Eq, Hash)]
enum ScopeShape<'a> {
    Any,
    Is(&'a EntityType),
    Eq(&'a EntityType),
    In(&'a EntityType),
    IsIn(&'a EntityType, &'a EntityType),
}

impl<'a> PolicyShape<'a> {
    /// Returns the shape of a policy; none where the validator may look at more than that.
    fn of(schema: &ValidatorSchema, policy: &'a Policy) -> Option<Self> {
        let policy: &cedar_policy_core::ast::Policy = policy.as_ref();
        let template: &Template = policy.template();
        if policy.is_static() {
            return Some(Self::Static {
                principal: ScopeShape::of(schema, template.principal_constraint().as_inner())?,
                action: template.action_constraint(),
                resource: ScopeShape::of(schema, template.resource_constraint().as_inner())?,
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

impl<'a> ScopeShape<'a> {
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

/// A part of a policy set, without the texts in which the policies are written.
struct Chosen<'a> {
    from: &'a PolicySet,
    set: ast::PolicySet,
    without_text: WithoutText,
}

impl<'a> Chosen<'a> {
    fn new(from: &'a PolicySet) -> Self {
        Self { from, set: ast::PolicySet::new(), without_text: WithoutText::new() }
    }

    fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// Adds a template, and returns it where it was not there. None where it cannot be added.
    fn template(&mut self, id: &PolicyId) -> Option<Option<&'a Template>> {
        let template: &Template = self.from.template(id)?.as_ref();
        if self.set.get_template(template.id()).is_some() {
            return Some(None);
        }
        self.set.add_template(self.without_text.template(template)).ok()?;
        Some(Some(template))
    }

    /// Adds a policy, or a link with its template.
    fn policy(&mut self, policy: &Policy) -> Option<()> {
        let core: &ast::Policy = policy.as_ref();
        match policy.template_id() {
            Some(template) => {
                self.template(template)?;
                let (template, id) = (core.template().id().clone(), core.id().clone());
                self.set.link(template, id, core.env().clone()).ok().map(drop)
            }
            None => {
                let body = self.without_text.template(core.template());
                self.set.add_static(StaticPolicy::try_from(body).ok()?).ok()
            }
        }
    }
}

#[cfg(test)]
mod tests;
