//! Pages of a search, and the tokens by which a caller goes on.
//!
//! A token names the last result that was given and the question that it belongs to. It is kept by
//! nobody, so a reload between two pages breaks nothing.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::{
    Endpoint,
    answer::AuthzenCall,
    fault::Fault,
    form::{Object, mistyped, object},
};
use crate::model::{hex, unhex};

/// Bytes of the digest of a question in a token.
const DIGEST_BYTES: usize = 16;

/// The page that is asked for.
#[derive(Debug)]
pub(super) struct SearchPage {
    /// True where the request has a `page`.
    is_asked_for: bool,
    /// The limit of the caller, as it was sent with the first page.
    limit: Option<usize>,
    /// The results of one page.
    size: usize,
    /// The last result of the page before.
    after: Option<String>,
    /// The digest of the question.
    question: String,
}

impl SearchPage {
    /// Takes the page out of a request. `parts` are those that must not change between pages.
    ///
    /// # Errors
    /// The page has another form than AuthZEN says, or its token belongs to another question.
    pub fn take(
        form: &mut Object,
        call: &AuthzenCall<'_>,
        endpoint: Endpoint,
        parts: &Json,
    ) -> Result<Self, Fault> {
        let largest = call.decider.options.page_items;
        let store = call.in_force.store.name();
        let parts = sorted(parts.clone());
        let question = digest(&format!("{store}\n{}\n{parts}", endpoint.path()));
        let Some(mut page) = object(form, "", "page")? else {
            let (limit, after) = (None, None);
            return Ok(Self { is_asked_for: false, limit, size: largest, after, question });
        };
        object(&mut page, "page", "properties")?;
        let sent = match page.remove("limit") {
            None | Some(Json::Null) => None,
            Some(Json::Number(limit)) if limit.is_u64() => {
                let limit = limit.as_u64().and_then(|limit| usize::try_from(limit).ok());
                Some(limit.unwrap_or(usize::MAX))
            }
            Some(other) => {
                return Err(mistyped("page", "limit", "a whole number of 0 or more", &other));
            }
        };
        let token = match page.remove("token") {
            None | Some(Json::Null) => None,
            Some(Json::String(token)) if token.is_empty() => None,
            Some(Json::String(token)) => Some(token),
            Some(other) => return Err(mistyped("page", "token", "a string", &other)),
        };
        let (limit, after) = match token {
            None => (sent, None),
            Some(token) => {
                let read = read_token(&token).filter(|token| token.question == question);
                let read = read.filter(|token| sent.is_none() || sent == token.limit);
                let read = read.ok_or_else(|| {
                    Fault::form("`page.token`: it is not of this question with this limit: begin without a token")
                })?;
                (read.limit, read.after)
            }
        };
        let size = limit.map_or(largest, |limit| limit.min(largest));
        Ok(Self { is_asked_for: true, limit, size, after, question })
    }

    /// Returns the most results of the page.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Returns the last result of the pages before.
    pub fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// Takes the results of the page from those of all pages, which are in order, and the result after
    /// which the next page begins; nothing where there is none.
    pub fn cut(&self, results: impl Iterator<Item = String>) -> (Vec<String>, Option<String>) {
        let mut results =
            results.filter(|result| self.after().is_none_or(|after| after < &**result));
        let page: Vec<_> = results.by_ref().take(self.size).collect();
        let next = results.next().map(|_| match page.last() {
            Some(last) => last.clone(),
            None => self.after.clone().unwrap_or_default(),
        });
        (page, next)
    }

    /// Returns the answer, which tells of pages only where they play a part. `next` is the result after
    /// which the next page begins.
    pub fn response(&self, results: Vec<Json>, next: Option<&str>) -> Json {
        if !self.is_asked_for && next.is_none() {
            return json!({"results": results});
        }
        let page = json!({"next_token": next.map(|after| self.token(after)).unwrap_or_default(), "count": results.len()});
        json!({"page": page, "results": results})
    }

    fn token(&self, after: &str) -> String {
        let limit = self.limit.map(|limit| limit.to_string()).unwrap_or_default();
        format!("{}-{limit}-{}", self.question, hex(after.as_bytes()))
    }
}

/// The content of a token.
struct Token {
    question: String,
    limit: Option<usize>,
    after: Option<String>,
}

fn read_token(text: &str) -> Option<Token> {
    let mut parts = text.split('-');
    let (question, limit, after) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let limit = if limit.is_empty() { None } else { Some(limit.parse().ok()?) };
    let after = String::from_utf8(unhex(after)?).ok()?;
    let after = (!after.is_empty()).then_some(after);
    Some(Token { question: question.to_owned(), limit, after })
}

/// Returns a value with the members of each object in the order of their names.
fn sorted(json: Json) -> Json {
    match json {
        Json::Array(values) => values.into_iter().map(sorted).collect(),
        Json::Object(fields) => {
            let fields: BTreeMap<_, _> =
                fields.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            fields.into_iter().collect()
        }
        other => other,
    }
}

fn digest(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    hex(digest.get(..DIGEST_BYTES).unwrap_or_default())
}
