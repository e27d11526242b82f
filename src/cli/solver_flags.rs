//! The cells of a matrix that only a solver can settle.

#[cfg(feature = "prove")]
use std::time::Duration;
use std::{
    fmt::Write as _,
    io::{Write as _, stderr},
};

use super::{CliError, output, progress::QuietFlag};
#[cfg(feature = "prove")]
use crate::proofs::{self, ProofOptions, Solver};
use crate::{analysis::Matrix, store::PolicyStore};

/// Cells of which a note tells why they are not proved.
const TOLD: usize = 10;

/// The flags of commands that ask a solver about single cells.
#[derive(Debug, clap::Args)]
pub(super) struct SolverFlags {
    /// How long the solver cvc5, if there is one, may take for one question about a cell that is left
    /// open, in seconds
    #[cfg(feature = "prove")]
    #[arg(long, value_name = "SECONDS", default_value_t = ProofOptions::QUERY_TIMEOUT_S)]
    query_timeout: u64,
}

impl SolverFlags {
    /// Settles the open cells of a matrix, and notes on the standard error which stay open and why.
    /// Looks for no solver where none is open.
    pub(super) fn settle(
        &self,
        matrix: &mut Matrix,
        store: &PolicyStore,
        quiet: &QuietFlag,
    ) -> Result<(), CliError> {
        if matrix.open_cells().next().is_none() {
            return Ok(());
        }
        let missing = self.ask(matrix, store, quiet)?;
        if missing.is_some() {
            for cell in matrix.open_cells() {
                cell.unsettled = Some("there is no solver".to_owned());
            }
        }
        if !quiet.quiet {
            let note = note(matrix, store, missing.as_deref());
            // The matrix says which cells they are, too.
            let _ = stderr().write_all(note.as_bytes());
        }
        Ok(())
    }

    /// Asks the solver; returns why there is none, if so.
    #[cfg(feature = "prove")]
    fn ask(
        &self,
        matrix: &mut Matrix,
        store: &PolicyStore,
        quiet: &QuietFlag,
    ) -> Result<Option<String>, CliError> {
        let solver = match Solver::find() {
            Ok(solver) => solver,
            Err(missing) => return Ok(Some(missing.to_string())),
        };
        let query_timeout = Duration::from_secs(self.query_timeout.max(1));
        let options = ProofOptions { query_timeout, ..ProofOptions::default() };
        let progress = quiet.progress(format!("proving open cells of {}", store.name()));
        let told = |done, all| progress.set(done, all);
        proofs::settle(matrix, store, &solver, &options, &told).map_err(CliError::Failure)?;
        Ok(None)
    }

    /// Says that there is no solver.
    #[cfg(not(feature = "prove"))]
    fn ask(
        &self,
        _: &mut Matrix,
        _: &PolicyStore,
        _: &QuietFlag,
    ) -> Result<Option<String>, CliError> {
        Ok(Some("this build asks no solver: it lacks the feature `prove`".to_owned()))
    }
}

/// Writes which cells are not proved, and why. `missing` says why there is no solver.
fn note(matrix: &Matrix, store: &PolicyStore, missing: Option<&str>) -> String {
    let open: Vec<_> = matrix.cells().filter(|(_, _, cell)| !cell.is_proved()).collect();
    if open.is_empty() {
        return String::new();
    }
    let cells = output::counted(open.len(), "cell is", "cells are");
    let head = format!("note: {}: {cells} computed, not proved", store.name());
    if let Some(missing) = missing {
        return format!("{head}: {missing}\n");
    }
    let mut text = format!("{head}\n");
    for (row, column, cell) in open.iter().take(TOLD) {
        let reason = cell.unsettled.as_deref().unwrap_or_default();
        let _ = writeln!(text, "  {} / {} / {column}: {reason}", row.scope, row.action);
    }
    if let Some(more @ 1..) = open.len().checked_sub(TOLD) {
        let _ = writeln!(text, "  and {more} more");
    }
    text
}
