//! The URL under which callers reach AuthZEN.

use std::{fmt, str::FromStr};

use axum::http::Uri;

/// The URL under which callers reach AuthZEN: `https`, perhaps with a path, without query and fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    text: String,
    host: String,
}

/// A text that is no such URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an `https` URL without query, fragment and user: write e.g. `https://pdp.example.com`"
)]
pub struct PublicUrlError(String);

impl PublicUrl {
    /// Returns the URL without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the host in lower case, an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl FromStr for PublicUrl {
    type Err = PublicUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let url: Uri = text.parse().ok()?;
            let authority = url.authority()?;
            let is_plain = url.scheme_str() == Some("https")
                && url.query().is_none()
                && !text.contains(['#', '?'])
                && !authority.as_str().contains('@')
                && !authority.host().is_empty();
            is_plain.then(|| Self {
                text: text.trim_end_matches('/').to_owned(),
                host: authority.host().trim_matches(['[', ']']).to_ascii_lowercase(),
            })
        };
        read().ok_or_else(|| PublicUrlError(text.chars().take(80).collect()))
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn urls_without_query_and_fragment_are_taken() {
        for (text, url, host) in [
            ("https://pdp.example.com", "https://pdp.example.com", "pdp.example.com"),
            (
                "https://PDP.example.com:8443/a/b/",
                "https://PDP.example.com:8443/a/b",
                "pdp.example.com",
            ),
            ("https://[::1]/", "https://[::1]", "::1"),
        ] {
            let read: PublicUrl = text.parse().unwrap();
            assert_eq!((read.as_str(), read.host()), (url, host));
        }
        for text in [
            "",
            "pdp.example.com",
            "http://pdp.example.com",
            "https://",
            "https:///path",
            "https://pdp/?",
            "https://pdp/#",
            "https://pdp/?a=b",
            "https://me@pdp/",
        ] {
            assert!(text.parse::<PublicUrl>().is_err(), "{text}");
        }
    }
}
