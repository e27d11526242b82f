//! The spelling of the ids of Role entities.

use std::{borrow::Cow, fmt, str::FromStr};

/// The id of a Role entity: `<scope type>::<scope id>#<slot>`.
///
/// The spelling is part of the contract, because policies on singletons name it. The scope's type
/// is written without the namespace of `Role` where it is directly in it, and else in full with a
/// leading `::`. In the scope's id and in the slot the characters `%`, `#` and `:` are written
/// `%25`, `%23` and `%3A`, so that no two (scope type, scope id, slot) share an id: the only `#`
/// is followed by the slot, and the last `::` before it by the scope's id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RoleId {
    /// The scope's type, relative to the namespace of `Role`.
    pub scope_type: String,
    /// The scope's id.
    pub scope_id: String,
    /// The slot.
    pub slot: String,
}

/// A text that is not the id of a Role entity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the id of a role: write `<type>::<id>#<slot>`, e.g. `Site::42#editor`")]
pub struct RoleIdError(String);

impl fmt::Display for RoleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}#{}", self.scope_type, escape(&self.scope_id), escape(&self.slot))
    }
}

impl FromStr for RoleId {
    type Err = RoleIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (scope, slot) = text.split_once('#')?;
            let (scope_type, scope_id) = scope.rsplit_once("::")?;
            let role = Self {
                scope_type: scope_type.to_owned(),
                scope_id: unescape(scope_id)?,
                slot: unescape(slot)?,
            };
            (role.to_string() == text).then_some(role)
        };
        parse().ok_or_else(|| RoleIdError(text.chars().take(80).collect()))
    }
}

fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '#', ':']) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '%' => escaped.push_str("%25"),
            '#' => escaped.push_str("%23"),
            ':' => escaped.push_str("%3A"),
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

fn unescape(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        plain.push(match code {
            "25" => '%',
            "23" => '#',
            "3A" => ':',
            _ => return None,
        });
        plain.push_str(rest);
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn role() -> impl Strategy<Value = RoleId> {
        let type_name = "(::)?[A-C](::[A-C]){0,2}";
        let text = prop_oneof![".{0,6}", "[AB:#%253]{0,6}"];
        (type_name, text.clone(), text).prop_map(|(scope_type, scope_id, slot)| RoleId {
            scope_type,
            scope_id,
            slot,
        })
    }

    #[test]
    fn plain_names_are_spelled_plainly() {
        let role =
            RoleId { scope_type: "Site".into(), scope_id: "42".into(), slot: "editor".into() };
        assert_eq!(role.to_string(), "Site::42#editor");
        let role =
            RoleId { scope_type: "Site".into(), scope_id: "a:b#c%".into(), slot: "x".into() };
        assert_eq!(role.to_string(), "Site::a%3Ab%23c%25#x");
    }

    #[test]
    fn what_is_not_spelled_this_way_is_refused() {
        for text in
            ["", "Site", "Site::42", "42#editor", "Site::4#2#editor", "Site::%2x#e", "Site::%3a#e"]
        {
            assert!(text.parse::<RoleId>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_role_reads_back(role in role()) {
            prop_assert_eq!(role.to_string().parse::<RoleId>().unwrap(), role);
        }

        #[test]
        fn no_two_roles_share_a_spelling(a in role(), b in role()) {
            prop_assert_eq!(a.to_string() == b.to_string(), a == b);
        }
    }
}
