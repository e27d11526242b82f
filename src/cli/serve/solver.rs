//! The gates on reload that take a solver, and what they compare with.

use std::sync::Arc;

use crate::{
    cli::CliError,
    reload::{Gate, SlowGates},
    settings::Settings,
};
#[cfg(feature = "prove")]
use crate::{
    proofs::{KeptStores, Solver, SolverGates},
    settings::FirstState,
};

/// Returns the gates that take a solver, if the settings name one.
#[cfg(feature = "prove")]
pub(super) fn slow_gates(settings: &Settings) -> Result<Option<Arc<dyn SlowGates>>, CliError> {
    let reload = &settings.reload;
    let (invariants, no_gains) =
        (reload.require.contains(&Gate::Invariants), reload.require.contains(&Gate::NoGains));
    if !invariants && !no_gains {
        return Ok(None);
    }
    let solver = Solver::find().map_err(|error| {
        CliError::Usage(format!("`reload.require` names a gate that takes a solver: {error}"))
    })?;
    Ok(Some(Arc::new(SolverGates {
        solver,
        invariants,
        no_gains,
        timeout: reload.gate_timeout,
        on_forbid_error: settings.on_forbid_error,
        bounds: settings.bounds.clone(),
        baseline: reload.baseline.clone(),
        kept: settings.data.as_deref().filter(|_| no_gains).map(KeptStores::below),
        trust_first: reload.first == FirstState::Trust,
    })))
}

#[cfg(not(feature = "prove"))]
pub(super) fn slow_gates(settings: &Settings) -> Result<Option<Arc<dyn SlowGates>>, CliError> {
    let slow = settings.reload.require.iter().find(|gate| **gate != Gate::Tests);
    match slow {
        Some(gate) => Err(CliError::Usage(format!(
            "`reload.require` names `{gate}`, and this is built without the feature `prove`"
        ))),
        None => Ok(None),
    }
}
