//! Differences between two states of a store in how they understand what callers say.

use std::collections::BTreeSet;

use super::{PolicyStore, RolesProperty};
use crate::{request::RequestFacts, schema::EntityShape};

impl PolicyStore {
    /// Returns how this state understands what callers say otherwise than an old one, each as
    /// `key: old -> new`. The revision tells nothing of that. To believe less can gain, too, where a role
    /// or an attribute restricts; only facts that are refused from now on grant nothing.
    #[must_use]
    pub fn understands_otherwise_than(&self, old: &Self) -> Vec<String> {
        let mut told = Vec::new();
        if old.request_facts() < self.request_facts() {
            let (old, new) = (word(old.request_facts()), word(self.request_facts()));
            told.push(format!("directory.request_facts: {old} -> {new}"));
        }
        if old.authzen().roles != self.authzen().roles {
            let (old, new) = (old.authzen().roles.word(), self.authzen().roles.word());
            told.push(format!("authzen.roles: {old} -> {new}"));
        }
        let [before, now] = [old, self].map(Self::overridable);
        if now != before {
            let list = |all: BTreeSet<String>| all.into_iter().collect::<Vec<_>>().join(", ");
            told.push(format!("authzen.overridable: [{}] -> [{}]", list(before), list(now)));
        }
        told.extend(self.other_meanings_of_roles(old));
        told.extend(self.schema().other_meanings(old.schema()));
        told
    }

    /// Returns the attributes that a question may lay over those of held entities, by their full names.
    fn overridable(&self) -> BTreeSet<String> {
        let full = |listed: &String| match listed.rsplit_once('.') {
            Some((ty, attribute)) => format!("{}.{attribute}", self.schema().full_type_name(ty)),
            None => listed.clone(),
        };
        self.authzen().overridable.iter().map(full).collect()
    }

    /// Finds types that declare an attribute `roles`, which a question's `roles` are then, in one of the
    /// states alone: in the other they are role assignments.
    fn other_meanings_of_roles(&self, old: &Self) -> Vec<String> {
        let roles = self.authzen().roles;
        if roles == RolesProperty::Ignore {
            return Vec::new();
        }
        let word = |shape: &EntityShape| {
            if shape.attributes.fields.contains_key("roles") { "attribute" } else { roles.word() }
        };
        let mut told = Vec::new();
        for now in self.schema().entities() {
            let Some(before) = old.schema().entity(&now.entity_type) else { continue };
            if word(before) != word(now) {
                told.push(format!(
                    "authzen.roles of {}: {} -> {}",
                    now.entity_type,
                    word(before),
                    word(now)
                ));
            }
        }
        told.sort_unstable();
        told
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
    fn what_callers_say_and_is_understood_otherwise_is_told() {
        let set = "[authzen]\noverridable = [\"User.mfa\"]";
        for (old, new, told, back) in [
            (
                "[directory]\nrequest_facts = \"refuse\"",
                "[directory]\nrequest_facts = \"add\"",
                "directory.request_facts: refuse -> add",
                "",
            ),
            (
                "",
                "[authzen]\nroles = \"assignments\"",
                "authzen.roles: ignore -> assignments",
                "authzen.roles: assignments -> ignore",
            ),
            (
                "[authzen]\nroles = \"assignments\"",
                "[authzen]\nroles = \"assignments-and-bare\"",
                "authzen.roles: assignments -> assignments-and-bare",
                "authzen.roles: assignments-and-bare -> assignments",
            ),
            (
                "",
                set,
                "authzen.overridable: [] -> [User.mfa]",
                "authzen.overridable: [User.mfa] -> []",
            ),
            (
                set,
                "[authzen]\noverridable = [\"User.roles\"]",
                "authzen.overridable: [User.mfa] -> [User.roles]",
                "authzen.overridable: [User.roles] -> [User.mfa]",
            ),
            ("", "level = 3", "", ""),
        ] {
            let (old, new) = (store(SCHEMA, old), store(SCHEMA, new));
            assert_eq!(new.understands_otherwise_than(&old).concat(), told);
            assert_eq!(old.understands_otherwise_than(&new).concat(), back);
        }
    }

    #[test]
    fn roles_that_are_an_attribute_in_one_state_alone_are_told() {
        let settings = "[authzen]\nroles = \"assignments\"";
        let without = SCHEMA.replace(", roles?: Set<String>", "");
        let (with, without_them) = (store(SCHEMA, settings), store(&without, settings));
        let told = without_them.understands_otherwise_than(&with);
        assert_eq!(told, ["authzen.roles of User: attribute -> assignments"]);
        let told = with.understands_otherwise_than(&without_them);
        assert_eq!(told, ["authzen.roles of User: assignments -> attribute"]);
        let (with, without) = (store(SCHEMA, ""), store(&without, ""));
        assert_eq!(without.understands_otherwise_than(&with), [""; 0]);
    }

    #[test]
    fn names_without_a_namespace_that_mean_another_type_are_told() {
        let other = "namespace B { entity User; action see appliesTo { principal: User, resource: User }; }";
        let one = format!("namespace A {{ {SCHEMA} }}");
        let both = store(&format!("{one} {other}"), "");
        let told = store(other, "").understands_otherwise_than(&both);
        assert_eq!(told, ["Action: A::Action -> B::Action", "User: A::User -> B::User"]);
        let told = store(SCHEMA, "").understands_otherwise_than(&both);
        assert_eq!(told.len(), 4, "{told:?}");
        // Only more to ask for.
        assert_eq!(both.understands_otherwise_than(&store(&one, "")), [""; 0]);
        let more = SCHEMA.replace("entity Site", "entity Page; entity Site");
        assert_eq!(store(&more, "").understands_otherwise_than(&store(SCHEMA, "")), [""; 0]);
    }
}
