//! Versions of a store's directory in headers: AuthZEN's own form has no place for them.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::{Authzen, error::AuthzenError};
use crate::{net::CallPermit, reload::InForce};

/// The header of a request that names the version of the directory that must be in force.
const AT_LEAST_VERSION: HeaderName = HeaderName::from_static("humbaba-at-least-version");

/// The header of an answer that names the version of the directory that it was decided with.
const DIRECTORY_VERSION: HeaderName = HeaderName::from_static("humbaba-directory-version");

impl Authzen {
    /// Returns the store and its directory as they are now, or once the directory has the version that
    /// the caller asks for. All of a request is decided with what this returns.
    ///
    /// # Errors
    /// There is no such store, it cannot decide, the version is not one of its directory, or too many
    /// calls wait already.
    pub(super) async fn in_force(
        &self,
        store: &str,
        headers: &HeaderMap,
        permit: &CallPermit,
    ) -> Result<InForce, AuthzenError> {
        let grpc = &self.0.grpc;
        let at_least = at_least_version(headers)?;
        let reached =
            grpc.live().in_force_at_least(store, at_least).map_err(AuthzenError::not_in_force)?;
        if let Some(in_force) = reached {
            return Ok(in_force);
        }
        let wait = grpc.live().wait_until_in_force(store, at_least);
        let waited = permit.release_while(grpc.waiting_limit(), wait).await;
        waited.map_err(AuthzenError::limit_reached)?.map_err(AuthzenError::not_in_force)
    }
}

/// Returns the version that a request asks for; an empty text where it asks for none.
fn at_least_version(headers: &HeaderMap) -> Result<&str, AuthzenError> {
    let mut asked = headers.get_all(AT_LEAST_VERSION).iter();
    let (first, more) = (asked.next(), asked.next());
    if more.is_some() {
        return Err(AuthzenError::form(format!("`{AT_LEAST_VERSION}`: send it once")));
    }
    let Some(version) = first else { return Ok("") };
    match version.to_str() {
        Ok("") | Err(_) => Err(AuthzenError::form(format!(
            "`{AT_LEAST_VERSION}`: send a version that an answer carried"
        ))),
        Ok(version) => Ok(version),
    }
}

/// Adds the version of the directory to the headers of an answer.
pub(super) fn tell(headers: &mut HeaderMap, in_force: &InForce) {
    let Some(directory) = &in_force.directory else { return };
    if let Ok(version) = HeaderValue::from_str(&directory.version_text) {
        headers.insert(DIRECTORY_VERSION, version);
    }
}
