//! Gates: what a valid store must pass before it comes in force.

use std::{fmt, str::FromStr, sync::Arc};

use tokio_util::sync::CancellationToken;

use crate::{
    model::Problem,
    store::{PolicyStore, StoreFiles},
};

/// A gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    /// All tests of the store pass.
    Tests,
    /// All invariants of the store are proved.
    Invariants,
    /// Nobody gains against the state in force, but for approved gains.
    NoGains,
}

impl Gate {
    const ALL: [Self; 3] = [Self::Tests, Self::Invariants, Self::NoGains];

    /// Returns the name of the gate in settings, status and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tests => "tests",
            Self::Invariants => "invariants",
            Self::NoGains => "no-gains",
        }
    }

    /// Says that a store passes the gate because it has nothing that the gate looks at.
    #[must_use]
    pub fn nothing_to_judge(self) -> &'static str {
        match self {
            Self::Tests => {
                "the gate `tests` has no case to run: cases are read from `tests/` and `matrix.csv`"
            }
            Self::Invariants => {
                "the gate `invariants` has nothing to prove: invariants are read from `invariants/`"
            }
            Self::NoGains => "the gate `no-gains` has nothing to compare",
        }
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no gate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no gate: there are `tests`, `invariants` and `no-gains`")]
pub struct GateError(String);

impl FromStr for Gate {
    type Err = GateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|gate| gate.as_str() == text);
        found.ok_or_else(|| GateError(text.chars().take(80).collect()))
    }
}

/// Why a gate refuses a store.
#[derive(Debug, Clone)]
pub struct GateRefusal {
    /// The gate.
    pub gate: Gate,
    /// The reason, with the request that shows it.
    pub problem: Problem,
}

/// Gates that take longer than loading: they are judged beside everything else.
pub trait SlowGates: fmt::Debug + Send + Sync {
    /// Returns the gates that are judged, at least one.
    fn gates(&self) -> Vec<Gate>;

    /// Judges a valid store. `last` is the state of it that is in force, or was last if its folder was
    /// gone since; none where this process has had none in force. Nothing means that it passes. It
    /// returns soon once it is cancelled, and what it returns then is not looked at.
    fn judge(
        &self,
        candidate: &PolicyStore,
        last: Option<&PolicyStore>,
        cancelled: &CancellationToken,
    ) -> Vec<GateRefusal>;

    /// Returns why a valid store that this process has not had in force is refused, where that is plain
    /// without a proof: since there is nothing to compare it with.
    fn refuses_unproved(&self, _candidate: &PolicyStore) -> Option<GateRefusal> {
        None
    }

    /// Takes notice of stores that have passed, before they come in force. It returns soon, for a revocation
    /// waits for it.
    fn before_in_force(&self, _: &[Arc<PolicyStore>]) {}
}

/// Returns whether a new state can only take rights away: the schema and the entities are the same,
/// each permit was there before, each forbid still is, and callers are understood alike. This is
/// decided without a proof, so that nobody waits for one to revoke a right.
#[must_use]
pub fn only_narrows(new: &PolicyStore, old: &PolicyStore) -> bool {
    let others = |files: &StoreFiles| -> Vec<(String, Vec<u8>)> {
        let others = files.deciding().filter(|(path, _)| !holds_policies(path));
        others.map(|(path, bytes)| (path.to_owned(), bytes.to_vec())).collect()
    };
    let has = |store: &PolicyStore, policy: &cedar_policy::Policy| {
        store.policies().policy(policy.id()) == Some(policy)
    };
    let permits = |policy: &&cedar_policy::Policy| policy.effect() == cedar_policy::Effect::Permit;
    new.understands_otherwise_than(old).is_empty()
        && others(new.files()) == others(old.files())
        && new.policies().policies().filter(permits).all(|permit| has(old, permit))
        && old.policies().policies().filter(|one| !permits(one)).all(|forbid| has(new, forbid))
}

fn holds_policies(path: &str) -> bool {
    [".cedar", ".cedar.json", ".links.toml", ".links.json"].iter().any(|end| path.ends_with(end))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use super::*;
    use crate::store::Bounds;

    const SCHEMA: &str =
        "entity User, Site; action a, b appliesTo { principal: User, resource: Site };";
    const A: &str = "@id(\"a\") permit (principal, action == Action::\"a\", resource);";
    const B: &str = "@id(\"b\") permit (principal, action == Action::\"b\", resource);";
    const NO: &str = "@id(\"no\") forbid (principal == User::\"x\", action, resource);";

    fn store(schema: &str, policies: &[&str]) -> PolicyStore {
        let files = [("s.cedarschema", schema.to_owned()), ("p.cedar", policies.concat())];
        let files = files.map(|(path, text)| (path.to_owned(), Arc::from(text.as_bytes())));
        let files = StoreFiles::new("main".parse().unwrap(), files);
        PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap()
    }

    #[test]
    fn less_permits_and_more_forbids_only_narrow() {
        let narrower = A.replace("principal,", "principal == User::\"alice\",");
        for (new, old, narrows) in [
            (&[A][..], &[A, B][..], true),
            (&[A, NO], &[A], true),
            (&[NO], &[A, B], true),
            (&[A, B], &[A], false),
            (&[A], &[A, NO], false),
            // It does narrow, which takes a proof.
            (&[narrower.as_str()], &[A], false),
        ] {
            let (new, old) = (store(SCHEMA, new), store(SCHEMA, old));
            assert_eq!(only_narrows(&new, &old), narrows);
        }
        let other = SCHEMA.replace("User, Site;", "User, Site, Team;");
        assert!(!only_narrows(&store(&other, &[A]), &store(SCHEMA, &[A, B])));
    }
}
