//! The tokens by which a caller goes on with a list. A token is opaque, and holds for the question to
//! which it was given alone.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::{
    model::{StoreName, hex, unhex},
    request::{
        FieldPath, ListInput, Violation,
        json::{EntityJson, Fields, RoleJson, UidJson},
    },
};

/// Bytes of the digest of a question.
const DIGEST_BYTES: usize = 16;

/// Makes and reads the page tokens of one question.
pub(super) struct PageTokens {
    digest: [u8; DIGEST_BYTES],
}

/// The question that a token is bound to: everything that decides which entities are listed, apart from what may
/// change between two pages.
#[derive(Serialize)]
struct TokenQuestion<'a> {
    store: &'a str,
    open: &'a str,
    entity_type: &'a str,
    principal: Option<UidJson<'a>>,
    action: Option<UidJson<'a>>,
    resource: Option<UidJson<'a>>,
    context: Fields<'a>,
    entities: Vec<EntityJson<'a>>,
    role_assignments: Vec<RoleJson<'a>>,
}

impl PageTokens {
    /// Makes the tokens of a question.
    pub fn new(store: &StoreName, input: &ListInput) -> Self {
        let question = &input.question;
        let question = TokenQuestion {
            store: store.as_str(),
            open: input.open.name(),
            entity_type: &input.entity_type,
            principal: question.principal.as_ref().map(UidJson),
            action: question.action.as_ref().map(UidJson),
            resource: question.resource.as_ref().map(UidJson),
            context: Fields(&question.context),
            entities: question.entities.iter().map(EntityJson::new).collect(),
            role_assignments: question.role_assignments.iter().map(RoleJson::new).collect(),
        };
        // Writing to memory does not fail.
        let question = serde_json::to_vec(&question).unwrap_or_default();
        let mut digest = [0; DIGEST_BYTES];
        for (to, from) in digest.iter_mut().zip(Sha256::digest(question)) {
            *to = from;
        }
        Self { digest }
    }

    /// Returns the token of the page after an id.
    pub fn after(&self, id: &str) -> String {
        hex(&self.digest) + &hex(id.as_bytes())
    }

    /// Returns the id after which the page of a token begins; nothing for the first page.
    ///
    /// # Errors
    /// The text is no token, or that of another question.
    pub fn read(&self, token: &str) -> Result<Option<String>, Violation> {
        if token.is_empty() {
            return Ok(None);
        }
        let refused = |description: &str| FieldPath::Field("page_token").violation(description);
        let id = || {
            let bytes = unhex(token)?;
            let (digest, id) = bytes.split_at_checked(DIGEST_BYTES)?;
            Some((digest == self.digest, String::from_utf8(id.to_vec()).ok()?))
        };
        match id() {
            Some((true, id)) => Ok(Some(id)),
            Some((false, _)) => Err(refused(
                "it belongs to another question: send it with the question that it was given to, \
                 or begin anew without it",
            )),
            None => Err(refused("not a page token: send the `next_page_token` of an answer")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        model::{Uid, Value},
        request::{RequestInput, Side},
    };

    fn question() -> ListInput {
        let principal = Some(Uid::new("User", "alice"));
        let context = vec![("n".to_owned(), Value::Long(1))];
        let question = RequestInput { principal, context, ..RequestInput::default() };
        ListInput { question, open: Side::Resource, entity_type: "Site".to_owned() }
    }

    fn tokens(store: &str, input: &ListInput) -> PageTokens {
        PageTokens::new(&store.parse().unwrap(), input)
    }

    #[test]
    fn a_token_is_read_as_it_was_made_whatever_the_id() {
        for id in ["1", "", "ä\n…", "0123456789abcdef"] {
            let tokens = tokens("acme", &question());
            assert_eq!(tokens.read(&tokens.after(id)).unwrap().as_deref(), Some(id));
        }
        assert_eq!(tokens("acme", &question()).read("").unwrap(), None);
    }

    #[test]
    fn a_token_of_another_question_is_refused() {
        let token = tokens("acme", &question()).after("1");
        let mut others = vec![question(); 4];
        others[0].entity_type = "Team".to_owned();
        others[1].open = Side::Principal;
        others[2].question.context[0].1 = Value::Long(2);
        others[3].question.principal = Some(Uid::new("User", "bob"));
        for other in others {
            let violation = tokens("acme", &other).read(&token).unwrap_err();
            assert!(violation.description.contains("another question"), "{violation}");
        }
        assert!(tokens("other", &question()).read(&token).is_err());
    }

    #[test]
    fn garbage_is_no_token() {
        let tokens = tokens("acme", &question());
        let token = tokens.after("1");
        for text in ["x", "00", "é", &token[1..], &format!("{token}ff"), &format!("{token}g0")] {
            let violation = tokens.read(text).unwrap_err();
            assert!(violation.description.contains("not a page token"), "{text}: {violation}");
            assert_eq!(violation.field, "page_token");
        }
    }
}
