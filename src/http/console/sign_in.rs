//! Showing who one is, where the listener asks for a token: a browser is asked once and keeps it in a
//! cookie until it is closed. The cookie opens the pages of the console and nothing else.

use askama::Template;
use axum::{
    Extension,
    extract::{DefaultBodyLimit, FromRequest as _, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tokio::time::timeout;

use super::{Console, respond};
use crate::{http::caller_base::CallerBase, net::BearerTokens};

/// The path of the form.
pub(super) const PATH: &str = "/sign-in";
/// The name of the cookie.
const COOKIE: &str = "humbaba_token";
/// The name of the form's field.
const FIELD: &str = "token=";

/// Bytes of the form: the longest token, each character escaped.
const FORM_BYTES: usize = 16 * 1024;

/// The pages that a cookie opens.
const PAGES: &[&str] = &[
    "/",
    "/matrix",
    "/policies",
    "/try",
    "/changes",
    "/decisions",
    "/decisions/stream",
    "/health",
];
/// Paths that everybody may see.
const OPEN: &[&str] = &[PATH, "/console.css", "/console.js"];

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    version: &'static str,
    /// The token that was sent does not count.
    is_wrong: bool,
}

/// Returns whether a request without a token in its header may see a page of the console.
pub(in crate::http) fn admits(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    tokens: &BearerTokens,
) -> bool {
    if OPEN.contains(&uri.path()) {
        return true;
    }
    is_page(method, uri)
        && cookies(headers).any(|sent| {
            let sent: Vec<u8> = percent_decode_str(sent).collect();
            tokens.has(&sent)
        })
}

/// Returns whether a request wants a page of the console.
pub(in crate::http) fn is_page(method: &Method, uri: &Uri) -> bool {
    method == Method::GET && PAGES.contains(&uri.path())
}

/// Returns the way to the form.
pub(in crate::http) fn to_sign_in() -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, PATH)]).into_response()
}

/// Returns the values of the cookie.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let cookies = lines.flat_map(|line| line.split(';')).map(str::trim);
    cookies.filter_map(|cookie| cookie.strip_prefix(COOKIE)?.strip_prefix('='))
}

/// Returns the form, and what takes it.
pub(super) fn route() -> MethodRouter<Console> {
    get(show).post(enter).layer(DefaultBodyLimit::max(FORM_BYTES))
}

async fn show() -> Response {
    page(StatusCode::OK, false)
}

/// Takes the token of the form, and answers with the cookie.
async fn enter(
    State(console): State<Console>,
    Extension(CallerBase(base)): Extension<CallerBase>,
    request: Request,
) -> Response {
    let time = console.0.grpc.options().request_timeout;
    let form = match timeout(time, String::from_request(request, &())).await {
        Ok(Ok(form)) => form,
        Ok(Err(refusal)) => return refusal.into_response(),
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    let sent = form.split('&').find_map(|field| field.strip_prefix(FIELD)).unwrap_or_default();
    let sent: Vec<u8> = percent_decode_str(sent).collect();
    let sent = sent.trim_ascii();
    let is_right = console.0.tokens.as_ref().is_none_or(|tokens| tokens.has(sent));
    let text = std::str::from_utf8(sent).unwrap_or_default();
    let secure = if base.starts_with("https:") { "; Secure" } else { "" };
    let cookie = format!(
        "{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict{secure}",
        utf8_percent_encode(text, NON_ALPHANUMERIC)
    );
    match HeaderValue::try_from(cookie) {
        Ok(cookie) if is_right => {
            let home = HeaderValue::from_static("/");
            let headers = [(header::SET_COOKIE, cookie), (header::LOCATION, home)];
            (StatusCode::SEE_OTHER, headers).into_response()
        }
        _ => page(StatusCode::FORBIDDEN, true),
    }
}

fn page(status: StatusCode, is_wrong: bool) -> Response {
    respond::page_with(status, &SignInPage { version: env!("CARGO_PKG_VERSION"), is_wrong })
}
