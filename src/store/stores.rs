//! The policy stores that decide at one moment.

use std::{collections::BTreeMap, sync::Arc};

use super::PolicyStore;
use crate::model::StoreName;

/// The policy stores that are loaded at one moment. It never changes: a reload makes a new one.
#[derive(Debug, Default, Clone)]
pub struct Stores {
    by_name: BTreeMap<StoreName, Arc<PolicyStore>>,
    default: Option<StoreName>,
}

/// Why there is no store for a request.
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
    /// No store was named, and there is more than one.
    #[error("name a policy store, for several are loaded and none is the default: {loaded}")]
    Ambiguous {
        /// The names of the loaded stores.
        loaded: String,
    },
}

impl Stores {
    /// Those stores; `default` decides requests that name none.
    pub fn new(
        stores: impl IntoIterator<Item = Arc<PolicyStore>>,
        default: Option<StoreName>,
    ) -> Self {
        let by_name = stores.into_iter().map(|store| (store.name().clone(), store)).collect();
        Self { by_name, default }
    }

    /// The store of that name; for an empty name the default, or the only one.
    ///
    /// # Errors
    /// Why there is none.
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
            StoreLookupError::Unknown {
                name: name.chars().take(80).collect(),
                loaded: self.names(),
            }
        })
    }

    fn only(&self) -> Result<&Arc<PolicyStore>, StoreLookupError> {
        let mut stores = self.by_name.values();
        match (stores.next(), stores.next()) {
            (Some(store), None) => Ok(store),
            (None, _) => Err(StoreLookupError::NoneLoaded),
            (Some(_), Some(_)) => Err(StoreLookupError::Ambiguous { loaded: self.names() }),
        }
    }

    /// The stores in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<PolicyStore>> {
        self.by_name.values()
    }

    /// Whether no store is loaded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.by_name.keys().map(StoreName::as_str).collect();
        names.join(", ")
    }
}
