//! The outcomes that a condition can have where facts are missing.

use cedar_policy_core::ast::{Expr, ExprKind, UnaryOp};

/// Levels of a condition that are looked into. What nests deeper is taken as one part.
const LEVELS: usize = 100;

/// The outcomes that a condition can have, whatever the missing facts are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Outcomes {
    /// It can be true.
    pub is_true: bool,
    /// It can be false.
    pub is_false: bool,
    /// Its evaluation can fail.
    pub fails: bool,
}

impl Outcomes {
    pub(super) const FAILS: Self = Self { is_true: false, is_false: false, fails: true };
    pub(super) const ANY: Self = Self { is_true: true, is_false: true, fails: true };

    /// Returns the one outcome of a condition that is known.
    pub(super) fn known(value: bool) -> Self {
        Self { is_true: value, is_false: !value, fails: false }
    }

    /// Returns the outcomes of a condition by those of its parts: the operands of `&&`, `||` and `!`,
    /// and the branches of `if`. `of_part` is asked for no part that is evaluated in no case.
    pub(super) fn of(condition: &Expr, of_part: &mut dyn FnMut(&Expr) -> Self) -> Self {
        Self::within(condition, LEVELS, of_part)
    }

    fn within(expr: &Expr, levels: usize, of_part: &mut dyn FnMut(&Expr) -> Self) -> Self {
        let Some(levels) = levels.checked_sub(1) else { return of_part(expr) };
        match expr.expr_kind() {
            ExprKind::And { left, right } => {
                let left = Self::within(left, levels, of_part);
                if !left.is_true {
                    return left;
                }
                let right = Self::within(right, levels, of_part);
                Self {
                    is_true: right.is_true,
                    is_false: left.is_false || right.is_false,
                    fails: left.fails || right.fails,
                }
            }
            ExprKind::Or { left, right } => {
                let left = Self::within(left, levels, of_part);
                if !left.is_false {
                    return left;
                }
                let right = Self::within(right, levels, of_part);
                Self {
                    is_true: left.is_true || right.is_true,
                    is_false: right.is_false,
                    fails: left.fails || right.fails,
                }
            }
            ExprKind::UnaryApp { op: UnaryOp::Not, arg } => {
                let Self { is_true, is_false, fails } = Self::within(arg, levels, of_part);
                Self { is_true: is_false, is_false: is_true, fails }
            }
            ExprKind::If { test_expr, then_expr, else_expr } => {
                let test = Self::within(test_expr, levels, of_part);
                let mut all = Self { fails: test.fails, ..Self::default() };
                for (_, branch) in [(test.is_true, then_expr), (test.is_false, else_expr)]
                    .into_iter()
                    .filter(|(is_taken, _)| *is_taken)
                {
                    let branch = Self::within(branch, levels, of_part);
                    all.is_true |= branch.is_true;
                    all.is_false |= branch.is_false;
                    all.fails |= branch.fails;
                }
                all
            }
            _ => of_part(expr),
        }
    }
}
