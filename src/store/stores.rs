//! The policy stores that decide at one moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::PolicyStore;
use crate::model::StoreName;

/// The policy stores that are loaded at one moment. It never changes: a reload makes a new one.
#[derive(Debug, Default, Clone)]
pub struct Stores {
    by_name: BTreeMap<StoreName, Arc<PolicyStore>>,
    /// Stores that are there and have never been valid.
    refused: BTreeSet<StoreName>,
    default: Option<StoreName>,
}

/// No store decides a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreLookupError {
    /// No store at all is loaded.
    #[error("no policy store is loaded")]
    NoneLoaded,
    /// No store of that name is loaded.
    #[error("no policy store `{name}` is loaded: there are {loaded}")]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names of the loaded stores.
        loaded: String,
    },
    /// The store of that name was refused and has never been valid.
    #[error("the policy store `{name}` was refused: `/status` and the log say why")]
    Refused {
        /// The name that was asked for.
        name: StoreName,
    },
    /// No store was named, and there is more than one, refused ones included.
    #[error("name a policy store, for there are several and none is the default: {names}")]
    Ambiguous {
        /// The names of all stores.
        names: String,
    },
}

impl Stores {
    /// Collects stores. `default` decides requests that name none.
    pub fn new(
        stores: impl IntoIterator<Item = Arc<PolicyStore>>,
        default: Option<StoreName>,
    ) -> Self {
        let by_name = stores.into_iter().map(|store| (store.name().clone(), store)).collect();
        Self { by_name, refused: BTreeSet::new(), default }
    }

    /// Adds the names of stores that are there and have never been valid. Such a store is one of
    /// several where a request names none: else a broken file would give that request to another
    /// store.
    #[must_use]
    pub fn with_refused(mut self, names: impl IntoIterator<Item = StoreName>) -> Self {
        self.refused.extend(names);
        self
    }

    /// Returns the store of that name; for an empty name the default, or the only one.
    ///
    /// # Errors
    /// There is no such store, or no single one for an empty name.
    pub fn get(&self, name: &str) -> Result<&Arc<PolicyStore>, StoreLookupError> {
        let name = match (name, &self.default) {
            ("", Some(default)) => default.as_str(),
            ("", None) => return self.only(),
            (name, _) => name,
        };
        self.by_name.get(name).ok_or_else(|| {
            if self.by_name.is_empty() {
                return StoreLookupError::NoneLoaded;
            }
            if let Some(name) = self.refused.get(name) {
                return StoreLookupError::Refused { name: name.clone() };
            }
            StoreLookupError::Unknown {
                name: name.chars().take(80).collect(),
                loaded: self.names(),
            }
        })
    }

    fn only(&self) -> Result<&Arc<PolicyStore>, StoreLookupError> {
        let mut stores = self.by_name.values();
        match (stores.next(), stores.next()) {
            (Some(store), None) if self.refused.is_empty() => Ok(store),
            (None, _) => Err(StoreLookupError::NoneLoaded),
            (Some(_), _) => {
                let names: BTreeSet<_> = self.by_name.keys().chain(&self.refused).collect();
                let names: Vec<_> = names.into_iter().map(StoreName::as_str).collect();
                Err(StoreLookupError::Ambiguous { names: names.join(", ") })
            }
        }
    }

    /// Returns the stores in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<PolicyStore>> {
        self.by_name.values()
    }

    /// Returns the names of stores that are there and have never been valid, in order.
    pub fn refused(&self) -> impl Iterator<Item = &StoreName> {
        self.refused.iter()
    }

    /// Returns whether no store is loaded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.by_name.keys().map(StoreName::as_str).collect();
        names.join(", ")
    }
}
