//! Items of a batch that have the same answer, whatever it is.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::sent::{Name, Parties};
use crate::{
    engine::{Decision, Kind, Likeness, Symmetry},
    request::{RequestInput, RequestLimits},
    server::convert::Response,
    store::PolicyStore,
};

/// The classes of the items that share all facts, with the answers of those that have one.
pub(in crate::server) struct Classes<'a, 'm> {
    symmetry: Symmetry<'a>,
    text_bytes: usize,
    /// The types of principals and resources in each way in which they are written.
    spellings: Vec<Spelling<'a, 'm>>,
    names: Names<'m>,
    /// The last class that was answered.
    last: Option<(Key, usize)>,
    answered: HashMap<Key, usize, RandomState>,
    answers: Vec<Answer>,
}

/// A type as it is written.
#[derive(Debug, Clone, Copy)]
struct Spelling<'a, 'm> {
    written: &'m str,
    kind: Option<Kind<'a>>,
    /// The place of the first spelling of the type.
    first: u8,
}

/// A batch with more spellings of types than this is not worth it.
const SPELLINGS: usize = 16;

/// Names by number, which is what is left of them where they only have to be told apart.
#[derive(Debug, Default)]
struct Names<'m> {
    numbers: HashMap<Name<'m>, u32, RandomState>,
    last: Option<(Name<'m>, u32)>,
}

/// The class of an item.
pub(in crate::server) struct Class<'c, 'a, 'm> {
    classes: &'c mut Classes<'a, 'm>,
    key: Key,
}

/// What the items of a class have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    principal: Party,
    /// The number of its name, from 1; 0 for that of the batch.
    action: u32,
    resource: Party,
    /// Whether principal and resource are the same entity, where each could be any of its likes.
    is_one: bool,
}

/// A principal or resource as one number, for nothing is done with it as often as comparing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Party(u64);

impl Party {
    /// That of the batch.
    const SHARED: Self = Self(0);
    const LIKE: u64 = 1 << 63;
    const ONE: u64 = 1 << 62;

    /// The one whose name has that number.
    fn one(name: u32) -> Self {
        Self(Self::ONE | u64::from(name))
    }

    /// Any of a type, by the place at which it is first written, on which the roles of that number
    /// are held.
    fn like(place: u8, held: u32) -> Self {
        Self(Self::LIKE | u64::from(place) << 32 | u64::from(held))
    }

    /// Whether both may be any of their likes, which are of one type.
    fn may_be(self, other: Self) -> bool {
        self.0 & other.0 & Self::LIKE != 0 && self.0 >> 32 == other.0 >> 32
    }
}

/// The answer to all items of a class.
#[derive(Debug)]
pub(in crate::server) struct Answer {
    decision: Decision,
    written: Box<[u8]>,
}

impl<'a, 'm> Classes<'a, 'm> {
    /// Of items of a batch with these shared facts.
    pub fn new(store: &'a PolicyStore, facts: &'a RequestInput, limits: &RequestLimits) -> Self {
        Self {
            symmetry: Symmetry::new(store, facts),
            text_bytes: limits.text_bytes,
            spellings: Vec::new(),
            names: Names::default(),
            last: None,
            answered: HashMap::default(),
            answers: Vec::new(),
        }
    }

    /// The class of an item that names a resource and nothing else, as most do.
    #[inline]
    pub fn of_resource(&mut self, resource: Name<'m>) -> Option<Class<'_, 'a, 'm>> {
        let resource = self.party(resource.type_name, resource.id)?;
        let key = Key { principal: Party::SHARED, action: 0, resource, is_one: false };
        Some(Class { classes: self, key })
    }

    /// The class of an item that has these parties and nothing else, if there may be others in it.
    #[inline]
    pub fn of(&mut self, parties: &Parties<'m>) -> Option<Class<'_, 'a, 'm>> {
        let principal = match parties.principal {
            Some(name) => self.party(name.type_name, name.id)?,
            None => Party::SHARED,
        };
        let resource = match parties.resource {
            Some(name) => self.party(name.type_name, name.id)?,
            None => Party::SHARED,
        };
        let id = |name: Option<Name<'m>>| name.map(|name| name.id);
        let is_one = principal.may_be(resource) && id(parties.principal) == id(parties.resource);
        let action = parties.action.map_or(0, |action| self.names.number(action) + 1);
        let key = Key { principal, action, resource, is_one };
        Some(Class { classes: self, key })
    }

    /// The party of that name; none for a name that is too long, which is refused. The name comes in
    /// parts, which stay in registers.
    #[inline]
    fn party(&mut self, type_name: &'m str, id: &'m str) -> Option<Party> {
        if id.len() > self.text_bytes {
            return None;
        }
        let (kind, first) = self.kind(type_name)?;
        Some(match kind.map(|kind| self.symmetry.likeness(kind, id)) {
            Some(Likeness::Alike(held)) => Party::like(first, held),
            Some(Likeness::Unlike) | None => Party::one(self.names.number(Name { type_name, id })),
        })
    }

    /// A type and where it is first written.
    #[inline]
    fn kind(&mut self, written: &'m str) -> Option<(Option<Kind<'a>>, u8)> {
        match self.spellings.last() {
            Some(last) if std::ptr::eq(last.written, written) => Some((last.kind, last.first)),
            _ => self.spelling(written).map(|spelling| (spelling.kind, spelling.first)),
        }
    }

    fn spelling(&mut self, written: &'m str) -> Option<Spelling<'a, 'm>> {
        let spellings = &mut self.spellings;
        let known = spellings.iter().find(|spelling| spelling.written == written);
        if known.is_some() || spellings.len() == SPELLINGS {
            return known.copied();
        }
        let kind = self.symmetry.kind(written);
        let same = spellings.iter().find(|other| kind.is_some() && other.kind == kind);
        let first = same.map_or(u8::try_from(spellings.len()).ok()?, |same| same.first);
        let spelling = Spelling { written, kind, first };
        spellings.push(spelling);
        Some(spelling)
    }
}

impl<'m> Names<'m> {
    fn number(&mut self, name: Name<'m>) -> u32 {
        match self.last {
            Some((last, number)) if last == name => number,
            _ => {
                // No message is as long as that.
                let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX - 1);
                let number = *self.numbers.entry(name).or_insert(next);
                self.last = Some((name, number));
                number
            }
        }
    }
}

impl<'c> Class<'c, '_, '_> {
    /// The answer to an item of it that was answered before.
    #[inline]
    pub fn answer(self) -> Option<&'c Answer> {
        let Classes { last, answered, answers, .. } = self.classes;
        let index = match last {
            Some((last, index)) if *last == self.key => *index,
            _ => {
                let index = *answered.get(&self.key)?;
                *last = Some((self.key, index));
                index
            }
        };
        answers.get(index)
    }

    /// Keeps the answer to an item of it for all.
    pub fn keep(self, answer: Answer) {
        self.classes.answered.insert(self.key, self.classes.answers.len());
        self.classes.answers.push(answer);
    }
}

impl Answer {
    /// The answer to an item, as it was written, if it is that of all items of its class too.
    pub fn of_all_like(response: Response, written: &[u8]) -> Option<Self> {
        let decision = response.into_repeatable()?;
        Some(Self { decision, written: written.into() })
    }

    /// What was decided.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// The whole as it was written. The text of the decision's name ends it.
    pub fn written(&self) -> &[u8] {
        &self.written
    }
}
