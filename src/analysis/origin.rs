//! The places where the values come from that a condition compares.

/// The origin of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// It is written in the policy, so that values around it are tried.
    Literal,
    /// It is known of the request or of the store.
    Given,
    /// It is a value that a fact was tried with.
    Tried,
    /// It was computed from such values.
    Computed,
}

impl Origin {
    /// Returns the origin of a value that is computed from two.
    pub fn and(self, other: Self) -> Self {
        let is_tried = |origin| matches!(origin, Self::Tried | Self::Computed);
        if is_tried(self) || is_tried(other) { Self::Computed } else { Self::Given }
    }
}
