//! Why there is no decision.

use std::{fmt::Write as _, time::Duration};

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::request::Violation;

/// Why a call has no answer. None of these is an allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The question does not fit the store's schema or limits. Asking again does not help.
    #[error("{message}{}", listed(violations))]
    InvalidInput {
        /// The server's words.
        message: String,
        /// Every fault, by field.
        violations: Vec<Violation>,
    },
    /// No policy store of that name is loaded.
    #[error("{0}")]
    UnknownStore(String),
    /// The store's directory cannot reach the version that was asked for.
    #[error("{0}")]
    VersionNotThere(String),
    /// The token or the client's certificate is missing or not accepted.
    #[error("{0}")]
    NotAccepted(String),
    /// The server is overloaded.
    #[error("{0}")]
    Overloaded(String),
    /// The server cannot be reached or has nothing to decide with.
    #[error("{0}")]
    Unavailable(String),
    /// There was no answer before the deadline.
    #[error("no answer within {} s", .0.as_secs_f64())]
    DeadlineExceeded(Duration),
    /// The call failed in another way.
    #[error("{code:?}: {message}")]
    Failed {
        /// The gRPC code.
        code: Code,
        /// The server's or the transport's words.
        message: String,
    },
}

fn listed(violations: &[Violation]) -> String {
    violations.iter().fold(String::new(), |mut text, one| {
        let _ = write!(text, "\n  {one}");
        text
    })
}

impl Error {
    /// Reads the status of a call that had that long.
    pub(super) fn of(status: &Status, timeout: Duration) -> Self {
        let message = message(status);
        match status.code() {
            Code::InvalidArgument | Code::OutOfRange => {
                Self::InvalidInput { message, violations: violations(status) }
            }
            Code::NotFound => Self::UnknownStore(message),
            Code::FailedPrecondition => Self::VersionNotThere(message),
            Code::Unauthenticated | Code::PermissionDenied => Self::NotAccepted(message),
            Code::ResourceExhausted => Self::Overloaded(message),
            Code::Unavailable => Self::Unavailable(message),
            // tonic's own timer, set by the same deadline, says CANCELLED.
            Code::DeadlineExceeded | Code::Cancelled => Self::DeadlineExceeded(timeout),
            code => Self::Failed { code, message },
        }
    }

    /// Returns every fault of the question by its field; none where the question was not at fault.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        match self {
            Self::InvalidInput { violations, .. } => violations,
            _ => &[],
        }
    }
}

fn violations(status: &Status) -> Vec<Violation> {
    let details = status.get_details_bad_request().into_iter();
    details
        .flat_map(|details| details.field_violations)
        .map(|one| Violation { field: one.field, description: one.description, limit: None })
        .collect()
}

/// Returns the words of a status with its causes, which the transport's statuses do not repeat.
fn message(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            let _ = write!(text, "{}{message}", if text.is_empty() { "" } else { ": " });
        }
        cause = error.source();
    }
    if text.is_empty() { status.code().description().to_owned() } else { text }
}
