//! The size of a hierarchy, taken before Cedar computes every ancestor of everything in it.

use std::{collections::HashMap, hash::Hash};

use super::bounds::ANCESTORS_OF_ONE;

/// The bound that a hierarchy exceeds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TooLarge<'a, K> {
    /// One has more than [`ANCESTORS_OF_ONE`].
    One(&'a K),
    /// All together have more than the bound, with that one.
    All(&'a K),
}

/// Counts ancestors, each once for everything that it is an ancestor of, up to the bound `most`.
/// Cycles are allowed.
pub(super) fn check<'a, K: Eq + Hash>(
    parents: impl IntoIterator<Item = (&'a K, Vec<&'a K>)>,
    most: usize,
) -> Result<(), TooLarge<'a, K>> {
    let mut numbers = HashMap::new();
    let mut edges: Vec<Vec<usize>> = Vec::new();
    let mut names = Vec::new();
    let mut number = |key, edges: &mut Vec<Vec<usize>>| {
        *numbers.entry(key).or_insert_with(|| {
            edges.push(Vec::new());
            names.push(key);
            edges.len() - 1
        })
    };
    for (child, parents) in parents {
        let child = number(child, &mut edges);
        for parent in parents {
            let parent = number(parent, &mut edges);
            edges.get_mut(child).into_iter().for_each(|of_child| of_child.push(parent));
        }
    }
    let mut total = 0;
    // The last start from which each was reached: nothing has to be cleared in between.
    let mut reached_from = vec![usize::MAX; edges.len()];
    let mut waiting = Vec::new();
    for (start, name) in names.iter().enumerate() {
        waiting.push(start);
        let mut ancestors = 0;
        while let Some(parents) = waiting.pop().and_then(|number| edges.get(number)) {
            for parent in parents {
                let Some(from) = reached_from.get_mut(*parent) else { continue };
                if *from != start {
                    *from = start;
                    ancestors += 1;
                    waiting.push(*parent);
                }
            }
            if ancestors > ANCESTORS_OF_ONE {
                return Err(TooLarge::One(name));
            }
            if total + ancestors > most {
                return Err(TooLarge::All(name));
            }
        }
        total += ancestors;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(parents: &[(u32, &[u32])], most: usize) -> Result<(), &'static str> {
        let parents = parents.iter().map(|(child, parents)| (child, parents.iter().collect()));
        super::check(parents, most).map_err(|error| match error {
            TooLarge::One(_) => "one",
            TooLarge::All(_) => "all",
        })
    }

    #[test]
    fn every_ancestor_counts_once_for_each_descendant() {
        let diamond: &[(u32, &[u32])] = &[(1, &[2, 3]), (2, &[4]), (3, &[4])];
        assert_eq!(check(diamond, 5), Ok(()));
        assert_eq!(check(diamond, 4), Err("all"));
    }

    #[test]
    fn a_cycle_ends() {
        assert_eq!(check(&[(1, &[2]), (2, &[3, 2]), (3, &[1])], 9), Ok(()));
        assert_eq!(check(&[(1, &[2]), (2, &[3, 2]), (3, &[1])], 8), Err("all"));
    }

    #[test]
    fn nothing_has_more_ancestors_than_the_stack_stands() {
        let parents: Vec<(u32, [u32; 1])> = (0..6_000).map(|n| (n, [n + 1])).collect();
        let parents = parents.iter().map(|(child, parents)| (child, parents.iter().collect()));
        assert_eq!(super::check(parents, usize::MAX), Err(TooLarge::One(&0)));
    }
}
