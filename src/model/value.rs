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
