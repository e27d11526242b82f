//! The compiled form of a condition.

use std::sync::Arc;

use std::hash::{Hash, Hasher};

use cedar_policy_core::{
    ast::{EntityType, EntityUID, Pattern, ValueKind},
    extensions::Extensions,
};
use smol_str::SmolStr;

/// An expression. Where Cedar's evaluator would fail, evaluating this gives `NeedsCedar`. Large
/// variants are boxed: each expression of each policy has the size of the largest.
#[derive(Debug)]
pub(super) enum Expr {
    Bool(bool),
    Long(i64),
    String(SmolStr),
    Entity(Box<EntityUID>),
    /// A Role that a policy names.
    Role(Box<Role>),
    /// A set, record or value of an extension type.
    Value(ValueKind),
    Principal,
    Action,
    Resource,
    Context,
    Attribute(Box<Attribute>),
    Has(Box<Has>),
    /// `&&`, from left to right.
    All(Box<[Expr]>),
    /// `||`, from left to right.
    Any(Box<[Expr]>),
    Not(Box<Expr>),
    If(Box<[Expr; 3]>),
    Equal(Box<[Expr; 2]>),
    Less(Box<[Expr; 2]>),
    LessOrEqual(Box<[Expr; 2]>),
    Arithmetic(Arithmetic, Box<[Expr; 2]>),
    Negative(Box<Expr>),
    Is(Box<Expr>, Box<EntityType>),
    In(Box<Expr>, Box<Elements>),
    Contains(Box<Elements>, Box<Expr>),
    ContainsAll(Box<[Elements; 2]>),
    ContainsAny(Box<[Elements; 2]>),
    IsEmpty(Box<Expr>),
    Like(Box<Expr>, Pattern),
    Call(Box<Call>),
}

impl Expr {
    /// Returns whether the expression or a part of it passes a test.
    pub(super) fn any(&self, test: &impl Fn(&Self) -> bool) -> bool {
        let any = |parts: &[Self]| parts.iter().any(|part| part.any(test));
        test(self)
            || match self {
                Self::Bool(_)
                | Self::Long(_)
                | Self::String(_)
                | Self::Entity(_)
                | Self::Role(_)
                | Self::Value(_)
                | Self::Principal
                | Self::Action
                | Self::Resource
                | Self::Context => false,
                Self::Attribute(attribute) => attribute.base.any(test),
                Self::Has(has) => has.base.any(test),
                Self::All(parts) | Self::Any(parts) => any(parts),
                Self::If(parts) => any(&**parts),
                Self::Not(part)
                | Self::Negative(part)
                | Self::Is(part, _)
                | Self::IsEmpty(part)
                | Self::Like(part, _) => part.any(test),
                Self::Equal(parts)
                | Self::Less(parts)
                | Self::LessOrEqual(parts)
                | Self::Arithmetic(_, parts) => any(&**parts),
                Self::In(part, elements) | Self::Contains(elements, part) => {
                    part.any(test) || any(elements.parts())
                }
                Self::ContainsAll(sets) | Self::ContainsAny(sets) => {
                    sets.iter().any(|set| any(set.parts()))
                }
                Self::Call(call) => any(&call.arguments),
            }
    }
}

/// `base.name`
#[derive(Debug)]
pub(super) struct Attribute {
    pub base: Expr,
    pub field: SlotField,
}

/// An attribute name with the types of which it is a role slot.
#[derive(Debug)]
pub(super) struct SlotField {
    pub name: SmolStr,
    /// The types of which it is a role slot.
    pub slot_of: Arc<[EntityType]>,
}

/// `base has first.second`
#[derive(Debug)]
pub(super) struct Has {
    pub base: Expr,
    pub fields: Box<[SlotField]>,
}

/// The operand where a set or, after `in`, an entity is expected.
#[derive(Debug)]
pub(super) enum Elements {
    /// `[a, b]`
    Listed(Box<[Expr]>),
    /// Anything else.
    Of(Expr),
}

impl Elements {
    /// Returns the expressions that are written there.
    pub(super) fn parts(&self) -> &[Expr] {
        match self {
            Self::Listed(items) => items,
            Self::Of(expr) => std::slice::from_ref(expr),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
}

/// A call of an extension's function or method.
#[derive(Debug)]
pub(super) struct Call {
    pub function: cedar_policy_core::ast::Name,
    pub arguments: Box<[Expr]>,
}

impl Call {
    pub(super) fn call(
        &self,
        arguments: &[cedar_policy_core::ast::Value],
    ) -> Option<cedar_policy_core::ast::Value> {
        use cedar_policy_core::ast::PartialValue;

        match Extensions::all_available().func(&self.function).ok()?.call(arguments).ok()? {
            PartialValue::Value(value) => Some(value),
            PartialValue::Residual(_) => None,
        }
    }
}

/// A Role by what it stands for. No two (scope, slot) have the same Role entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Role {
    pub scope: EntityUID,
    pub slot: SmolStr,
}

impl Role {
    pub(super) fn borrowed(&self) -> RoleRef<'_> {
        RoleRef { scope: &self.scope, slot: &self.slot }
    }
}

/// A Role by what it stands for, in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct RoleRef<'a> {
    pub scope: &'a EntityUID,
    pub slot: &'a str,
}

impl Hash for RoleRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.slot.hash(state);
        AsRef::<str>::as_ref(self.scope.eid()).hash(state);
    }
}

/// The entity that a scope clause names.
#[derive(Debug)]
pub(super) enum Target {
    Entity(Box<EntityUID>),
    Role(Box<Role>),
    /// A Role that no scope has. Nobody is in it unless the caller says so, and then Cedar decides.
    UnknownRole,
}
