//! The query of a page: what its form or link asks for.

use axum::{
    extract::{FromRequestParts, Query as Fields},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
};

/// Fields of one query. More than this many is no form of ours.
const FIELDS: usize = 1_000;

/// The fields of a query, in their order. A field may be there several times.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Returns the value of a field, without blanks around it; empty where it is not there.
    pub fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// Returns the values of a field that may be there several times, the empty ones left out.
    pub fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        let fields = self.0.iter().filter(move |(key, _)| key.as_str() == name);
        fields.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    /// Returns a number; the default where it is none.
    pub fn number(&self, name: &str, default: usize) -> usize {
        self.get(name).parse().unwrap_or(default)
    }

    /// Writes the query again with another value of one field, for a link.
    pub fn with(&self, name: &str, value: &str) -> String {
        let kept = self.0.iter().filter(|(key, value)| key != name && !value.is_empty());
        let kept = kept.map(|(key, value)| (key.as_str(), value.as_str()));
        let own = [(name, value)].into_iter().filter(|(_, value)| !value.is_empty());
        let escaped = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        let fields =
            kept.chain(own).map(|(key, value)| format!("{}={}", escaped(key), escaped(value)));
        format!("?{}", fields.collect::<Vec<_>>().join("&"))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let read = Fields::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Ok(Fields(fields)) = read else {
            return Err((StatusCode::BAD_REQUEST, "the query cannot be read\n").into_response());
        };
        if fields.len() > FIELDS {
            let message = format!("more than {FIELDS} fields in the query\n");
            return Err((StatusCode::BAD_REQUEST, message).into_response());
        }
        Ok(Self(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_keeps_the_other_fields_and_escapes_them() {
        let fields =
            [("store", "acme"), ("q", "a&b=\"<"), ("role", "x"), ("role", "y"), ("p", "2")];
        let query = Query(fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec());
        assert_eq!(query.with("p", "3"), "?store=acme&q=a%26b%3D%22%3C&role=x&role=y&p=3");
        assert_eq!(query.with("role", ""), "?store=acme&q=a%26b%3D%22%3C&p=2");
        assert_eq!(query.all("role").collect::<Vec<_>>(), ["x", "y"]);
    }
}
