//! The tokens by which a caller goes on with a list, of a directory, of a question or of a search. A token is
//! opaque, and holds for the question to which it was given alone. Nobody keeps it, so that a reload
//! between two pages breaks nothing.

use serde::{Serialize, de::DeserializeOwned};
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
#[derive(Debug)]
pub(crate) struct PageTokens {
    digest: [u8; DIGEST_BYTES],
}

/// A text is no page token of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PageTokenError {
    /// It is that of another.
    #[error(
        "it belongs to another question: send it with the question that it was given to, or begin anew \
         without it"
    )]
    OtherQuestion,
    /// It is none at all.
    #[error("not a page token: send the `next_page_token` of an answer")]
    NoToken,
}

/// The question of a list that a token is bound to: everything that decides which entities are listed, apart
/// from what may change between two pages.
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
    /// Makes the tokens of a question to a method, of the bytes that it and no other question there has.
    pub(crate) fn new(method: &str, question: &[u8]) -> Self {
        let all = Sha256::new().chain_update(method).chain_update([0]).chain_update(question);
        let mut digest = [0; DIGEST_BYTES];
        for (to, from) in digest.iter_mut().zip(all.finalize()) {
            *to = from;
        }
        Self { digest }
    }

    /// Makes the tokens of the question of a list of resources or principals.
    pub(super) fn of_list(store: &StoreName, input: &ListInput) -> Self {
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
        Self::new("list", &serde_json::to_vec(&question).unwrap_or_default())
    }

    /// Returns the token of the page after a key.
    pub(crate) fn after(&self, key: &impl Serialize) -> String {
        // Texts are always JSON.
        hex(&self.digest) + &hex(&serde_json::to_vec(key).unwrap_or_default())
    }

    /// Returns the key after which the page of a token begins; nothing for the first page.
    ///
    /// # Errors
    /// The text is no token, or that of another question.
    pub(crate) fn read<K: DeserializeOwned>(
        &self,
        token: &str,
    ) -> Result<Option<K>, PageTokenError> {
        if token.is_empty() {
            return Ok(None);
        }
        let bytes = unhex(token).ok_or(PageTokenError::NoToken)?;
        let (digest, key) = bytes.split_at_checked(DIGEST_BYTES).ok_or(PageTokenError::NoToken)?;
        let key = serde_json::from_slice(key).map_err(|_| PageTokenError::NoToken)?;
        if digest == self.digest { Ok(Some(key)) } else { Err(PageTokenError::OtherQuestion) }
    }
}

impl From<PageTokenError> for Violation {
    fn from(error: PageTokenError) -> Self {
        FieldPath::Field("page_token").violation(error.to_string())
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
        PageTokens::of_list(&store.parse().unwrap(), input)
    }

    #[test]
    fn a_token_is_read_as_it_was_made_whatever_the_id() {
        for id in ["1", "", "ä\n…", "0123456789abcdef"] {
            let tokens = tokens("acme", &question());
            assert_eq!(tokens.read(&tokens.after(&id)), Ok(Some(id.to_owned())));
        }
        assert_eq!(tokens("acme", &question()).read::<String>(""), Ok(None));
    }

    #[test]
    fn a_token_of_another_question_is_refused() {
        let token = tokens("acme", &question()).after(&"1");
        let mut others = vec![question(); 4];
        others[0].entity_type = "Team".to_owned();
        others[1].open = Side::Principal;
        others[2].question.context[0].1 = Value::Long(2);
        others[3].question.principal = Some(Uid::new("User", "bob"));
        for other in others {
            let read = tokens("acme", &other).read::<String>(&token);
            assert_eq!(read, Err(PageTokenError::OtherQuestion));
        }
        let read = tokens("other", &question()).read::<String>(&token);
        assert_eq!(read, Err(PageTokenError::OtherQuestion));
        let (one, other) = (PageTokens::new("one", b"?"), PageTokens::new("other", b"?"));
        assert_eq!(other.read::<u32>(&one.after(&1)), Err(PageTokenError::OtherQuestion));
    }

    #[test]
    fn garbage_is_no_token() {
        let tokens = tokens("acme", &question());
        let token = tokens.after(&"1");
        for text in ["x", "00", "é", &token[1..], &format!("{token}ff"), &format!("{token}g0")] {
            let error = tokens.read::<String>(text).unwrap_err();
            assert_eq!(error, PageTokenError::NoToken, "{text}");
            assert_eq!(Violation::from(error).field, "page_token");
        }
        assert_eq!(tokens.read::<u32>(&token), Err(PageTokenError::NoToken), "another kind of key");
    }
}
