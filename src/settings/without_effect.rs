//! Settings that are set and have no effect, because another one is not.

use super::{FirstState, Settings};
use crate::{audit::LogMode, reload::Gate};

impl Settings {
    /// Returns the settings that are set and have no effect, each with what is missing.
    #[must_use]
    pub fn without_effect(&self) -> Vec<(&'static str, &'static str)> {
        let has_log = self.decision_log.mode != LogMode::Off;
        let compares = self.reload.require.contains(&Gate::NoGains);
        let all = [
            (
                self.decision_log.file.is_some() && !has_log,
                "decision_log.file",
                "nothing is recorded: the decision log is off, set `decision_log.mode = \"on\"` \
                 (`--decision-log`)",
            ),
            (
                self.reload.baseline.is_some() && !compares,
                "reload.baseline",
                "no gate compares with it: add `no-gains` to `reload.require`",
            ),
            (
                self.reload.first != FirstState::default() && !compares,
                "reload.first",
                "no gate asks for it: add `no-gains` to `reload.require`",
            ),
        ];
        all.into_iter().filter(|(is_idle, ..)| *is_idle).map(|(_, key, why)| (key, why)).collect()
    }
}
