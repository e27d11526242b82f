//! Values of Cedar's, as callers would write them.

use cedar_policy_core::ast::{self, Expr, ExprKind, Literal, ValueKind};

use super::{Timestamp, Uid, Value, duration_millis};

impl From<&ast::EntityUID> for Uid {
    fn from(uid: &ast::EntityUID) -> Self {
        Self::new(uid.entity_type().to_string(), AsRef::<str>::as_ref(uid.eid()))
    }
}

impl Value {
    /// Converts a value of Cedar's; nothing for one of an extension that callers cannot write.
    #[must_use]
    pub fn from_cedar(value: &ast::Value) -> Option<Self> {
        Some(match &value.value {
            ValueKind::Lit(Literal::Bool(value)) => Self::Bool(*value),
            ValueKind::Lit(Literal::Long(value)) => Self::Long(*value),
            ValueKind::Lit(Literal::String(text)) => Self::String(text.to_string()),
            ValueKind::Lit(Literal::EntityUID(uid)) => Self::Entity(Uid::from(&**uid)),
            ValueKind::Set(set) => {
                Self::Set(set.iter().map(Self::from_cedar).collect::<Option<_>>()?)
            }
            ValueKind::Record(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, value)| Some((name.to_string(), Self::from_cedar(value)?)));
                Self::Record(fields.collect::<Option<_>>()?)
            }
            ValueKind::ExtensionValue(_) => extension(&Expr::from(value.clone()))?,
        })
    }
}

/// Reads the calls of constructors and methods in which Cedar writes a value of an extension.
fn extension(expr: &Expr) -> Option<Value> {
    let ExprKind::ExtensionFunctionApp { fn_name, args } = expr.expr_kind() else { return None };
    let text = |expr: &Expr| match expr.expr_kind() {
        ExprKind::Lit(Literal::String(text)) => Some(text.to_string()),
        _ => None,
    };
    Some(match (fn_name.to_string().as_str(), args.as_slice()) {
        ("decimal", [number]) => Value::Decimal(text(number)?),
        ("ip", [address]) => Value::Ip(text(address)?),
        ("duration", [span]) => Value::Duration(duration_millis(&text(span)?)?),
        ("datetime", [moment]) => Value::Datetime(text(moment)?.parse().ok()?),
        ("offset", [moment, span]) => match (extension(moment)?, extension(span)?) {
            (Value::Datetime(moment), Value::Duration(span)) => {
                let millis = moment.as_millis().checked_add(span)?;
                Value::Datetime(Timestamp::from_millis(millis))
            }
            _ => return None,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::model::extension;

    #[test]
    fn values_of_extensions_are_read_back() {
        let moment = Timestamp::from_millis(1_769_850_000_123);
        for (cedar, value) in [
            (extension::decimal("1.5"), Value::Decimal("1.5".into())),
            (extension::ip("10.0.0.0/8"), Value::Ip("10.0.0.0/8".into())),
            (extension::duration(-7), Value::Duration(-7)),
            (extension::datetime(moment), Value::Datetime(moment)),
        ] {
            let read = Value::from_cedar(&cedar.unwrap());
            match (read.unwrap(), value) {
                // Cedar writes what it holds: 1.5000.
                (Value::Decimal(read), Value::Decimal(sent)) => assert!(read.starts_with(&sent)),
                (read, value) => assert_eq!(read, value),
            }
        }
    }
}
