//! The tokens that callers send in `authorization: Bearer …`.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::{HeaderMap, header::AUTHORIZATION};
use sha2::Sha256;

use crate::regular_file;

/// Bytes that a token has at least, so that nobody can guess it.
const SHORTEST: usize = 32;

/// Bytes that a token has at most: it must fit into the headers of a call.
const LONGEST: usize = 4 * 1024;

/// Tokens of one file. Two do for a rotation, and each one costs every call a comparison.
const MOST: usize = 16;

/// The scheme, in lower case, and the space after it.
const SCHEME: &[u8] = b"bearer ";

/// The tokens of a file, of which a caller sends any. Clones are the same tokens.
#[derive(Debug, Clone)]
pub struct BearerTokens {
    path: Arc<Path>,
    digests: Arc<ArcSwap<Vec<Vec<u8>>>>,
    problem: Arc<ArcSwapOption<String>>,
}

/// The file does not hold tokens, one on a line.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It cannot be read.
    #[error("cannot read `{}`: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// It is empty.
    #[error("`{}` must hold a token: make one, e.g. with `openssl rand -hex 32`", .0.display())]
    Empty(PathBuf),
    /// A line is too short or too long, or not such text as headers carry.
    #[error(
        "line {line} of `{}` must be a token of {SHORTEST} to {LONGEST} letters, digits and signs \
         without spaces: make one, e.g. with `openssl rand -hex 32`",
        path.display()
    )]
    Unfit {
        /// The file.
        path: PathBuf,
        /// The number of the line, from 1.
        line: usize,
    },
    /// It holds too many.
    #[error(
        "`{}` must hold at most {MOST} tokens: remove those that nobody sends any more",
        .0.display()
    )]
    TooMany(PathBuf),
}

impl BearerTokens {
    /// Reads the tokens of a file, one on a line. Blanks around a token, empty lines and a token that
    /// is there before are left out.
    ///
    /// # Errors
    /// The file holds no token, too many, or a line that is none.
    pub fn load(path: &Path) -> Result<Self, TokenError> {
        let digests = Arc::new(ArcSwap::from_pointee(read(path)?));
        Ok(Self { path: path.into(), digests, problem: Arc::default() })
    }

    /// Reads the file again. Where it does not hold tokens the last ones stay.
    pub fn reload(&self) {
        let read = read(&self.path);
        let problem = read.as_ref().err().map(ToString::to_string);
        let before = self.problem.swap(problem.clone().map(Arc::new));
        match read {
            Ok(new) if new == **self.digests.load() => {
                if before.is_some() {
                    let file = self.path.display();
                    tracing::info!(%file, tokens = new.len(), "the file of tokens is in order again");
                }
            }
            Ok(new) => {
                let tokens = new.len();
                self.digests.store(Arc::new(new));
                tracing::info!(file = %self.path.display(), tokens, "the tokens are replaced");
            }
            // A file that stays as it is is logged once.
            Err(_) if before.as_deref() == problem.as_ref() => {}
            Err(error) => tracing::error!("the tokens stay as they were: {error}"),
        }
    }

    /// Returns why the file as it is now is refused, if it is. It holds nothing of the tokens.
    #[must_use]
    pub fn problem(&self) -> Option<Arc<String>> {
        self.problem.load_full()
    }

    /// Returns the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns how many tokens count.
    #[must_use]
    pub fn count(&self) -> usize {
        self.digests.load().len()
    }

    /// Returns whether a call has one of the tokens. The time that this takes tells nothing of them.
    #[must_use]
    pub fn is_sent(&self, headers: &HeaderMap) -> bool {
        let Some(sent) = headers.get(AUTHORIZATION) else { return false };
        let Some((scheme, token)) = sent.as_bytes().split_at_checked(SCHEME.len()) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(SCHEME) && self.has(token)
    }

    /// Returns whether this is one of the tokens. The time that this takes tells nothing of them.
    pub(crate) fn has(&self, token: &[u8]) -> bool {
        let Some(mac) = mac(token) else { return false };
        let digests = self.digests.load();
        // Every digest is compared, so that the time does not tell which one it is.
        let is_one = |digest: &Vec<u8>| mac.clone().verify_slice(digest).is_ok();
        digests.iter().map(is_one).fold(false, |found, is_one| found | is_one)
    }
}

/// Returns the digests of the tokens of a file.
fn read(path: &Path) -> Result<Vec<Vec<u8>>, TokenError> {
    let unreadable = |error| TokenError::Unreadable { path: path.to_owned(), error };
    let text = regular_file::read_text(path).map_err(unreadable)?;
    let mut digests = Vec::new();
    for (index, line) in text.as_bytes().split(|byte| *byte == b'\n').enumerate() {
        let token = line.trim_ascii();
        if token.is_empty() {
            continue;
        }
        if !(SHORTEST..=LONGEST).contains(&token.len()) || !token.iter().all(u8::is_ascii_graphic) {
            return Err(TokenError::Unfit { path: path.to_owned(), line: index + 1 });
        }
        let digest = digest(token);
        if digests.contains(&digest) {
            continue;
        }
        if digests.len() == MOST {
            return Err(TokenError::TooMany(path.to_owned()));
        }
        digests.push(digest);
    }
    if digests.is_empty() {
        return Err(TokenError::Empty(path.to_owned()));
    }
    Ok(digests)
}

/// Returns the authentication code that the token makes as a key. Codes are compared in constant time.
fn mac(token: &[u8]) -> Option<Hmac<Sha256>> {
    let mac = Hmac::<Sha256>::new_from_slice(token).ok()?;
    Some(mac.chain_update(b"bearer token"))
}

fn digest(token: &[u8]) -> Vec<u8> {
    // A key may have any length. Nothing is verified by an empty code.
    mac(token).map(|mac| mac.finalize().into_bytes().to_vec()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use hyper::header::HeaderValue;
    use tempfile::TempDir;

    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn only_the_tokens_of_the_file_are_accepted() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, format!("{TOKEN}\n")).unwrap();
        let tokens = BearerTokens::load(&path).unwrap();
        for scheme in ["Bearer", "bearer", "BEARER"] {
            assert!(tokens.is_sent(&headers(&format!("{scheme} {TOKEN}"))));
        }
        for other in [
            String::new(),
            "Bearer".to_owned(),
            "Bearer ".to_owned(),
            TOKEN.to_owned(),
            format!("Basic {TOKEN}"),
            format!("Bearer {TOKEN}0"),
            format!("Bearer {}", &TOKEN[1..]),
            format!("Bearer  {TOKEN}"),
        ] {
            assert!(!tokens.is_sent(&headers(&other)), "{other:?}");
        }
        assert!(!tokens.is_sent(&HeaderMap::new()));
        let new = TOKEN.to_uppercase();
        fs::write(&path, &new).unwrap();
        tokens.reload();
        assert!(tokens.is_sent(&headers(&format!("Bearer {new}"))));
        assert!(!tokens.is_sent(&headers(&format!("Bearer {TOKEN}"))));
        fs::write(&path, "short").unwrap();
        tokens.reload();
        assert!(tokens.is_sent(&headers(&format!("Bearer {new}"))));
        assert!(tokens.problem().unwrap().contains("line 1 of"));
        fs::write(&path, &new).unwrap();
        tokens.reload();
        assert_eq!(tokens.problem(), None);
    }

    #[test]
    fn each_line_of_the_file_is_a_token_of_its_own() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("token");
        let new = TOKEN.to_uppercase();
        fs::write(&path, format!("\n  {TOKEN}\r\n\n{new}")).unwrap();
        let tokens = BearerTokens::load(&path).unwrap();
        assert_eq!(tokens.count(), 2);
        for token in [TOKEN, &new] {
            assert!(tokens.has(token.as_bytes()), "{token}");
        }
        for other in ["", "\n", &format!("{TOKEN}\n{new}"), &format!("{TOKEN}{new}")] {
            assert!(!tokens.has(other.as_bytes()), "{other:?}");
        }
        fs::write(&path, &new).unwrap();
        tokens.reload();
        assert!(!tokens.has(TOKEN.as_bytes()) && tokens.has(new.as_bytes()));
        // One bad line refuses the file: nobody is to believe that its token counts.
        fs::write(&path, format!("{new}\n{TOKEN}\nshort\n")).unwrap();
        tokens.reload();
        assert!(!tokens.has(TOKEN.as_bytes()) && tokens.has(new.as_bytes()));
        assert!(tokens.problem().unwrap().contains("line 3 of"));
    }

    #[test]
    fn a_file_as_windows_writes_it_holds_the_token_that_was_meant_or_is_refused_by_name() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, format!("\u{feff}{TOKEN}\r\n")).unwrap();
        let tokens = BearerTokens::load(&path).unwrap();
        assert!(tokens.has(TOKEN.as_bytes()) && tokens.count() == 1);
        let marked = format!("\u{feff}{TOKEN}");
        let utf16: Vec<_> = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
        fs::write(&path, utf16).unwrap();
        let error = BearerTokens::load(&path).unwrap_err().to_string();
        assert!(error.ends_with("it is not UTF-8 text: it looks like UTF-16"), "{error}");
    }

    #[test]
    fn what_could_be_guessed_or_not_be_sent_is_no_token() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("token");
        for text in ["", "\n", " \r\n \n"] {
            fs::write(&path, text).unwrap();
            assert!(matches!(BearerTokens::load(&path), Err(TokenError::Empty(_))), "{text:?}");
        }
        for text in [&TOKEN[1..], &format!("{TOKEN} {TOKEN}"), &TOKEN.repeat(1_000)] {
            fs::write(&path, text).unwrap();
            let refused = BearerTokens::load(&path);
            assert!(matches!(refused, Err(TokenError::Unfit { line: 1, .. })), "{text}");
        }
        let missing = folder.path().join("missing");
        assert!(matches!(BearerTokens::load(&missing), Err(TokenError::Unreadable { .. })));
    }

    #[test]
    fn a_file_holds_a_bounded_number_of_tokens() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("token");
        let tokens = |count: usize| -> String {
            (0..count).map(|number| format!("{TOKEN}{number}\n")).collect()
        };
        fs::write(&path, tokens(MOST)).unwrap();
        let loaded = BearerTokens::load(&path).unwrap();
        assert!(loaded.has(format!("{TOKEN}{}", MOST - 1).as_bytes()));
        fs::write(&path, tokens(MOST + 1)).unwrap();
        assert!(matches!(BearerTokens::load(&path), Err(TokenError::TooMany(_))));
    }
}
