//! Errors as gRPC statuses.

use std::time::Duration;

use prost::Message as _;
use prost_types::Any;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _, pb};

use crate::{
    directory::VersionError,
    net::LimitReachedError,
    reload::NotInForce,
    request::{FieldPath, Violation},
    store::{PolicyStore, StoreLookupError},
};

/// The time after which a shed caller should try again: about as long as calls take.
const RETRY_AFTER: Duration = Duration::from_millis(100);

// A status travels in HTTP/2 headers, and common clients take no more than 8 KiB of them: a larger
// status would arrive as an internal error without any explanation. The details carry the message
// once more, and base64 adds a third.
const MESSAGE_BYTES: usize = 400;
const VIOLATIONS_BYTES: usize = 4_000;

/// Returns INVALID_ARGUMENT with a violation for each field.
pub(super) fn bad_request(violations: Vec<Violation>) -> Status {
    let message = summary(&violations);
    let fields = fields(that_fit(violations));
    Status::with_error_details(
        Code::InvalidArgument,
        message,
        ErrorDetails::with_bad_request(
            fields
                .into_iter()
                .map(|field| tonic_types::FieldViolation::new(field.field, field.description))
                .collect::<Vec<_>>(),
        ),
    )
}

/// Returns INVALID_ARGUMENT for one item of a batch, with every violation.
pub(super) fn bad_item(violations: Vec<Violation>) -> pb::Status {
    let message = summary(&violations);
    let details = pb::BadRequest { field_violations: fields(violations) };
    pb::Status {
        code: Code::InvalidArgument.into(),
        message,
        details: vec![Any {
            type_url: "type.googleapis.com/google.rpc.BadRequest".to_owned(),
            value: details.encode_to_vec(),
        }],
    }
}

/// Returns the status of a call for which no store can be found.
fn no_store(error: StoreLookupError) -> Status {
    match error {
        StoreLookupError::NoneLoaded => Status::unavailable(error.to_string()),
        StoreLookupError::Unknown { .. } | StoreLookupError::Refused { .. } => {
            Status::not_found(shorten(error.to_string(), MESSAGE_BYTES))
        }
        StoreLookupError::Ambiguous { .. } => {
            bad_request(vec![FieldPath::Field("policy_store").violation(error.to_string())])
        }
    }
}

/// Returns the status of a call that nothing in force can answer.
pub(super) fn not_in_force(error: NotInForce) -> Status {
    match error {
        NotInForce::Store(error) => no_store(error),
        NotInForce::Directory(error) => Status::unavailable(error.to_string()),
        NotInForce::NoDirectory(_) => Status::failed_precondition(error.to_string()),
        NotInForce::Version(error) => no_such_version("at_least_version", error),
    }
}

/// Returns FAILED_PRECONDITION, or INVALID_ARGUMENT for a field that holds no version.
pub(super) fn no_such_version(field: &str, error: VersionError) -> Status {
    match error {
        VersionError::Unreadable(_) => {
            bad_request(vec![FieldPath::Field(field).violation(error.to_string())])
        }
        VersionError::OtherGeneration(_) => Status::failed_precondition(error.to_string()),
    }
}

/// Returns FAILED_PRECONDITION for what only a directory can answer.
pub(super) fn no_directory(store: &PolicyStore) -> Status {
    not_in_force(NotInForce::NoDirectory(store.name().clone()))
}

/// Returns UNAUTHENTICATED for a call without the token of the listener.
pub(super) fn no_token() -> Status {
    Status::unauthenticated(
        "send the token of this listener in the header `authorization: Bearer …`",
    )
}

/// Returns RESOURCE_EXHAUSTED, with the time after which to try again.
pub(super) fn limit_reached(error: LimitReachedError) -> Status {
    let details = ErrorDetails::with_retry_info(Some(RETRY_AFTER));
    Status::with_error_details(Code::ResourceExhausted, error.to_string(), details)
}

/// Returns UNAVAILABLE.
pub(super) fn stopping(error: impl std::fmt::Display) -> Status {
    Status::unavailable(error.to_string())
}

fn summary(violations: &[Violation]) -> String {
    let more = match violations.len() {
        0 | 1 => String::new(),
        2 => " (and 1 violation more)".to_owned(),
        count => format!(" (and {} violations more)", count - 1),
    };
    let first = violations.first().map(ToString::to_string).unwrap_or_default();
    format!("{}{more}", shorten(first, MESSAGE_BYTES))
}

/// Returns as many violations as fit into a status.
fn that_fit(violations: Vec<Violation>) -> Vec<Violation> {
    let mut left = VIOLATIONS_BYTES;
    let mut fitting = Vec::new();
    let mut more = 0;
    for mut violation in violations {
        // The first is sent in any case.
        if fitting.is_empty() {
            violation.field = shorten(violation.field, VIOLATIONS_BYTES / 4);
            violation.description = shorten(violation.description, VIOLATIONS_BYTES / 2);
        }
        let size = violation.field.len() + violation.description.len();
        if more > 0 || size > left {
            more += 1;
        } else {
            left -= size;
            fitting.push(violation);
        }
    }
    if more > 0 {
        let description = format!("there are at least {more} violations more");
        fitting.push(FieldPath::Field("request").violation(description));
    }
    fitting
}

fn fields(violations: Vec<Violation>) -> Vec<pb::bad_request::FieldViolation> {
    let fields = violations.into_iter().map(|violation| pb::bad_request::FieldViolation {
        field: violation.field,
        description: violation.description,
        ..pb::bad_request::FieldViolation::default()
    });
    fields.collect()
}

/// Shortens a text to its beginning.
fn shorten(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes));
        text.push('…');
    }
    text
}
