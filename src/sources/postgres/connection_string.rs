//! The connection string, as libpq reads it, as far as the client does.

use std::{path::PathBuf, str::FromStr};

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;

/// A connection string that was read.
#[derive(Debug)]
pub(super) struct ConnectionString {
    pub config: Config,
    /// The file of the authorities that are trusted instead of the system's.
    pub root_cert: Option<PathBuf>,
}

/// A connection string that cannot be used. Messages quote nothing of it, since it holds a password.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ConnectionStringError {
    #[error(
        "it cannot be read: write `postgresql://user:password@host:5432/database` or \
         `host=… user=… password=… dbname=…`"
    )]
    Unreadable,
    #[error("`sslmode` is `disable`, `prefer`, `require` or `verify-full`")]
    SslMode,
}

impl FromStr for ConnectionString {
    type Err = ConnectionStringError;

    /// Reads both forms. The client checks the certificate and the name in it wherever it speaks TLS:
    /// `require` is `verify-full`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let mut settings = Settings::default();
        let rest = if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            settings.take_from_url(text)?
        } else {
            settings.take_from_words(text)?
        };
        let mut config: Config = rest.parse().map_err(|_| ConnectionStringError::Unreadable)?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(ConnectionStringError::Unreadable);
        }
        if let Some(mode) = settings.ssl_mode {
            config.ssl_mode(mode);
        }
        Ok(Self { config, root_cert: settings.root_cert })
    }
}

/// The settings that the client does not read as libpq does.
#[derive(Default)]
struct Settings {
    ssl_mode: Option<tokio_postgres::config::SslMode>,
    root_cert: Option<PathBuf>,
}

impl Settings {
    /// Takes a setting if it is one of them.
    fn take(&mut self, name: &str, value: &str) -> Result<bool, ConnectionStringError> {
        use tokio_postgres::config::SslMode;
        match name {
            "sslrootcert" => self.root_cert = Some(value.into()),
            "sslmode" => {
                self.ssl_mode = Some(match value {
                    "disable" => SslMode::Disable,
                    "prefer" => SslMode::Prefer,
                    "require" | "verify-full" => SslMode::Require,
                    _ => return Err(ConnectionStringError::SslMode),
                });
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_from_url(&mut self, url: &str) -> Result<String, ConnectionStringError> {
        let Some((base, query)) = url.split_once('?') else { return Ok(url.to_owned()) };
        let mut rest = Vec::new();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value).decode_utf8();
            let value = value.map_err(|_| ConnectionStringError::Unreadable)?;
            if !self.take(name, &value)? {
                rest.push(pair);
            }
        }
        Ok(if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) })
    }

    fn take_from_words(&mut self, text: &str) -> Result<String, ConnectionStringError> {
        let mut rest = String::new();
        for word in words(text) {
            let (name, value) = word.split_once('=').unwrap_or_default();
            let plain = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\''));
            if !self.take(name, plain.unwrap_or(value))? {
                rest.push_str(word);
                rest.push(' ');
            }
        }
        Ok(rest)
    }
}

/// Splits at white space that is not in quotes.
fn words(text: &str) -> Vec<&str> {
    let (mut words, mut start) = (Vec::new(), None);
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, character) in text.char_indices() {
        let is_end = character.is_whitespace() && !is_quoted && !is_escaped;
        match (character, is_escaped) {
            (_, true) => is_escaped = false,
            ('\\', false) => is_escaped = true,
            ('\'', false) => is_quoted = !is_quoted,
            _ => {}
        }
        match start {
            Some(from) if is_end => {
                words.extend(text.get(from..at));
                start = None;
            }
            None if !is_end => start = Some(at),
            _ => {}
        }
    }
    words.extend(start.and_then(|from| text.get(from..)));
    words
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio_postgres::config::SslMode;

    use super::*;

    #[test]
    fn both_forms_are_read() {
        for (text, mode, root) in [
            ("postgresql://me:secret@db/app", SslMode::Prefer, None),
            ("postgres://me:secret@db/app?sslmode=verify-full\n", SslMode::Require, None),
            (
                "postgres://me@db/app?connect_timeout=3&sslrootcert=%2Fetc%2Fca.pem&sslmode=require",
                SslMode::Require,
                Some("/etc/ca.pem"),
            ),
            ("host=/run/postgresql user=me sslmode=disable", SslMode::Disable, None),
            (
                r"host=db password='it is a \' secret' sslrootcert='/etc/my ca.pem' sslmode=verify-full",
                SslMode::Require,
                Some("/etc/my ca.pem"),
            ),
        ] {
            let read = text.parse::<ConnectionString>().unwrap();
            assert_eq!(read.config.get_ssl_mode(), mode, "{text}");
            assert_eq!(read.root_cert.as_deref(), root.map(std::path::Path::new), "{text}");
        }
        let words = r"host=db user=me password='a \' b'".parse::<ConnectionString>().unwrap();
        assert_eq!(words.config.get_password(), Some(&b"a ' b"[..]));
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_telling_the_secret() {
        for text in ["", "user=me", "postgres://me:hush@db:port/x", "host=db password=hush hush"] {
            let error = text.parse::<ConnectionString>().unwrap_err();
            assert_eq!(error, ConnectionStringError::Unreadable, "{text}");
        }
        let error = "host=db sslmode=verify-ca".parse::<ConnectionString>().unwrap_err();
        assert_eq!(error, ConnectionStringError::SslMode);
    }
}
