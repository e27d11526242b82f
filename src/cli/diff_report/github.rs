//! A comparison as annotations of a workflow on GitHub.

use std::fmt::Write as _;

use super::{Compared, What};
use crate::{analysis::Direction, cli::validate::escaped};

pub(in crate::cli) fn github(compared: &[Compared]) -> String {
    let mut text = String::new();
    for store in compared {
        let mut line = |kind: &str, message: &str| {
            let _ = writeln!(text, "::{kind} title={}::{}", store.name, escaped(message));
        };
        let diff = match &store.what {
            What::Added => {
                line("warning", "a new store: all that it allows is gained");
                continue;
            }
            What::Removed => {
                line("warning", "the store is gone: all that it allowed is lost");
                continue;
            }
            What::Differs(diff, ..) => diff,
        };
        for (direction, sentence, _) in store.sentences() {
            let kind = if direction == Direction::Loss { "notice" } else { "warning" };
            line(kind, &sentence);
        }
        for reason in &diff.not_comparable {
            line("error", &format!("not comparable: {reason}"));
        }
        for one in &diff.unknown {
            let kind = if one.direction.is_gain() { "error" } else { "notice" };
            line(kind, &format!("not settled: {one}"));
        }
        for one in &diff.not_proved {
            line("error", &format!("not settled: {one}"));
        }
        for column in &diff.gone {
            line("notice", &format!("the column {column} is gone"));
        }
        line("notice", &store.summary());
    }
    text
}
