//! Answers: pages with their headers, and the two files beside them.

use std::fmt::{self, Write};

use askama::Template;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

/// Bytes of a page. Every view shows less; where one does not, it is not sent.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Allows nothing but the console's own two files, its forms and its stream.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
                      img-src 'self' data:; connect-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("console.css");
const SCRIPT: &str = include_str!("console.js");

/// Writes a page.
pub(super) fn page(template: &impl Template) -> Response {
    page_with(StatusCode::OK, template)
}

/// Writes a page with a status.
pub(super) fn page_with(status: StatusCode, template: &impl Template) -> Response {
    let mut text = Bounded(String::new());
    match template.render_into(&mut text) {
        Ok(()) => {
            let html = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
            (status, html, text.0).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a page of the console cannot be written");
            let message = "this page would be too large: choose less of it with a filter\n";
            (StatusCode::INTERNAL_SERVER_ERROR, message).into_response()
        }
    }
}

/// Puts the headers on an answer that keep everything else out of the page, and the page out of
/// caches.
pub(super) async fn secure(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

pub(super) async fn style() -> Response {
    file("text/css; charset=utf-8", STYLE)
}

pub(super) async fn script() -> Response {
    file("text/javascript; charset=utf-8", SCRIPT)
}

/// Pages name the version of the process with these files, so they may be kept for a while.
fn file(content_type: &'static str, text: &'static str) -> Response {
    let headers =
        [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "private, max-age=300")];
    (headers, text).into_response()
}

/// A page, up to its bound.
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > PAGE_BYTES {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}
