//! The clauses of a policy: the constraints of its scope, the conjuncts of each `when`, and each
//! `unless`. A policy applies where all of them hold. Each has the text and the place that it was
//! written at, as far as Cedar knows them: a policy in JSON has none.

use std::borrow::Cow;

use cedar_policy_core::{
    ast::{
        ActionConstraint, Expr, ExprKind, Policy, PrincipalOrResourceConstraint as Constraint,
        SlotEnv, UnaryOp,
    },
    parser::{Loc, cst, text_to_cst},
};

use crate::model::Location;

/// The longest policy, in bytes, that is parsed again for the texts of its scope.
const LONGEST_POLICY: usize = 64 * 1024;

/// The part of a policy that a clause belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClauseKind {
    /// The constraint on the principal.
    Principal,
    /// The constraint on the action.
    Action,
    /// The constraint on the resource.
    Resource,
    /// A conjunct of a `when`.
    When,
    /// An `unless` as a whole. It holds where the condition in its braces is false.
    Unless,
}

/// A clause of a policy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clause<'a> {
    /// The part of the policy that it belongs to.
    pub kind: ClauseKind,
    condition: Option<&'a Expr>,
    policy: &'a Policy,
}

/// Splits a policy into its clauses, in the order in which they are evaluated. A variable of the
/// scope that is not constrained is no clause.
pub(crate) fn clauses(policy: &Policy) -> Vec<Clause<'_>> {
    let is_any = |constraint: &Constraint| *constraint == Constraint::Any;
    let constrained = [
        (ClauseKind::Principal, !is_any(policy.principal_constraint().as_inner())),
        (ClauseKind::Action, *policy.action_constraint() != ActionConstraint::Any),
        (ClauseKind::Resource, !is_any(policy.resource_constraint().as_inner())),
    ];
    let scope = constrained.into_iter().filter(|(_, constrained)| *constrained);
    let mut clauses: Vec<_> =
        scope.map(|(kind, _)| Clause { kind, condition: None, policy }).collect();
    for condition in conditions(policy) {
        match inside_unless(condition) {
            Some(inside) => {
                let kind = ClauseKind::Unless;
                clauses.push(Clause { kind, condition: Some(inside), policy });
            }
            None => clauses.extend(conjuncts(condition).into_iter().map(|conjunct| Clause {
                kind: ClauseKind::When,
                condition: Some(conjunct),
                policy,
            })),
        }
    }
    clauses
}

/// Splits `a && b && c` into its operands, from left to right.
pub(crate) fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    let mut conjuncts = Vec::new();
    // A chain nests as deep as it is long, so it is not followed by recursion.
    let mut pending = vec![expr];
    while let Some(expr) = pending.pop() {
        match expr.expr_kind() {
            ExprKind::And { left, right } if !is_is_in(expr, right) => {
                pending.extend([&**right, &**left]);
            }
            _ => conjuncts.push(expr),
        }
    }
    conjuncts
}

/// Returns whether a conjunction is Cedar's form of `x is T in y`, which is one clause. Both of its
/// parts then have the place of the whole.
fn is_is_in(and: &Expr, right: &Expr) -> bool {
    and.source_loc().is_some() && and.source_loc() == right.source_loc()
}

/// Returns each `when` and `unless`. Cedar joins them to `c1 && (c2 && c3)`, and gives the
/// conjunctions that it makes for this the place of the whole policy.
fn conditions(policy: &Policy) -> Vec<&Expr> {
    let mut conditions = Vec::new();
    let mut rest = policy.non_scope_constraints();
    while let Some(expr) = rest {
        match expr.expr_kind() {
            ExprKind::And { left, right }
                if policy.loc().is_some() && expr.source_loc() == policy.loc() =>
            {
                conditions.push(&**left);
                rest = Some(right);
            }
            _ => {
                conditions.push(expr);
                rest = None;
            }
        }
    }
    conditions
}

/// Returns the condition in the braces of an `unless`. Cedar makes a negation of it, at the place
/// of the `unless`; one that is written as `!` has another place.
fn inside_unless(condition: &Expr) -> Option<&Expr> {
    let written = condition.source_loc()?.snippet()?;
    match condition.expr_kind() {
        ExprKind::UnaryApp { op: UnaryOp::Not, arg } if written.starts_with("unless") => Some(arg),
        _ => None,
    }
}

impl<'a> Clause<'a> {
    /// Returns the condition of a `when` or an `unless`, of the latter what stands in its braces;
    /// none for a clause of the scope.
    pub(crate) fn condition(&self) -> Option<&'a Expr> {
        self.condition
    }

    /// Returns the same clause with a part of its condition.
    pub(crate) fn within(&self, part: &'a Expr) -> Self {
        Self { condition: Some(part), ..*self }
    }

    /// Returns the values of a template's slots.
    pub(crate) fn slots(&self) -> &'a SlotEnv {
        self.policy.env()
    }

    /// Returns what must be true of a request, for an `unless` what must be false. The slots of a
    /// template are filled in its scope.
    pub(crate) fn expr(&self) -> Cow<'a, Expr> {
        let policy = self.policy;
        match (self.kind, self.condition) {
            (_, Some(condition)) => Cow::Borrowed(condition),
            (ClauseKind::Principal, None) => Cow::Owned(policy.principal_constraint().as_expr()),
            (ClauseKind::Resource, None) => Cow::Owned(policy.resource_constraint().as_expr()),
            (_, None) => Cow::Owned(policy.action_constraint().as_expr()),
        }
    }

    /// Returns the text as it was written, or as Cedar writes it where that is not known.
    pub(crate) fn text(&self) -> String {
        match self.loc().as_ref().and_then(Loc::snippet) {
            Some(written) => written.to_owned(),
            None => self.expr().to_string(),
        }
    }

    /// Returns the line and column at which the text begins.
    pub(crate) fn location(&self) -> Option<Location> {
        let loc = self.loc()?;
        Location::in_text(&loc.src, loc.start())
    }

    fn loc(&self) -> Option<Loc> {
        match self.condition {
            Some(condition) => condition.source_loc().cloned(),
            None => scope_loc(self.policy, self.kind),
        }
    }
}

/// Returns the place of a clause of the scope, which Cedar keeps only in its concrete syntax.
fn scope_loc(policy: &Policy, kind: ClauseKind) -> Option<Loc> {
    let place = policy.loc()?;
    let written = place.snippet().filter(|written| written.len() <= LONGEST_POLICY)?;
    let cst::Policy::Policy(parsed) = text_to_cst::parse_policy(written).ok()?.node?;
    let index = match kind {
        ClauseKind::Principal => 0,
        ClauseKind::Action => 1,
        ClauseKind::Resource => 2,
        ClauseKind::When | ClauseKind::Unless => return None,
    };
    let within = parsed.variables.get(index)?.loc.as_ref()?;
    Some(place.span(place.start() + within.start()..place.start() + within.end()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashMap;

    use cedar_policy_core::ast::{EntityUID, PolicyID, PolicySet, SlotId};

    use super::*;

    fn set(text: &str) -> PolicySet {
        let set: cedar_policy::PolicySet = text.parse().unwrap();
        AsRef::<PolicySet>::as_ref(&set).clone()
    }

    /// The clauses of the only policy of a text: kind, text, and line:column.
    fn split(text: &str) -> Vec<(ClauseKind, String, String)> {
        let set = set(text);
        let policy = set.policies().next().unwrap();
        let shown = clauses(policy).into_iter().map(|clause| {
            let place = clause.location().map_or_else(
                || "none".to_owned(),
                |Location { line, column }| format!("{line}:{column}"),
            );
            let loc = clause.loc().unwrap();
            assert_eq!(text.get(loc.start()..loc.end()).unwrap(), clause.text());
            (clause.kind, clause.text(), place)
        });
        shown.collect()
    }

    fn clause(kind: ClauseKind, text: &str, place: &str) -> (ClauseKind, String, String) {
        (kind, text.to_owned(), place.to_owned())
    }

    #[test]
    fn every_part_that_must_hold_is_a_clause_with_its_text_and_place() {
        use ClauseKind::{Action, Principal, Resource, Unless, When};

        let text = r#"// ä
@id("a")
@doc("permit (principal, action)")
permit (
    principal is User in Team::"t",
    action in [Action::"a", Action::"b"],
    resource == Doc::"1"
)
when { resource has team && resource.team.open && !(principal.out) }
when { (context.a || context.b) && principal is User in resource.team }
unless { context.x && context.y }
when { !context.z };"#;
        let expected = [
            clause(Principal, r#"principal is User in Team::"t""#, "5:5"),
            clause(Action, r#"action in [Action::"a", Action::"b"]"#, "6:5"),
            clause(Resource, r#"resource == Doc::"1""#, "7:5"),
            clause(When, "resource has team", "9:8"),
            clause(When, "resource.team.open", "9:29"),
            clause(When, "!(principal.out)", "9:51"),
            clause(When, "context.a || context.b", "10:9"),
            clause(When, "principal is User in resource.team", "10:36"),
            clause(Unless, "context.x && context.y", "11:10"),
            clause(When, "!context.z", "12:8"),
        ];
        assert_eq!(split(text), expected);
    }

    #[test]
    fn a_variable_without_a_constraint_is_no_clause() {
        assert_eq!(split("permit (principal, action, resource);"), []);
        let expected = [clause(ClauseKind::Resource, "resource is Doc", "1:28")];
        assert_eq!(split("forbid (principal, action, resource is Doc);"), expected);
    }

    #[test]
    fn a_single_condition_is_split_like_several() {
        let when = |text, place| clause(ClauseKind::When, text, place);
        let text = "permit (principal, action, resource) when { true && (1 == 2 && false) };";
        assert_eq!(
            split(text),
            [when("true", "1:45"), when("1 == 2", "1:54"), when("false", "1:64")]
        );
        let text = "permit (principal, action, resource) unless { true };";
        assert_eq!(split(text), [clause(ClauseKind::Unless, "true", "1:47")]);
        let text = r#"permit (principal, action, resource) when { "unless" != "if" };"#;
        assert_eq!(split(text), [when(r#""unless" != "if""#, "1:45")]);
    }

    #[test]
    fn a_long_chain_is_split_without_recursion() {
        let chain = vec!["context.a"; 1_000].join(" && ");
        let text = format!("permit (principal, action, resource) when {{ {chain} }};");
        assert_eq!(split(&text).len(), 1_000);
    }

    #[test]
    fn a_link_has_the_text_of_its_template_and_the_entities_of_its_own() {
        let mut set = set("@id(\"t\")\npermit (principal in ?principal, action, resource);");
        let uid = EntityUID::with_eid_and_type("Team", "t").unwrap();
        let template = set.templates().next().unwrap().id().clone();
        set.link(template, PolicyID::from_string("l"), HashMap::from([(SlotId::principal(), uid)]))
            .unwrap();
        let policy = set.policies().next().unwrap();
        let [clause] = <[_; 1]>::try_from(clauses(policy)).unwrap();
        assert_eq!(clause.text(), "principal in ?principal");
        assert_eq!(clause.location(), Some(Location { line: 2, column: 9 }));
        assert_eq!(clause.expr().to_string(), r#"principal in Team::"t""#);
    }

    #[test]
    fn a_policy_in_json_has_clauses_without_a_place() {
        let text = r#"permit (principal == User::"a", action, resource)
            when { context.a && context.b } unless { context.c };"#;
        let json = text.parse::<cedar_policy::Policy>().unwrap().to_json().unwrap();
        let policy = cedar_policy::Policy::from_json(None, json).unwrap();
        let policy: &Policy = policy.as_ref();
        let clauses = clauses(policy);
        let texts: Vec<_> = clauses.iter().map(Clause::text).collect();
        let expected = [r#"principal == User::"a""#, "context.a", "context.b", "!context.c"];
        assert_eq!(texts, expected);
        assert!(clauses.iter().all(|clause| clause.location().is_none()));
    }
}
