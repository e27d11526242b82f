//! Pages of a search. The token of a page names the last result before it and the caller's limit.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::{
    Endpoint,
    answer::AuthzenCall,
    error::AuthzenError,
    form::{Object, mistyped, object},
};
use crate::grpc::PageTokens;

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
    /// The tokens of the question.
    tokens: PageTokens,
}

/// The key of a page in its token: the limit, and the last result before it.
type PageKey = (Option<usize>, Option<String>);

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
    ) -> Result<Self, AuthzenError> {
        let largest = call.decider.options.page_items;
        let store = call.in_force.store.name();
        let parts = sorted(parts.clone());
        let tokens = PageTokens::new(endpoint.path(), format!("{store}\n{parts}").as_bytes());
        let Some(mut page) = object(form, "", "page")? else {
            let (limit, after) = (None, None);
            return Ok(Self { is_asked_for: false, limit, size: largest, after, tokens });
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
            None | Some(Json::Null) => String::new(),
            Some(Json::String(token)) => token,
            Some(other) => return Err(mistyped("page", "token", "a string", &other)),
        };
        let (limit, after) = match tokens.read::<PageKey>(&token) {
            Ok(None) => (sent, None),
            Ok(Some((limit, after))) if sent.is_none() || sent == limit => (limit, after),
            _ => {
                return Err(AuthzenError::form(
                    "`page.token`: it is not of this question with this limit: begin without a token",
                ));
            }
        };
        let size = limit.map_or(largest, |limit| limit.min(largest));
        Ok(Self { is_asked_for: true, limit, size, after, tokens })
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
        self.tokens.after(&(self.limit, Some(after).filter(|after| !after.is_empty())))
    }
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
