//! The sides of a question.

/// A side of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The principal.
    Principal,
    /// The resource.
    Resource,
}

impl Side {
    /// Returns the name of its field in a question.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Resource => "resource",
        }
    }

    /// Returns the name of the field that has the type of the entities that are listed.
    #[must_use]
    pub fn type_field(self) -> &'static str {
        match self {
            Self::Principal => "principal_type",
            Self::Resource => "resource_type",
        }
    }
}
