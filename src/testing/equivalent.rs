//! `mutants.toml`: mutants that change no decision.

use super::{
    node::{TestFile, TestPlace, parse_toml},
    table::TestTable,
};
use crate::store::{Problems, StoreFiles};

const FILE: &str = "mutants.toml";

/// A mutant that changes no decision, so that no test can notice it.
#[derive(Debug)]
pub(super) struct Equivalent {
    pub mutant: String,
    pub reason: String,
    pub place: TestPlace,
}

pub(super) fn read(files: &StoreFiles, problems: &mut Problems) -> Vec<Equivalent> {
    let file = files.get(FILE).and_then(|bytes| TestFile::new(files, FILE, bytes, problems));
    let node = file.and_then(|file| parse_toml(&file, problems));
    let Some(mut file) = node.and_then(|node| TestTable::new(node, problems)) else {
        return Vec::new();
    };
    let mut equivalents = Vec::new();
    for node in file.array("equivalent", problems) {
        let Some(mut table) = TestTable::new(node, problems) else { continue };
        let mutant = table.required_string("mutant", problems);
        let reason = table.required_string("reason", problems);
        table.finish(problems);
        if let (Some((mutant, place)), Some((reason, _))) = (mutant, reason) {
            equivalents.push(Equivalent { mutant, reason, place });
        }
    }
    file.finish(problems);
    equivalents
}
