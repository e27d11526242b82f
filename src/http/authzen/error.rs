//! Requests that get no answer. The body is a message for people.

use axum::{
    http::{Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use tonic::{Code, Status};

use crate::{
    directory::VersionError, grpc::PANICKED, net::LimitReachedError, reload::NotInForce,
    store::StoreLookupError,
};

/// Seconds after which a shed caller should try again. HTTP has no shorter time.
const RETRY_AFTER: &str = "1";

/// A request that gets no answer.
#[derive(Debug)]
pub(super) struct AuthzenError {
    pub status: StatusCode,
    pub message: String,
    /// The code in metrics and spans, in the words of gRPC.
    pub code: Code,
    /// Asks the caller to try again.
    retry: bool,
}

impl AuthzenError {
    fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), code, retry: false }
    }

    /// Returns 400: the request is not of the form that AuthZEN demands.
    pub fn form(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::InvalidArgument, message)
    }

    /// Returns 413: the body has more bytes than may be.
    pub fn too_large(limit: usize) -> Self {
        let message =
            format!("the body has more than {limit} bytes: send less, or several requests");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, Code::OutOfRange, message)
    }

    /// Returns 503: a limit on all calls is reached.
    pub fn limit_reached(error: LimitReachedError) -> Self {
        let (status, code) = (StatusCode::SERVICE_UNAVAILABLE, Code::ResourceExhausted);
        Self { retry: true, ..Self::new(status, code, error.to_string()) }
    }

    /// Returns 503.
    pub fn unavailable(message: impl ToString) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, message.to_string())
    }

    /// Returns 504: the request took too long.
    pub fn timeout(time: std::time::Duration) -> Self {
        let message = format!(
            "the request took longer than {time:?}: ask for less at once, or raise \
             `limits.request_timeout_ms`"
        );
        Self::new(StatusCode::GATEWAY_TIMEOUT, Code::DeadlineExceeded, message)
    }

    /// Returns 500: the work for this request panicked.
    pub fn panicked() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, PANICKED)
    }

    /// Returns 503 where nothing can decide yet, 412 where no version of a directory can be compared
    /// with the one that is asked for, 400 where the text that is sent is not a version, else 404.
    pub fn not_in_force(error: NotInForce) -> Self {
        let error = match error {
            NotInForce::Store(error) => error,
            NotInForce::Directory(error) => return Self::unavailable(error),
            NotInForce::Version(VersionError::Unreadable(_)) => {
                return Self::form(error.to_string());
            }
            NotInForce::NoDirectory(_) | NotInForce::Version(VersionError::OtherGeneration(_)) => {
                let (status, code) = (StatusCode::PRECONDITION_FAILED, Code::FailedPrecondition);
                return Self::new(status, code, error.to_string());
            }
        };
        let message = match &error {
            StoreLookupError::NoneLoaded => return Self::unavailable(error),
            StoreLookupError::Ambiguous { .. } => {
                format!("{error}: ask one of them below `/stores/<name>`")
            }
            StoreLookupError::Unknown { .. } | StoreLookupError::Refused { .. } => {
                error.to_string()
            }
        };
        Self::new(StatusCode::NOT_FOUND, Code::NotFound, message)
    }

    /// Returns the status of something that gRPC refuses too.
    pub fn of_status(status: Status) -> Self {
        Self::unavailable(status.message())
    }
}

impl IntoResponse for AuthzenError {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.message + "\n").into_response();
        if self.retry {
            let seconds = header::HeaderValue::from_static(RETRY_AFTER);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

/// Answers a path that is not there.
pub(super) async fn not_found(uri: Uri) -> AuthzenError {
    let path: String = uri.path().chars().take(80).collect();
    let message = format!("nothing is at `{path}`: `/openapi.json` names the paths");
    AuthzenError::new(StatusCode::NOT_FOUND, Code::NotFound, message)
}

/// Answers a method that a path does not have; the header `Allow` names those that it has.
pub(super) async fn not_allowed(method: Method) -> AuthzenError {
    let message = format!(
        "this path does not take `{method}`: the header `Allow` names the methods that it takes"
    );
    AuthzenError::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unimplemented, message)
}
