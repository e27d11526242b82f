//! Collects the violations of a request, within the limits.

use crate::{
    request::{FieldPath, Known, RequestLimits, Violation},
    schema::Schema,
};

pub(in crate::request) struct Checker<'a> {
    pub(super) known: Known<'a>,
    pub(super) limits: &'a RequestLimits,
    violations: Vec<Violation>,
    /// Violations beyond the limit on their number.
    more: usize,
    /// Values that the record being read may still hold, plus one: zero is beyond the limit.
    pub(super) values_left: usize,
    /// The name of that limit.
    pub(super) values_limit: &'static str,
}

impl<'a> Checker<'a> {
    pub fn new(known: Known<'a>, limits: &'a RequestLimits) -> Self {
        Self {
            known,
            limits,
            violations: Vec::new(),
            more: 0,
            values_left: 0,
            values_limit: "context_values",
        }
    }

    /// Returns what was checked, or every violation that was found.
    pub fn finish<T>(mut self, checked: Option<T>) -> Result<T, Vec<Violation>> {
        match checked {
            Some(checked) if self.violations.is_empty() => Ok(checked),
            _ => {
                if self.more > 0 {
                    let description = format!("there are {} violations more", self.more);
                    self.violations.push(FieldPath::Field("request").violation(description));
                }
                Err(self.violations)
            }
        }
    }

    /// Adds violations that were found before.
    pub fn found(&mut self, violations: &[Violation]) {
        self.violations.extend_from_slice(violations);
    }

    pub fn over_limit(&mut self, path: &FieldPath<'_>, limit: &'static str, description: String) {
        let told = self.violations.len();
        self.violation(path, description);
        if let Some(violation) = self.violations.get_mut(told) {
            violation.limit = Some(limit);
        }
    }

    pub fn violation(&mut self, path: &FieldPath<'_>, description: impl Into<String>) {
        self.add_with(|| path.violation(description));
    }

    pub fn add(&mut self, violation: Violation) {
        self.add_with(|| violation);
    }

    fn add_with(&mut self, violation: impl FnOnce() -> Violation) {
        if self.violations.len() < self.limits.violations.max(1) {
            self.violations.push(violation());
        } else {
            self.more += 1;
        }
    }

    pub fn schema(&self) -> &'a Schema {
        self.known.schema
    }

    pub fn count_fits(
        &mut self,
        path: &FieldPath<'_>,
        count: usize,
        (name, limit): (&'static str, usize),
    ) -> bool {
        let fits = count <= limit;
        if !fits {
            let description = format!("{count} elements, more than the limit of {limit}");
            self.over_limit(path, name, description);
        }
        fits
    }

    pub fn text_fits(&mut self, path: &FieldPath<'_>, text: &str) -> bool {
        let (length, limit) = (text.len(), self.limits.text_bytes);
        let fits = length <= limit;
        if !fits {
            let description = format!("{length} bytes, more than the limit of {limit}");
            self.over_limit(path, "text_bytes", description);
        }
        fits
    }
}

/// Lists names in order, for a message.
pub(super) fn listed<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    let mut names: Vec<_> =
        names.into_iter().map(|name| format!("`{}`", name.to_string())).collect();
    names.sort_unstable();
    names.join(", ")
}
