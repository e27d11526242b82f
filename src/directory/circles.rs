//! Entities that are in themselves, through others. Nobody knows what is meant by such a row, so it is
//! as one that cannot be read.

use std::{collections::BTreeSet, sync::Arc};

use super::{ChangeFault, Directory, apply::Applying};
use crate::{
    model::{Uid, hash::HashMap},
    request::HeldPlace,
};

/// Finds the entities that are in themselves, among those that some entities are in: Tarjan's strongly
/// connected components.
struct CircleSearch<'a> {
    directory: &'a Directory,
    visits: HashMap<HeldPlace, Visit>,
    /// The visited entities that may still turn out to be in a circle.
    open: Vec<HeldPlace>,
    found: BTreeSet<HeldPlace>,
}

/// A visited entity.
struct Visit {
    order: usize,
    /// The earliest entity in `open` that it is in.
    earliest: usize,
    is_open: bool,
}

impl Applying {
    /// Finds the entities that are in themselves now, and returns those that have come to be and those
    /// that are no more. A new circle leads through a changed row.
    pub(super) fn find_circles(&mut self) -> Vec<HeldPlace> {
        let before = Arc::clone(&self.next.circles);
        let mut search = CircleSearch {
            directory: &self.next,
            visits: HashMap::default(),
            open: Vec::new(),
            found: BTreeSet::new(),
        };
        let changed = self.with_parents.iter().map(|(place, _)| *place);
        changed.chain(before.iter().copied()).for_each(|start| search.visit(start));
        let found = search.found;
        let touched: Vec<_> = before.union(&found).copied().collect();
        for place in &touched {
            if let Some(record) = self.next.entities.get_mut(place.0) {
                record.set_in_circle(found.contains(place));
            }
        }
        let counts = &mut self.next.counts;
        counts.ignored = counts.ignored + found.len() - before.len();
        self.next.circles = Arc::new(found);
        touched
    }
}

impl Directory {
    /// Returns the entities of which the rows say that they are in themselves, through others, with
    /// their faults.
    pub fn in_circles(&self) -> impl Iterator<Item = (Uid, ChangeFault)> {
        self.circles
            .iter()
            .filter_map(|place| Some((self.written(*place)?, self.circle_of(*place))))
    }

    /// Describes the circle that an entity is in.
    pub(super) fn circle_of(&self, place: HeldPlace) -> ChangeFault {
        let parents = self.parents(place).iter();
        let through = parents.filter(|parent| self.circles.contains(parent));
        let through = through.copied().find_map(|parent| self.written(parent));
        let description = match through {
            Some(parent) => {
                format!("the entity is in itself, through `{parent}`: leave one of them out")
            }
            None => "the entity is in itself, through others: leave one of them out".to_owned(),
        };
        ChangeFault { field: "entity.parents".to_owned(), description }
    }

    /// Returns the direct parents of an entity whose row fits the schema.
    fn parents(&self, place: HeldPlace) -> &[HeldPlace] {
        let row = self.entity_record(place).and_then(|record| record.row());
        row.map_or(&[], |row| &row.parents)
    }
}

impl CircleSearch<'_> {
    fn visit(&mut self, start: HeldPlace) {
        if self.visits.contains_key(&start) {
            return;
        }
        self.enter(start);
        let mut path = vec![(start, 0)];
        while let Some((place, next)) = path.last_mut() {
            let place = *place;
            let Some(parent) = self.directory.parents(place).get(*next).copied() else {
                path.pop();
                let earliest = self.leave(place);
                if let Some((child, _)) = path.last() {
                    self.leads_to(*child, earliest);
                }
                continue;
            };
            *next += 1;
            match self.visits.get(&parent) {
                Some(visit) if visit.is_open => {
                    let order = visit.order;
                    self.leads_to(place, order);
                }
                Some(_) => {}
                None => {
                    self.enter(parent);
                    path.push((parent, 0));
                }
            }
        }
    }

    fn enter(&mut self, place: HeldPlace) {
        let order = self.visits.len();
        self.visits.insert(place, Visit { order, earliest: order, is_open: true });
        self.open.push(place);
    }

    fn leads_to(&mut self, place: HeldPlace, order: usize) {
        if let Some(visit) = self.visits.get_mut(&place) {
            visit.earliest = visit.earliest.min(order);
        }
    }

    /// Ends a visit, and returns the earliest open entity that it leads to. Where that is none before
    /// it, those that are open since are all in each other.
    fn leave(&mut self, place: HeldPlace) -> usize {
        let Some(Visit { order, earliest, .. }) = self.visits.get(&place) else {
            return usize::MAX;
        };
        let (order, earliest) = (*order, *earliest);
        if order == earliest {
            let from = self.open.iter().rposition(|open| *open == place).unwrap_or_default();
            let together = self.open.split_off(from);
            for place in &together {
                if let Some(visit) = self.visits.get_mut(place) {
                    visit.is_open = false;
                }
            }
            // No row names itself as its parent.
            if together.len() > 1 {
                self.found.extend(together);
            }
        }
        earliest
    }
}
