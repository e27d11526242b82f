//! The `grpc-timeout` of a caller.

use std::time::Duration;

use tonic::codegen::http::HeaderMap;

/// Parses the time that the caller gives in `grpc-timeout`. One that cannot be parsed counts as
/// none: the server has a limit of its own.
pub(super) fn of_caller(headers: &HeaderMap) -> Option<Duration> {
    let written = headers.get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = written.split_at_checked(written.len().checked_sub(1)?)?;
    let is_number = (1..=8).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| is_number)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3_600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn times_as_they_are_written() {
        let millis = |millis| Some(Duration::from_millis(millis));
        for (written, time) in [
            ("2H", millis(7_200_000)),
            ("3M", millis(180_000)),
            ("42S", millis(42_000)),
            ("99999999m", millis(99_999_999)),
            ("5000u", millis(5)),
            ("1000000n", millis(1)),
            ("0m", millis(0)),
            ("", None),
            ("m", None),
            ("1", None),
            ("+1m", None),
            ("-1m", None),
            ("1.5S", None),
            ("100000000m", None),
            ("1s", None),
        ] {
            let headers =
                HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), written.parse().unwrap())]);
            assert_eq!(of_caller(&headers), time, "{written:?}");
        }
        assert_eq!(of_caller(&HeaderMap::new()), None);
    }
}
