use std::str::FromStr;

/// The trace that a call belongs to, in W3C's spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// The span of the call, else the caller's: 16 hexadecimal digits.
    pub span_id: String,
}

impl FromStr for TraceContext {
    type Err = ();

    /// Reads the header `traceparent`, also of later versions, which may only append to it.
    fn from_str(header: &str) -> Result<Self, ()> {
        let mut parts = header.split('-');
        let mut next = |digits: usize| {
            let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            let part = parts.next().ok_or(())?;
            (part.len() == digits && part.bytes().all(hex)).then_some(part).ok_or(())
        };
        let (version, trace_id, span_id, _flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        let is_zero = |id: &str| id.bytes().all(|b| b == b'0');
        let more = parts.next().is_some();
        if version == "ff" || (version == "00" && more) || is_zero(trace_id) || is_zero(span_id) {
            return Err(());
        }
        Ok(Self { trace_id: trace_id.to_owned(), span_id: span_id.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_w3c_allows_is_read() {
        const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        const SPAN: &str = "00f067aa0ba902b7";
        for (header, valid) in [
            (format!("00-{TRACE}-{SPAN}-01"), true),
            (format!("01-{TRACE}-{SPAN}-01-more"), true),
            (format!("00-{TRACE}-{SPAN}-01-more"), false),
            (format!("ff-{TRACE}-{SPAN}-01"), false),
            (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), false),
            (format!("00-{}-{SPAN}-01", "0".repeat(32)), false),
            (format!("00-{TRACE}-{}-01", "0".repeat(16)), false),
            (format!("00-{TRACE}-{SPAN}"), false),
            (String::new(), false),
        ] {
            let read = header.parse::<TraceContext>();
            let expected = valid
                .then(|| TraceContext { trace_id: TRACE.to_owned(), span_id: SPAN.to_owned() });
            assert_eq!(read.ok(), expected, "{header}");
        }
    }
}
