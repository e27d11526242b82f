//! The token that callers send in `authorization: Bearer …`.

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

/// The scheme, in lower case, and the space after it.
const SCHEME: &[u8] = b"bearer ";

/// A token that is kept in a file. Clones are the same token.
#[derive(Debug, Clone)]
pub struct BearerToken {
    path: Arc<Path>,
    digest: Arc<ArcSwap<Vec<u8>>>,
    problem: Arc<ArcSwapOption<String>>,
}

/// The file holds no token.
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
    /// It is too short or too long, or not such text as headers carry.
    #[error(
        "`{}` must hold one token of {SHORTEST} to {LONGEST} letters, digits and signs without \
         spaces: make one, e.g. with `openssl rand -hex 32`",
        .0.display()
    )]
    Unfit(PathBuf),
}

impl BearerToken {
    /// Reads the token of a file; blanks around it are left out.
    ///
    /// # Errors
    /// The file holds no token.
    pub fn load(path: &Path) -> Result<Self, TokenError> {
        let digest = Arc::new(ArcSwap::from_pointee(digest(&read(path)?)));
        Ok(Self { path: path.into(), digest, problem: Arc::default() })
    }

    /// Reads the file again. Where it holds no token the last one stays.
    pub fn reload(&self) {
        let read = read(&self.path).map(|token| digest(&token));
        let problem = read.as_ref().err().map(ToString::to_string);
        let before = self.problem.swap(problem.clone().map(Arc::new));
        match read {
            Ok(new) if new == **self.digest.load() => {}
            Ok(new) => {
                self.digest.store(Arc::new(new));
                tracing::info!(file = %self.path.display(), "the token is replaced");
            }
            // A file that stays as it is is logged once.
            Err(_) if before.as_deref() == problem.as_ref() => {}
            Err(error) => tracing::error!("the token stays as it was: {error}"),
        }
    }

    /// Returns why the file as it is now holds no token, if it does not. It holds nothing of the file.
    #[must_use]
    pub fn problem(&self) -> Option<Arc<String>> {
        self.problem.load_full()
    }

    /// Returns the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether a call has the token. The time that this takes tells nothing of the token.
    #[must_use]
    pub fn is_sent(&self, headers: &HeaderMap) -> bool {
        let Some(sent) = headers.get(AUTHORIZATION) else { return false };
        let Some((scheme, token)) = sent.as_bytes().split_at_checked(SCHEME.len()) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(SCHEME) && self.is(token)
    }

    /// Returns whether this is the token. The time that this takes tells nothing of the token.
    pub(crate) fn is(&self, token: &[u8]) -> bool {
        mac(token).is_some_and(|mac| mac.verify_slice(&self.digest.load()).is_ok())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TokenError> {
    let unreadable = |error| TokenError::Unreadable { path: path.to_owned(), error };
    let bytes = regular_file::read(path).map_err(unreadable)?;
    let token = bytes.trim_ascii();
    if !(SHORTEST..=LONGEST).contains(&token.len()) || !token.iter().all(u8::is_ascii_graphic) {
        return Err(TokenError::Unfit(path.to_owned()));
    }
    Ok(token.to_owned())
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
    fn only_the_token_of_the_file_is_accepted() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, format!("{TOKEN}\n")).unwrap();
        let token = BearerToken::load(&path).unwrap();
        for scheme in ["Bearer", "bearer", "BEARER"] {
            assert!(token.is_sent(&headers(&format!("{scheme} {TOKEN}"))));
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
            assert!(!token.is_sent(&headers(&other)), "{other:?}");
        }
        assert!(!token.is_sent(&HeaderMap::new()));
        let new = TOKEN.to_uppercase();
        fs::write(&path, &new).unwrap();
        token.reload();
        assert!(token.is_sent(&headers(&format!("Bearer {new}"))));
        assert!(!token.is_sent(&headers(&format!("Bearer {TOKEN}"))));
        fs::write(&path, "short").unwrap();
        token.reload();
        assert!(token.is_sent(&headers(&format!("Bearer {new}"))));
        assert!(token.problem().unwrap().contains("must hold one token"));
        fs::write(&path, &new).unwrap();
        token.reload();
        assert_eq!(token.problem(), None);
    }

    #[test]
    fn what_could_be_guessed_or_not_be_sent_is_no_token() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("token");
        for text in ["", "\n", &TOKEN[1..], &format!("{TOKEN} {TOKEN}"), &TOKEN.repeat(1_000)] {
            fs::write(&path, text).unwrap();
            assert!(matches!(BearerToken::load(&path), Err(TokenError::Unfit(_))), "{text}");
        }
        let missing = folder.path().join("missing");
        assert!(matches!(BearerToken::load(&missing), Err(TokenError::Unreadable { .. })));
    }
}
