//! Values while a condition is evaluated. Nearly all are borrowed from the request or the policies.

use std::{collections::BTreeMap, sync::Arc};

use cedar_policy_core::ast::{
    EntityUID, InternalExtensionValue, Literal, RepresentableExtensionValue, Set, Value, ValueKind,
};
use smol_str::SmolStr;

use super::{NeedsCedar, expr::RoleRef};
use crate::request::{Context, SEARCHED};

#[derive(Debug, Clone)]
pub(super) enum Val<'a> {
    Bool(bool),
    Long(i64),
    String(&'a SmolStr),
    /// Never a Role.
    Entity(&'a EntityUID),
    Role(RoleRef<'a>),
    Set(&'a Set),
    Record(&'a BTreeMap<SmolStr, Value>),
    Context(&'a Context),
    Extension(&'a Arc<RepresentableExtensionValue>),
    Computed(Arc<RepresentableExtensionValue>),
}

/// The elements of a set.
pub(super) enum Items<'a> {
    Listed(Vec<Val<'a>>),
    Set(&'a Set),
}

impl<'a> Val<'a> {
    /// A value of the request. `is_role` tells whether an entity is a Role.
    pub(super) fn of(
        value: &'a ValueKind,
        is_role: impl Fn(&EntityUID) -> bool,
    ) -> Result<Self, NeedsCedar> {
        Ok(match value {
            ValueKind::Lit(Literal::Bool(value)) => Self::Bool(*value),
            ValueKind::Lit(Literal::Long(value)) => Self::Long(*value),
            ValueKind::Lit(Literal::String(text)) => Self::String(text),
            ValueKind::Lit(Literal::EntityUID(uid)) if is_role(uid) => return Err(NeedsCedar),
            ValueKind::Lit(Literal::EntityUID(uid)) => Self::Entity(uid),
            ValueKind::Set(set) => Self::Set(set),
            ValueKind::Record(record) => Self::Record(record),
            ValueKind::ExtensionValue(value) => Self::Extension(value),
        })
    }

    /// Wraps the result of an extension's function.
    pub(super) fn computed(value: Value) -> Result<Self, NeedsCedar> {
        match value.value {
            ValueKind::Lit(Literal::Bool(value)) => Ok(Self::Bool(value)),
            ValueKind::Lit(Literal::Long(value)) => Ok(Self::Long(value)),
            ValueKind::ExtensionValue(value) => Ok(Self::Computed(value)),
            _ => Err(NeedsCedar),
        }
    }

    pub(super) fn bool(&self) -> Result<bool, NeedsCedar> {
        if let Self::Bool(value) = self { Ok(*value) } else { Err(NeedsCedar) }
    }

    pub(super) fn long(&self) -> Result<i64, NeedsCedar> {
        if let Self::Long(value) = self { Ok(*value) } else { Err(NeedsCedar) }
    }

    fn extension(&self) -> Option<&Arc<RepresentableExtensionValue>> {
        match self {
            Self::Extension(value) => Some(value),
            Self::Computed(value) => Some(value),
            _ => None,
        }
    }

    /// `==`, which never fails: values of different types are not equal.
    pub(super) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bool(one), Self::Bool(other)) => one == other,
            (Self::Long(one), Self::Long(other)) => one == other,
            (Self::String(one), Self::String(other)) => one == other,
            (Self::Entity(one), Self::Entity(other)) => std::ptr::eq(*one, *other) || one == other,
            (Self::Role(one), Self::Role(other)) => one == other,
            (Self::Set(one), Self::Set(other)) => one == other,
            (Self::Context(one), other) => Self::Record(one.whole()).equals(other),
            (one, Self::Context(other)) => one.equals(&Self::Record(other.whole())),
            (Self::Record(one), Self::Record(other)) => one == other,
            (one, other) => match (one.extension(), other.extension()) {
                (Some(one), Some(other)) => one == other,
                _ => false,
            },
        }
    }

    /// Compares two values of a type that Cedar orders: longs, datetimes or durations.
    pub(super) fn compare(&self, other: &Self) -> Result<std::cmp::Ordering, NeedsCedar> {
        if let (Self::Long(one), Self::Long(other)) = (self, other) {
            return Ok(one.cmp(other));
        }
        let (Some(one), Some(other)) = (self.extension(), other.extension()) else {
            return Err(NeedsCedar);
        };
        // Each extension type is one type of Rust, which is cheaper to ask for than its name.
        let same_type = one.value().as_any().type_id() == other.value().as_any().type_id();
        if same_type && ordered(one.value()) { Ok(one.cmp(other)) } else { Err(NeedsCedar) }
    }

    /// The value as Cedar knows it; not for a Role, whose id would have to be spelled out.
    pub(super) fn to_cedar(&self) -> Result<Value, NeedsCedar> {
        let kind = match self {
            Self::Bool(value) => return Ok((*value).into()),
            Self::Long(value) => return Ok((*value).into()),
            Self::String(text) => ValueKind::Lit(Literal::String((*text).clone())),
            Self::Entity(uid) => ValueKind::Lit(Literal::EntityUID(Arc::new((*uid).clone()))),
            Self::Set(set) => ValueKind::Set((*set).clone()),
            Self::Extension(value) => ValueKind::ExtensionValue(Arc::clone(value)),
            Self::Computed(value) => ValueKind::ExtensionValue(Arc::clone(value)),
            Self::Role(_) | Self::Record(_) | Self::Context(_) => return Err(NeedsCedar),
        };
        Ok(Value::new(kind, None))
    }

    fn is_literal(&self) -> bool {
        matches!(
            self,
            Self::Bool(_) | Self::Long(_) | Self::String(_) | Self::Entity(_) | Self::Role(_)
        )
    }
}

fn ordered(value: &dyn InternalExtensionValue) -> bool {
    value.supports_operator_overloading()
}

impl<'a> Items<'a> {
    /// The elements that were listed. Literals alone: Cedar compares other values in sets by their
    /// order, not by `==`.
    pub(super) fn listed(items: Vec<Val<'a>>) -> Result<Self, NeedsCedar> {
        if items.iter().all(Val::is_literal) { Ok(Self::Listed(items)) } else { Err(NeedsCedar) }
    }

    pub(super) fn contains(
        &self,
        value: &Val<'_>,
        is_role: impl Fn(&EntityUID) -> bool,
    ) -> Result<bool, NeedsCedar> {
        match self {
            Self::Listed(items) => Ok(items.iter().any(|item| item.equals(value))),
            Self::Set(set) if value.is_literal() && set.authoritative.len() <= SEARCHED => {
                for element in set.authoritative.iter() {
                    let is_literal = matches!(element.value, ValueKind::Lit(_));
                    if is_literal && Val::of(&element.value, &is_role)?.equals(value) {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Set(set) => Ok(set.contains(&value.to_cedar()?)),
        }
    }

    pub(super) fn contains_all(
        &self,
        others: &Self,
        is_role: impl Fn(&EntityUID) -> bool,
    ) -> Result<bool, NeedsCedar> {
        match (self, others) {
            (Self::Set(set), Self::Set(others)) => Ok(others.is_subset(set)),
            (_, others) => others.each(&is_role, false, |value| self.contains(value, &is_role)),
        }
    }

    pub(super) fn contains_any(
        &self,
        others: &Self,
        is_role: impl Fn(&EntityUID) -> bool,
    ) -> Result<bool, NeedsCedar> {
        match (self, others) {
            (Self::Set(set), Self::Set(others)) => Ok(!set.is_disjoint(others)),
            (Self::Listed(_), others @ Self::Set(_)) => others.contains_any(self, is_role),
            (_, others) => others.each(&is_role, true, |value| self.contains(value, &is_role)),
        }
    }

    /// Asks of each element until the answer is `until`.
    fn each(
        &self,
        is_role: impl Fn(&EntityUID) -> bool,
        until: bool,
        mut ask: impl FnMut(&Val<'_>) -> Result<bool, NeedsCedar>,
    ) -> Result<bool, NeedsCedar> {
        match self {
            Self::Listed(items) => {
                for item in items {
                    if ask(item)? == until {
                        return Ok(until);
                    }
                }
            }
            Self::Set(set) => {
                for element in set.authoritative.iter() {
                    if ask(&Val::of(&element.value, &is_role)?)? == until {
                        return Ok(until);
                    }
                }
            }
        }
        Ok(!until)
    }
}
