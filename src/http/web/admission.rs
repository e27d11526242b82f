//! Admission of requests: the host that was asked for, the token, and the id of the request, which comes back
//! on every answer.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use tonic::Code;

use super::hosts::AllowedHosts;
use crate::{
    grpc::GrpcServer,
    http::{authzen, caller_base::CallerBase, console},
    net::BearerTokens,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The rules by which requests of a listener are admitted. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    pub hosts: Arc<AllowedHosts>,
    pub tokens: Option<BearerTokens>,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Counts what is asked without the token.
    pub grpc: GrpcServer,
}

/// Answers a request with what follows, or refuses it.
pub(super) async fn admit(
    State(admission): State<Admission>,
    mut request: Request,
    next: Next,
) -> Response {
    let request_id = request.headers().get(REQUEST_ID).cloned();
    let mut response = match admission.check(&request) {
        Ok(base) => {
            request.extensions_mut().insert(base);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    };
    if let Some(request_id) = request_id {
        response.headers_mut().insert(REQUEST_ID, request_id);
    }
    response
}

/// A request that is not answered.
enum AdmissionRefusal {
    /// It names no host, or several.
    NoHost,
    /// It names a host that the listener is not.
    OtherHost(Authority),
    /// It does not carry the token.
    NoToken,
    /// It does not carry the token, and asks for a page that a person wants to see.
    NotSignedIn,
}

impl Admission {
    fn check(&self, request: &Request) -> Result<CallerBase, AdmissionRefusal> {
        let authority = authority(request).ok_or(AdmissionRefusal::NoHost)?;
        if !self.hosts.allows(&authority) {
            return Err(AdmissionRefusal::OtherHost(authority));
        }
        if let Some(tokens) = &self.tokens
            && !tokens.is_sent(request.headers())
            && !console::admits(request.method(), request.uri(), request.headers(), tokens)
        {
            if let Some(rpc) = authzen::rpc_of(request.uri().path()) {
                self.grpc.metrics().failed(rpc.name(), Code::Unauthenticated);
            }
            let is_page = console::is_page(request.method(), request.uri());
            return Err(if is_page {
                AdmissionRefusal::NotSignedIn
            } else {
                AdmissionRefusal::NoToken
            });
        }
        Ok(CallerBase(format!("{}://{authority}", self.scheme)))
    }
}

impl IntoResponse for AdmissionRefusal {
    fn into_response(self) -> Response {
        match self {
            Self::NoHost => {
                let message = "the request names no host, or several: send one `Host`\n";
                (StatusCode::BAD_REQUEST, message).into_response()
            }
            Self::OtherHost(host) => {
                let message = format!(
                    "`{host}` is not a name of this server: list it in the setting `http.hosts` if it is\n"
                );
                (StatusCode::MISDIRECTED_REQUEST, message).into_response()
            }
            Self::NotSignedIn => console::to_sign_in(),
            Self::NoToken => {
                let challenge = [(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
                let message = "send the token of this server as `Authorization: Bearer …`\n";
                (StatusCode::UNAUTHORIZED, challenge, message).into_response()
            }
        }
    }
}

/// Returns the host that is asked for: `:authority` of HTTP/2, `Host` of HTTP/1.
fn authority(request: &Request) -> Option<Authority> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = match (request.uri().authority(), hosts.next(), hosts.next()) {
        (_, _, Some(_)) => return None,
        (Some(authority), _, None) => authority.clone(),
        (None, host, None) => Authority::try_from(host?.as_bytes()).ok()?,
    };
    (!host.host().is_empty() && !host.as_str().contains('@')).then_some(host)
}
