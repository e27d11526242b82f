//! Makes the values of Cedar's extension types.

use std::{cell::RefCell, sync::LazyLock};

use cedar_policy_core::{
    ast::{self, Literal, Name, PartialValue, ValueKind},
    extensions::Extensions,
};

use super::Timestamp;

/// Cedar's constructors and methods that make values of extension types.
struct Functions {
    decimal: Option<Name>,
    ip: Option<Name>,
    duration: Option<Name>,
    offset: Option<Name>,
    epoch: Option<ast::Value>,
}

static FUNCTIONS: LazyLock<Functions> = LazyLock::new(|| {
    let name = |name: &str| Name::parse_unqualified_name(name).ok();
    Functions {
        decimal: name("decimal"),
        ip: name("ip"),
        duration: name("duration"),
        offset: name("offset"),
        epoch: call(name("datetime").as_ref(), &["1970-01-01".into()]).ok(),
    }
});

/// Parses a decimal number.
pub(crate) fn decimal(text: &str) -> Result<ast::Value, String> {
    call(FUNCTIONS.decimal.as_ref(), &[text.into()])
}

/// Parses an IP address or range.
pub(crate) fn ip(text: &str) -> Result<ast::Value, String> {
    call(FUNCTIONS.ip.as_ref(), &[text.into()])
}

/// Makes a duration of milliseconds.
pub(crate) fn duration(millis: i64) -> Result<ast::Value, String> {
    call(FUNCTIONS.duration.as_ref(), &[format!("{millis}ms").into()])
}

/// Parses a duration in Cedar's syntax, e.g. `1h30m`, into milliseconds.
pub(crate) fn duration_millis(text: &str) -> Option<i64> {
    let span = call(FUNCTIONS.duration.as_ref(), &[text.into()]).ok()?;
    let millis = Name::parse_unqualified_name("toMilliseconds").ok()?;
    match call(Some(&millis), &[span]).ok()?.value {
        ValueKind::Lit(Literal::Long(millis)) => Some(millis),
        _ => None,
    }
}

/// Makes the datetime of now, which is often that of the last call on this thread.
pub(crate) fn now(moment: Timestamp) -> Result<ast::Value, String> {
    thread_local! {
        static LAST: RefCell<Option<(Timestamp, ast::Value)>> = const { RefCell::new(None) };
    }
    LAST.with_borrow_mut(|last| match last {
        Some((at, value)) if *at == moment => Ok(value.clone()),
        _ => {
            let value = datetime(moment)?;
            *last = Some((moment, value.clone()));
            Ok(value)
        }
    })
}

/// Makes a datetime.
pub(crate) fn datetime(moment: Timestamp) -> Result<ast::Value, String> {
    let epoch = FUNCTIONS.epoch.clone().ok_or("datetime is not available")?;
    call(FUNCTIONS.offset.as_ref(), &[epoch, duration(moment.as_millis())?])
}

fn call(function: Option<&Name>, arguments: &[ast::Value]) -> Result<ast::Value, String> {
    let function = function.ok_or("the extension is not available")?;
    let function = Extensions::all_available().func(function).map_err(|error| error.to_string())?;
    match function.call(arguments).map_err(|error| error.to_string())? {
        PartialValue::Value(value) => Ok(value),
        PartialValue::Residual(_) => Err("the value is not known".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::duration_millis;

    #[test]
    fn durations() {
        for (text, millis) in [
            ("1h30m", Some(5_400_000)),
            ("-1d2h3m4s5ms", Some(-93_784_005)),
            ("0s", Some(0)),
            ("5ms", Some(5)),
            ("", None),
            ("-", None),
            ("1", None),
            ("1m1h", None),
            ("1x", None),
            ("999999999999999d", None),
        ] {
            assert_eq!(duration_millis(text), millis, "{text}");
        }
    }
}
