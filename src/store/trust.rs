//! Whom a store believes, compared with another state of it.

use std::collections::BTreeSet;

use super::{PolicyStore, RolesProperty};
use crate::request::RequestFacts;

impl PolicyStore {
    /// Returns how this state believes callers more than an old one, by what their `store.toml` say, each
    /// as `key: old -> new`. The revision tells nothing of that.
    #[must_use]
    pub fn more_trust_than(&self, old: &Self) -> Vec<String> {
        let mut more = Vec::new();
        if old.request_facts() < self.request_facts() {
            let (old, new) = (word(old.request_facts()), word(self.request_facts()));
            more.push(format!("directory.request_facts: {old} -> {new}"));
        }
        if old.authzen().roles < self.authzen().roles {
            let (old, new) = (old.authzen().roles.word(), self.authzen().roles.word());
            more.push(format!("authzen.roles: {old} -> {new}"));
        }
        let [before, now] = [old, self].map(Self::overridable);
        if !now.is_subset(&before) {
            let list = |all: BTreeSet<String>| all.into_iter().collect::<Vec<_>>().join(", ");
            more.push(format!("authzen.overridable: [{}] -> [{}]", list(before), list(now)));
        }
        more.extend(self.roles_no_attribute_any_more(old));
        more
    }

    /// Returns the attributes that a question may lay over those of held entities, by their full names.
    fn overridable(&self) -> BTreeSet<String> {
        let full = |listed: &String| match listed.rsplit_once('.') {
            Some((ty, attribute)) => format!("{}.{attribute}", self.schema().full_type_name(ty)),
            None => listed.clone(),
        };
        self.authzen().overridable.iter().map(full).collect()
    }

    /// Finds types that declared an attribute `roles`, which a question's `roles` were then, and do no
    /// longer, so that they are role assignments.
    fn roles_no_attribute_any_more(&self, old: &Self) -> Vec<String> {
        let roles = self.authzen().roles;
        if roles == RolesProperty::Ignore {
            return Vec::new();
        }
        let was_attribute = old.schema().entities().filter(|before| {
            let now = self.schema().entity(&before.entity_type);
            before.attributes.fields.contains_key("roles")
                && now.is_some_and(|now| !now.attributes.fields.contains_key("roles"))
        });
        let mut more: Vec<_> = was_attribute
            .map(|shape| {
                format!("authzen.roles of {}: attribute -> {}", shape.entity_type, roles.word())
            })
            .collect();
        more.sort_unstable();
        more
    }
}

/// Returns the value as `store.toml` has it.
fn word(facts: RequestFacts) -> &'static str {
    match facts {
        RequestFacts::Refuse => "refuse",
        RequestFacts::Add => "add",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use crate::store::{Bounds, PolicyStore, StoreFiles};

    const SCHEMA: &str =
        "@role entity Role; entity User in [Role] { mfa?: Bool, roles?: Set<String> };
        entity Site { owner: Role };
        action see appliesTo { principal: User, resource: Site };";

    fn store(schema: &str, settings: &str) -> PolicyStore {
        let files = [("s.cedarschema", schema), ("store.toml", settings)];
        let files = files.map(|(path, text)| (path.to_owned(), Arc::from(text.as_bytes())));
        let files = StoreFiles::new("main".parse().unwrap(), files);
        PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap()
    }

    #[test]
    fn more_trust_is_told_and_less_is_not() {
        for (old, new, told, back) in [
            (
                "[directory]\nrequest_facts = \"refuse\"",
                "[directory]\nrequest_facts = \"add\"",
                "directory.request_facts: refuse -> add",
                "",
            ),
            ("", "[authzen]\nroles = \"assignments\"", "authzen.roles: ignore -> assignments", ""),
            (
                "[authzen]\nroles = \"assignments\"",
                "[authzen]\nroles = \"assignments-and-bare\"",
                "authzen.roles: assignments -> assignments-and-bare",
                "",
            ),
            (
                "",
                "[authzen]\noverridable = [\"User.mfa\"]",
                "authzen.overridable: [] -> [User.mfa]",
                "",
            ),
            (
                "[authzen]\noverridable = [\"User.mfa\"]",
                "[authzen]\noverridable = [\"User.roles\"]",
                "authzen.overridable: [User.mfa] -> [User.roles]",
                "authzen.overridable: [User.roles] -> [User.mfa]",
            ),
            ("", "level = 3", "", ""),
        ] {
            let (old, new) = (store(SCHEMA, old), store(SCHEMA, new));
            assert_eq!(new.more_trust_than(&old).concat(), told);
            assert_eq!(old.more_trust_than(&new).concat(), back);
        }
    }

    #[test]
    fn roles_that_are_no_attribute_any_more_are_more_trust() {
        let settings = "[authzen]\nroles = \"assignments\"";
        let (old, without) = (store(SCHEMA, settings), SCHEMA.replace(", roles?: Set<String>", ""));
        let told = store(&without, settings).more_trust_than(&old);
        assert_eq!(told, ["authzen.roles of User: attribute -> assignments"]);
        assert_eq!(store(&without, "").more_trust_than(&old), [""; 0]);
    }
}
