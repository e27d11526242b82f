//! The URL under which a caller has asked.

/// The URL under which a caller has asked, up to the path.
#[derive(Debug, Clone)]
pub(super) struct CallerBase(pub String);
