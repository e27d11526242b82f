//! A value as callers and files write it.

use super::{Timestamp, Uid};

/// A value as it was sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No kind was set.
    Missing,
    /// true or false.
    Bool(bool),
    /// A whole number.
    Long(i64),
    /// Text.
    String(String),
    /// A reference to an entity.
    Entity(Uid),
    /// Values in no order.
    Set(Vec<Value>),
    /// Values by name.
    Record(Vec<(String, Value)>),
    /// A decimal number, as text.
    Decimal(String),
    /// An IP address or range, as text.
    Ip(String),
    /// A moment.
    Datetime(Timestamp),
    /// A span of time in milliseconds.
    Duration(i64),
}

/// Conversions of the types that stand for one kind of value.
macro_rules! from {
    ($($kind:ident($type:ty)),*) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$kind(value.into())
            }
        }
    )*};
}

from!(Bool(bool), Long(i64), Long(i32), Long(u32), String(String), String(&str), Entity(Uid));
from!(Set(Vec<Value>), Datetime(Timestamp));
