//! A policy store: its files, and what they were made into.

use std::{collections::HashMap, sync::Arc};

use cedar_policy::{PolicyId, PolicySet};

use super::{
    AuthzenRules, Bounds, FileKind, ParsedPolicies, StoreFiles, approved_gains, entities, links,
    misplaced, policies, policy_checks, problems::Problems, schema, settings, text_bounds,
    unchanged::Unchanged,
};
use crate::{
    engine::{self, Decision, Engine, Explanation},
    model::{OnForbidError, Problem, Revision, StoreName, Timestamp},
    request::{self, Held, Known, Request, RequestFacts, RequestInput, RequestLimits, Violation},
    schema::{Schema, StoredEntities},
};

/// A policy store that is valid as a whole: schema, policies, links and fixed entities.
#[derive(Debug)]
pub struct PolicyStore {
    files: Arc<StoreFiles>,
    digest: String,
    revision: Revision,
    policies: PolicySet,
    policy_files: Arc<HashMap<PolicyId, String>>,
    schema: Arc<Schema>,
    stored: Arc<StoredEntities>,
    engine: Engine,
    pub(super) level: Option<u32>,
    request_facts: RequestFacts,
    authzen: AuthzenRules,
    warnings: Vec<Problem>,
    has_policy_warnings: bool,
}

impl PolicyStore {
    /// Makes a store of its files.
    ///
    /// # Errors
    /// Every problem of every file, if there is one.
    pub fn load(files: Arc<StoreFiles>, bounds: &Bounds) -> Result<Self, Vec<Problem>> {
        Self::load_after(files, bounds, None)
    }

    /// Does the same as [`Self::load`], but does not validate again what is as it was in `last`, a
    /// valid state of the same store: validation is most of the work, and each policy is validated
    /// by itself.
    ///
    /// # Errors
    /// The problems of every file, if there is one, up to a hundred of each file.
    pub fn load_after(
        files: Arc<StoreFiles>,
        bounds: &Bounds,
        last: Option<&Self>,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let store = Self::load_all(files, bounds, last, &mut problems);
        store.filter(|_| problems.is_empty()).ok_or_else(|| problems.into_vec())
    }

    fn load_all(
        files: Arc<StoreFiles>,
        bounds: &Bounds,
        last: Option<&Self>,
        problems: &mut Problems,
    ) -> Option<Self> {
        files.check_bounds(bounds, problems);
        text_bounds::check(&files, bounds, problems);
        if !problems.is_empty() {
            return None;
        }
        let mut warnings = Problems::default();
        warnings.extend(files.unread().chain(files.unreadable(|_| true)));
        warnings.extend(misplaced::nearly_named_folders(&files));
        problems.extend(misplaced::nested_stores(&files));
        approved_gains::check(&files, &mut warnings);
        let settings = settings::read(&files, problems);
        let schema = schema::read(&files, bounds, &mut warnings, problems);
        let (parsed, links) = policies::read(&files, problems);
        misplaced::invariants_that_decide(&files, &parsed, problems);
        let parsed = links::link(&files, parsed, links, bounds, problems);
        let schema = schema?;
        settings::check(&settings, &files, &schema, problems);
        let stored = entities::read(&files, &schema, bounds, problems);
        let unchanged = Unchanged::since(
            last.and_then(|last| last.policies_valid_with(&files, settings.level)),
        );
        warnings.extend(policy_checks::decide_nothing(&files, &parsed));
        // Before validation, which would take longest for the policies that have too many places.
        if policy_checks::too_many_places(&files, &schema, &parsed, bounds, problems) {
            return None;
        }
        let of_policies = policy_checks::validate(
            &files,
            &schema,
            &parsed,
            unchanged,
            settings.level,
            bounds,
            problems,
        );
        if !problems.is_empty() {
            return None;
        }
        let has_policy_warnings = !of_policies.is_empty();
        warnings.append(of_policies);
        let (schema, stored) = (Arc::new(schema), Arc::new(stored));
        let engine = Engine::new(&parsed.set, Arc::clone(&schema), Arc::clone(&stored));
        Some(Self {
            digest: files.digest(),
            revision: files.revision(),
            policies: parsed.set,
            policy_files: Arc::new(parsed.files),
            schema,
            stored,
            engine,
            level: settings.level,
            request_facts: settings.directory.request_facts,
            authzen: settings.authzen,
            warnings: warnings.into_vec(),
            has_policy_warnings,
            files,
        })
    }

    /// Returns the policies, if each of them that stays as it is needs no second validation with these
    /// files: under another schema or level it does.
    fn policies_valid_with(&self, files: &StoreFiles, level: Option<u32>) -> Option<&PolicySet> {
        // Warnings have places that may have moved, so a store with warnings of policies is
        // validated as a whole.
        let is_comparable = self.level == level
            && self.files.same(FileKind::Schema, files)
            && self.files.same(FileKind::SchemaJson, files)
            && !self.has_policy_warnings;
        is_comparable.then_some(&self.policies)
    }

    /// Returns the store with other policies, validated like the store's own. It keeps the revision.
    #[cfg(test)]
    pub(crate) fn with_policies(&self, policies: PolicySet) -> Result<Self, String> {
        self.validate(&policies)?;
        Ok(Self {
            engine: Engine::new(&policies, Arc::clone(&self.schema), Arc::clone(&self.stored)),
            policies,
            policy_files: Arc::clone(&self.policy_files),
            files: Arc::clone(&self.files),
            digest: self.digest.clone(),
            revision: self.revision,
            schema: Arc::clone(&self.schema),
            stored: Arc::clone(&self.stored),
            level: self.level,
            request_facts: self.request_facts,
            authzen: self.authzen.clone(),
            warnings: Vec::new(),
            has_policy_warnings: false,
        })
    }

    /// Validates policies as if they were the store's own.
    ///
    /// # Errors
    /// The validation's error.
    pub fn validate(&self, policies: &PolicySet) -> Result<(), String> {
        policy_checks::validate_set(&self.schema, policies, self.level)
    }

    /// The store's name.
    #[must_use]
    pub fn name(&self) -> &StoreName {
        self.files.name()
    }

    /// Returns the revision.
    #[must_use]
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// The files that the store was made of.
    #[must_use]
    pub fn files(&self) -> &StoreFiles {
        &self.files
    }

    /// The digest of all files that the store was made of ([`StoreFiles::digest`]).
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The store's schema.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The schema, to be kept longer than the store.
    #[must_use]
    pub fn schema_arc(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The entities that the store itself holds, to be kept longer than the store.
    #[must_use]
    pub fn stored_arc(&self) -> &Arc<StoredEntities> {
        &self.stored
    }

    /// The facts that callers may send beside those that a directory of the store holds.
    #[must_use]
    pub fn request_facts(&self) -> RequestFacts {
        self.request_facts
    }

    /// Returns whether both stores have the same schema, word for word.
    #[must_use]
    pub fn has_schema_of(&self, other: &Self) -> bool {
        self.files.same(FileKind::Schema, &other.files)
            && self.files.same(FileKind::SchemaJson, &other.files)
    }

    /// The facts that questions in the form of AuthZEN may carry.
    #[must_use]
    pub fn authzen(&self) -> &AuthzenRules {
        &self.authzen
    }

    /// The policies, templates and links as Cedar knows them.
    #[must_use]
    pub fn policies(&self) -> &PolicySet {
        &self.policies
    }

    /// Returns the warnings: what is valid but looks like a mistake, such as a policy that can never
    /// apply.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// The file in which a policy, template or link is written, relative to the store's folder.
    #[must_use]
    pub fn file_of(&self, policy: &PolicyId) -> Option<&str> {
        self.policy_files.get(policy).map(String::as_str)
    }

    /// Prepares other policies for requests to this store. They are not validated.
    #[must_use]
    pub fn engine_of(&self, policies: &PolicySet) -> Engine {
        Engine::new(policies, Arc::clone(&self.schema), Arc::clone(&self.stored))
    }

    /// Reads the policies of `invariants/*.cedar`, which decide nothing.
    ///
    /// # Errors
    /// Every problem of every such file, if there is one.
    pub(crate) fn read_invariants(&self, bounds: &Bounds) -> Result<ParsedPolicies, Vec<Problem>> {
        policies::read_invariants(&self.files, &self.schema, bounds)
    }

    /// Returns what decides requests.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Returns the entities that the store itself holds.
    #[must_use]
    pub fn stored(&self) -> &StoredEntities {
        &self.stored
    }

    /// Explains a decision that was made with these policies.
    #[must_use]
    pub fn explain(
        &self,
        request: &Request,
        decision: &Decision,
        on_forbid_error: OnForbidError,
    ) -> Explanation {
        let file_of = |id: &str| Some(self.files.path(self.file_of(&PolicyId::new(id))?));
        engine::explain(&self.engine, request, decision, on_forbid_error, &file_of)
    }

    /// Returns what questions to this store are checked against, with what is held for it.
    #[must_use]
    pub fn known<'a>(&'a self, held: Option<&'a Held>) -> Known<'a> {
        self.engine.known(held)
    }

    /// Checks a request against the store's schema, without a directory.
    ///
    /// # Errors
    /// Every violation, if there is one, up to the limit on their number.
    pub fn check(
        &self,
        input: &RequestInput,
        now: Timestamp,
        limits: &RequestLimits,
    ) -> Result<Request, Vec<Violation>> {
        self.check_with(None, input, now, limits)
    }

    /// Checks a request against schema and directory.
    ///
    /// # Errors
    /// Every violation, up to the limit on their number.
    pub fn check_with(
        &self,
        held: Option<&Held>,
        input: &RequestInput,
        now: Timestamp,
        limits: &RequestLimits,
    ) -> Result<Request, Vec<Violation>> {
        request::check(self.known(held), input, now, limits)
    }
}
