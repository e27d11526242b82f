//! Conditions that the search does not settle, so that the question is left to the solver.

/// A condition that no search decides, on two numbers of the context.
pub const HIDDEN: &str = "context.a > 1000 && context.a < 2000 && context.b > 0 && context.b < 2000 && \
                          context.a - context.b == 37";

/// The same where the context need not have the numbers.
pub const HIDDEN_IF_SENT: &str = "context has a && context has b && context.a > 1000 && context.a < 9000 && \
                                  context.b > 0 && context.b < 9000 && context.a - context.b == 37";
