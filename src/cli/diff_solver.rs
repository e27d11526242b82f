//! Questions that the search of `diff` leaves open, asked of the solver.

use std::{
    io::{Write as _, stderr},
    time::Instant,
};

use super::{CliError, progress::QuietFlag};
use crate::{
    analysis::{Diff, Direction, OtherChange, Witness},
    model::OnForbidError,
    proofs::{Difference, ProofOptions, Solver, compare, compare_gains},
    reload,
    settings::Settings,
    store::PolicyStore,
};

/// Settles with the solver what the search left open, if there is a solver. What the solver does not know
/// stays open.
pub(super) fn settle(
    diff: &mut Diff,
    old: &PolicyStore,
    new: &PolicyStore,
    on_forbid_error: OnForbidError,
    quiet: &QuietFlag,
) -> Result<(), CliError> {
    // The solver takes held entities as unknown, and compares no policies that do not fit.
    if diff.unknown.is_empty() || diff.entities_differ || !diff.not_comparable.is_empty() {
        return Ok(());
    }
    let Ok(solver) = Solver::find() else { return Ok(()) };
    let progress = quiet.progress(format!("proving what is not settled of {}", new.name()));
    let told = |done, all| progress.set(done, all);
    let options = ProofOptions { on_forbid_error, ..ProofOptions::default() };
    let comparison = compare(old, new, &solver, &options, &told);
    let comparison = comparison.map_err(CliError::Failure)?;
    let ways = [(Direction::Gain, comparison.gains), (Direction::Loss, comparison.losses)];
    for (direction, differences) in ways {
        if comparison.unknown.is_empty() {
            diff.unknown.retain(|unknown| unknown.direction != direction);
        }
        for Difference { witness, .. } in differences {
            add(diff, direction, *witness);
        }
    }
    Ok(())
}

/// Asks what the gate `no-gains` asks of a step in which the search finds no gain, so that all that it would
/// refuse can be approved. Where there is no solver, a note says that this is not known.
pub(super) fn ask_like_gate(
    diff: &mut Diff,
    old: &PolicyStore,
    new: &PolicyStore,
    settings: &Settings,
    quiet: &QuietFlag,
) -> Result<(), CliError> {
    let is_approved_anyway =
        diff.has_gains() || diff.entities_differ || !new.understands_otherwise_than(old).is_empty();
    let passes = old.revision() == new.revision() || reload::only_narrows(new, old);
    if is_approved_anyway || passes {
        return Ok(());
    }
    let solver = match Solver::find() {
        Ok(solver) => solver,
        Err(missing) => {
            if !quiet.quiet {
                let name = new.name();
                let _ = writeln!(
                    stderr(),
                    "note: {name}: what the gate `no-gains` would refuse is not known: {missing}"
                );
            }
            return Ok(());
        }
    };
    let _progress = quiet.progress(format!("proving that nobody gains in {}", new.name()));
    let options = ProofOptions {
        deadline: Instant::now().checked_add(settings.reload.gate_timeout),
        on_forbid_error: settings.on_forbid_error,
        ..ProofOptions::default()
    };
    let comparison = compare_gains(old, new, &solver, &options).map_err(CliError::Failure)?;
    for Difference { witness, .. } in comparison.gains {
        add(diff, Direction::Gain, *witness);
    }
    diff.not_proved = comparison.unknown;
    Ok(())
}

/// Adds a change, unless one for the same requests is listed already.
fn add(diff: &mut Diff, direction: Direction, witness: Witness) {
    let input = &witness.input;
    let (Some(principal), Some(action), Some(resource)) =
        (&input.principal, &input.action, &input.resource)
    else {
        return;
    };
    let is_alike = |other: &Witness| {
        let types = |witness: &Witness| {
            let input = &witness.input;
            [&input.principal, &input.resource]
                .map(|uid| uid.as_ref().map(|uid| uid.type_name.clone()))
        };
        let id = |witness: &Witness| witness.input.action.as_ref().map(|uid| uid.id.clone());
        (id(other), types(other)) == (id(&witness), types(&witness))
    };
    let of_cells = diff.cells.iter().filter_map(|cell| match direction {
        Direction::Loss => cell.loss.as_ref(),
        _ => cell.gain.as_ref(),
    });
    let of_others = diff.others.iter().filter(|other| other.direction == direction);
    if of_cells.chain(of_others.map(|other| &other.witness)).any(is_alike) {
        return;
    }
    diff.others.push(OtherChange {
        action: action.id.clone(),
        principal: principal.type_name.clone(),
        resource: resource.type_name.clone(),
        direction,
        witness: witness.clone(),
        without_dropped_facts: false,
    });
    diff.others.sort_by_key(|other| !other.direction.is_gain());
}
