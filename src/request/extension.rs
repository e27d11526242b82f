use crate::{
    model::{Value, duration_millis},
    request::shorten,
};

/// Reads a value of one of Cedar's extension types from the argument of its constructor. The name is
/// that of the type or of the constructor.
///
/// # Errors
/// The fault in words.
pub(crate) fn extension_value(name: &str, argument: &str) -> Result<Value, String> {
    match name {
        "decimal" => Ok(Value::Decimal(argument.to_owned())),
        "ip" | "ipaddr" => Ok(Value::Ip(argument.to_owned())),
        "datetime" => argument.parse().map(Value::Datetime).map_err(|error| format!("{error}")),
        "duration" => duration_millis(argument).map(Value::Duration).ok_or_else(|| {
            format!("`{}` is not a duration: write e.g. `1h30m`", shorten(argument))
        }),
        other => Err(format!(
            "no extension is called `{}`: there are `datetime`, `decimal`, `duration`, `ip`",
            shorten(other)
        )),
    }
}
