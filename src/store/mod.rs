//! Policy stores: from files in memory to something that can decide.

mod bounds;
mod embedded;
mod entities;
mod files;
mod known;
mod links;
mod nesting;
mod policies;
mod schema;
mod settings;
mod shapes;
mod stores;
mod validation;

pub use bounds::Bounds;
pub use embedded::embedded_stores;
pub use files::StoreFiles;
pub(crate) use files::{FileKind, is_for_tests};
pub use known::validation_record;
pub use schema::StoreSchema;
pub use shapes::{ActionSchema, EntityShape, RecordShape, Shape};
pub use stores::{StoreLookupError, Stores};

pub(crate) use entities::{FixedEntities, json_problem};
pub(crate) use settings::toml_problem;

use std::{collections::HashMap, sync::Arc};

use cedar_policy::{PolicyId, PolicySet};

use known::Known;

use crate::{
    diagnostics::Problem,
    engine::PreparedPolicies,
    name::{Revision, StoreName},
    request::{Request, RequestInput, RequestLimits, Violation},
    time::Timestamp,
};

/// A policy store that is valid as a whole: schema, policies, links and fixed entities.
#[derive(Debug)]
pub struct PolicyStore {
    files: Arc<StoreFiles>,
    digest: String,
    revision: Revision,
    schema: Arc<StoreSchema>,
    policies: PolicySet,
    policy_files: Arc<HashMap<PolicyId, String>>,
    prepared: PreparedPolicies,
    fixed: Arc<FixedEntities>,
    level: Option<u32>,
    warnings: Vec<Problem>,
}

impl PolicyStore {
    /// Makes a store of its files.
    ///
    /// # Errors
    /// Every problem of every file, if there is one.
    pub fn load(files: Arc<StoreFiles>, bounds: &Bounds) -> Result<Self, Vec<Problem>> {
        Self::load_after(files, bounds, None)
    }

    /// The same, but policies that are as they were in `last`, a valid state of the same store, are
    /// not validated again, and neither are those of the shipped stores. Validation is most of the
    /// work, and each policy is validated by itself.
    ///
    /// # Errors
    /// Every problem of every file, if there is one.
    pub fn load_after(
        files: Arc<StoreFiles>,
        bounds: &Bounds,
        last: Option<&Self>,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = files.beyond(bounds);
        nesting::beyond(&files, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let settings = settings::read(&files, &mut problems);
        let schema = schema::read(&files, &mut problems);
        let parsed = policies::read(&files, &mut problems);
        let parsed = links::link(&files, parsed, bounds, &mut problems);
        let Some(schema) = schema else { return Err(problems) };
        let fixed = entities::read(&files, &schema, bounds, &mut problems);
        let known = Known::new(&files, settings.level, last);
        let warnings =
            policies::validate(&files, &schema, &parsed, &known, settings.level, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let prepared = PreparedPolicies::new(&parsed.set, &schema, &fixed);
        Ok(Self {
            digest: files.digest(),
            revision: files.revision(),
            schema: Arc::new(schema),
            prepared,
            policies: parsed.set,
            policy_files: Arc::new(parsed.files),
            fixed: Arc::new(fixed),
            level: settings.level,
            warnings,
            files,
        })
    }

    /// The same store with other policies, validated like the store's own. It keeps the revision,
    /// so it is for tests of tests, not for decisions that leave the process.
    ///
    /// # Errors
    /// What the validation says.
    pub fn with_policies(&self, policies: PolicySet) -> Result<Self, String> {
        self.validate(&policies)?;
        Ok(Self {
            prepared: PreparedPolicies::new(&policies, &self.schema, &self.fixed),
            policies,
            policy_files: Arc::clone(&self.policy_files),
            files: Arc::clone(&self.files),
            digest: self.digest.clone(),
            revision: self.revision,
            schema: Arc::clone(&self.schema),
            fixed: Arc::clone(&self.fixed),
            level: self.level,
            warnings: Vec::new(),
        })
    }

    /// The same store, of whose files only the schema is kept, with which the next state of the
    /// store is compared: what decides has all it needs, and most of the bytes are tests.
    #[must_use]
    pub fn forgetting_files(mut self) -> Self {
        self.files = Arc::new(Arc::unwrap_or_clone(self.files).only(FileKind::Schema));
        self
    }

    /// Validates policies as if they were the store's own.
    ///
    /// # Errors
    /// What the validation says.
    pub fn validate(&self, policies: &PolicySet) -> Result<(), String> {
        policies::validate_set(&self.schema, policies, self.level)
    }

    /// The store's name.
    #[must_use]
    pub fn name(&self) -> &StoreName {
        self.files.name()
    }

    /// Which policies and entities these are.
    #[must_use]
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// The files that the store was made of, as far as they are kept ([`Self::forgetting_files`]).
    #[must_use]
    pub fn files(&self) -> &StoreFiles {
        &self.files
    }

    /// The digest of all files that the store was made of, kept or not ([`StoreFiles::digest`]).
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The store's schema.
    #[must_use]
    pub fn schema(&self) -> &StoreSchema {
        &self.schema
    }

    /// The policies, templates and links as Cedar knows them.
    #[must_use]
    pub fn policies(&self) -> &PolicySet {
        &self.policies
    }

    /// What is valid but looks like a mistake, such as a policy that can never apply.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// The file in which a policy, template or link is written, relative to the store's folder.
    #[must_use]
    pub fn file_of(&self, policy: &PolicyId) -> Option<&str> {
        self.policy_files.get(policy).map(String::as_str)
    }

    pub(crate) fn prepared(&self) -> &PreparedPolicies {
        &self.prepared
    }

    pub(crate) fn fixed(&self) -> &FixedEntities {
        &self.fixed
    }

    /// Checks a request against the store's schema.
    ///
    /// # Errors
    /// Every violation, if there is one, up to the limit on their number.
    pub fn check(
        &self,
        input: &RequestInput,
        now: Timestamp,
        limits: &RequestLimits,
    ) -> Result<Request, Vec<Violation>> {
        crate::request::check(self, input, now, limits)
    }
}
