//! The context of a request.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use cedar_policy_core::ast;
use smol_str::SmolStr;

use crate::model::{Timestamp, extension};

/// The name under which policies read the time.
const NOW: &str = "now";

/// The context of a request, as the action declares it.
///
/// Most actions declare the time of the decision and few policies look at it, so it is made into a
/// value of Cedar's when first asked.
#[derive(Debug, Clone, Default)]
pub struct Context {
    sent: BTreeMap<SmolStr, ast::Value>,
    /// The time, where the action declares it and the caller did not send it.
    now: Option<Timestamp>,
    now_value: OnceLock<Option<ast::Value>>,
    whole: OnceLock<Arc<BTreeMap<SmolStr, ast::Value>>>,
}

impl Context {
    pub(super) fn new(sent: BTreeMap<SmolStr, ast::Value>, now: Option<Timestamp>) -> Self {
        Self { sent, now, ..Self::default() }
    }

    /// Returns the value of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&ast::Value> {
        self.sent.get(name).or_else(|| if name == NOW { self.now() } else { None })
    }

    /// Returns whether there is a value of that name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Returns the value of that name, if it was sent.
    pub(crate) fn sent(&self, name: &str) -> Option<&ast::Value> {
        self.sent.get(name)
    }

    /// Returns the number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sent.len() + usize::from(self.now.is_some())
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns all values by name.
    #[must_use]
    pub fn whole(&self) -> &Arc<BTreeMap<SmolStr, ast::Value>> {
        self.whole.get_or_init(|| {
            let mut whole = self.sent.clone();
            if let Some(now) = self.now() {
                whole.insert(NOW.into(), now.clone());
            }
            Arc::new(whole)
        })
    }

    /// Returns the context without a value.
    #[cfg(test)]
    pub(crate) fn without(&self, name: &str) -> Self {
        let mut sent = self.sent.clone();
        sent.remove(name);
        Self::new(sent, self.now.filter(|_| name != NOW))
    }

    /// Returns `now` as Cedar knows it. Without the extension there is none, and a policy that
    /// reads it fails: a forbid then denies and a permit does not apply.
    fn now(&self) -> Option<&ast::Value> {
        let now = self.now?;
        self.now_value.get_or_init(|| extension::now(now).ok()).as_ref()
    }
}
