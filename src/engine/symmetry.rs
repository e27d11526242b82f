//! Which entities no policy can tell apart.
//!
//! Cedar has no operation on the id of an entity: it asks whether two entities are the same, what is
//! in what, and what is known of them. So a decision stays what it is when entities change places of
//! which the same is known and that neither the store nor the request names. Of a thousand sites on
//! which nobody holds a role, one decision is that of all; of a thousand on which alice is editor as
//! well.
//!
//! More exactly: let two requests have the same action, the same facts, and principals and resources
//! that are alike by [`Symmetry::likeness`], the two of either request being the same entity in both
//! or in neither. Then there is a permutation of entities that takes one request to the other and
//! moves only entities that nothing names but role assignments, each to one with the same
//! assignments on it. It leaves the policies, the store's entities and the facts as they are, and so
//! the decision too. Assignments that leave out their principal or scope move with the request.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher as _, BuildHasherDefault, Hasher},
};

use cedar_policy_core::ast::{EntityType, EntityUID, Literal, PartialValue, ValueKind};
use foldhash::fast::RandomState;

use crate::{
    request::{RequestInput, RoleAssignmentInput, Uid, Value},
    store::{FixedEntities, PolicyStore, StoreSchema},
    time::Timestamp,
};

/// The entities that a store says something about, in its policies or because it holds them.
///
/// Hashes are kept instead of entities. Two entities may share one: then the other one counts as
/// named too, which costs a decision and changes none.
#[derive(Debug, Default)]
pub(crate) struct NamedEntities {
    hashes: HashSet<u64, Hashed>,
    sieve: Sieve,
    random: RandomState,
}

/// Tells of nearly every hash that is not in a collection that it is not, at the cost of a bit.
#[derive(Debug, Default)]
struct Sieve(Box<[u64]>);

impl Sieve {
    fn new(hashes: impl ExactSizeIterator<Item = u64>) -> Self {
        let mut bits = vec![0; (hashes.len() / 4 + 1).next_power_of_two()].into_boxed_slice();
        for hash in hashes {
            let mask = bits.len() - 1;
            if let Some(word) = bits.get_mut(hash as usize >> 6 & mask) {
                *word |= 1 << (hash & 63);
            }
        }
        Self(bits)
    }

    /// Whether a hash may be in the collection.
    #[inline]
    fn lets_pass(&self, hash: u64) -> bool {
        let word = self.0.get(hash as usize >> 6 & self.0.len().wrapping_sub(1));
        word.is_some_and(|word| word >> (hash & 63) & 1 == 1)
    }
}

/// Of keys that are hashes themselves.
type Hashed = BuildHasherDefault<AsItIs>;

/// Takes a hash as it is.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// What tells entities apart in requests that share their facts.
#[derive(Debug)]
pub struct Symmetry<'a> {
    store: &'a PolicyStore,
    known: HashMap<u64, Known<'a>, Hashed>,
    sieve: Sieve,
}

/// What the facts say of an entity.
#[derive(Debug)]
enum Known<'a> {
    /// They name it.
    Named,
    /// Only that roles are held on it: which ones is known by number.
    Scope { kind: Kind<'a>, id: &'a str, held: u32 },
}

/// Role assignments on a scope, each by its holder, role and end.
type Held<'a> = Vec<(Option<Entity<'a>>, &'a str, Option<Timestamp>)>;

/// An entity by its type and id.
type Entity<'a> = (&'a EntityType, &'a str);

/// A type of which entities may be alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind<'a> {
    entity_type: &'a EntityType,
    hash: u64,
}

/// Which entities an entity is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Likeness {
    /// None: it may differ from all others.
    Unlike,
    /// The others of its type that have this number: the same roles are held on them.
    Alike(u32),
}

impl NamedEntities {
    /// The entities that are named by policies, which are given, and by what the store holds.
    pub(super) fn new(
        policies: impl IntoIterator<Item = EntityUID>,
        schema: &StoreSchema,
        fixed: &FixedEntities,
    ) -> Self {
        let mut named = Self::default();
        policies.into_iter().for_each(|uid| named.add(&uid, schema));
        for entity in fixed.uids().filter_map(|uid| fixed.get(uid)) {
            named.add(entity.uid(), schema);
            entity.ancestors().for_each(|ancestor| named.add(ancestor, schema));
            for (_, value) in entity.attrs().chain(entity.tags()) {
                if let PartialValue::Value(value) = value {
                    named.add_value(&value.value, schema);
                }
            }
        }
        named.sieve = Sieve::new(named.hashes.iter().copied());
        named
    }

    /// Adds an entity, and the scope of a Role with it.
    fn add(&mut self, uid: &EntityUID, schema: &StoreSchema) {
        self.hashes.insert(self.hash(uid.entity_type(), uid.eid().as_ref()));
        if schema.is_role(uid)
            && let Some((scope, _)) = schema.scope_of(uid)
        {
            self.hashes.insert(self.hash(scope.entity_type(), scope.eid().as_ref()));
        }
    }

    fn add_value(&mut self, value: &ValueKind, schema: &StoreSchema) {
        match value {
            ValueKind::Lit(Literal::EntityUID(uid)) => self.add(uid, schema),
            ValueKind::Set(set) => {
                set.authoritative.iter().for_each(|value| self.add_value(&value.value, schema));
            }
            ValueKind::Record(record) => {
                record.values().for_each(|value| self.add_value(&value.value, schema));
            }
            ValueKind::Lit(_) | ValueKind::ExtensionValue(_) => {}
        }
    }

    fn hash(&self, entity_type: &EntityType, id: &str) -> u64 {
        self.kind(entity_type).hash_of(self, id)
    }

    /// Types of one name in two namespaces share a hash.
    fn kind<'a>(&self, entity_type: &'a EntityType) -> Kind<'a> {
        let name: &str = entity_type.name().basename_as_ref().as_ref();
        Kind { entity_type, hash: self.random.hash_one(name) }
    }
}

impl Kind<'_> {
    fn hash_of(self, named: &NamedEntities, id: &str) -> u64 {
        // Added and not combined bit by bit, so that an entity called like its type is not the same
        // for all types.
        named.random.hash_one(id).wrapping_add(self.hash)
    }
}

impl<'a> Symmetry<'a> {
    /// Of requests to a store that share these facts: context, entities and role assignments. The
    /// principal and the resource count as named.
    #[must_use]
    pub fn new(store: &'a PolicyStore, facts: &'a RequestInput) -> Self {
        let mut symmetry = Self { store, known: HashMap::default(), sieve: Sieve::default() };
        facts.principal.iter().chain(&facts.resource).for_each(|uid| symmetry.name(uid));
        facts.context.iter().for_each(|(_, value)| symmetry.name_those_in(value));
        for entity in &facts.entities {
            entity.uid.iter().chain(&entity.parents).for_each(|uid| symmetry.name(uid));
            let values = entity.attributes.iter().chain(&entity.tags);
            values.for_each(|(_, value)| symmetry.name_those_in(value));
        }
        let holders = facts.role_assignments.iter().filter_map(|role| role.principal.as_ref());
        holders.for_each(|uid| symmetry.name(uid));
        symmetry.number_scopes(&facts.role_assignments);
        symmetry.sieve = Sieve::new(symmetry.known.keys().copied());
        symmetry
    }

    /// The type that is written so, if entities of it may be alike.
    #[must_use]
    pub fn kind(&self, written: &str) -> Option<Kind<'a>> {
        let schema = self.store.schema();
        let entity_type = schema.entity_type(written)?;
        // What is enumerated is declared one by one, and the id of a Role has a meaning.
        let is_plain = schema.entity(entity_type)?.ids.is_none();
        let is_plain = is_plain && !schema.is_role_type(entity_type);
        is_plain.then(|| self.named().kind(entity_type))
    }

    /// Which entities an entity is like.
    #[inline]
    #[must_use]
    pub fn likeness(&self, kind: Kind<'_>, id: &str) -> Likeness {
        let named = self.named();
        let hash = kind.hash_of(named, id);
        if named.sieve.lets_pass(hash) && named.hashes.contains(&hash) {
            return Likeness::Unlike;
        }
        if !self.sieve.lets_pass(hash) {
            return Likeness::Alike(0);
        }
        match self.known.get(&hash) {
            None => Likeness::Alike(0),
            Some(Known::Scope { kind: of, id: scope, held }) if *of == kind && *scope == id => {
                Likeness::Alike(*held)
            }
            Some(_) => Likeness::Unlike,
        }
    }

    fn named(&self) -> &'a NamedEntities {
        self.store.prepared().named()
    }

    /// The entity can be told from all others; so can the scope of a Role.
    fn name(&mut self, uid: &Uid) {
        let schema = self.store.schema();
        // What is no entity type may be an action, and no action is like another.
        let Some(entity_type) = schema.entity_type(&uid.type_name) else { return };
        if schema.is_role_type(entity_type) {
            let eid = cedar_policy_core::ast::Eid::new(uid.id.as_str());
            let role = EntityUID::from_components(entity_type.clone(), eid, None);
            if let Some((scope, _)) = schema.scope_of(&role) {
                let hash = self.named().hash(scope.entity_type(), scope.eid().as_ref());
                self.known.insert(hash, Known::Named);
            }
        }
        self.known.insert(self.named().hash(entity_type, &uid.id), Known::Named);
    }

    fn name_those_in(&mut self, value: &Value) {
        match value {
            Value::Entity(uid) => self.name(uid),
            Value::Set(values) => values.iter().for_each(|value| self.name_those_in(value)),
            Value::Record(fields) => {
                fields.iter().for_each(|(_, value)| self.name_those_in(value));
            }
            Value::Missing
            | Value::Bool(_)
            | Value::Long(_)
            | Value::String(_)
            | Value::Decimal(_)
            | Value::Ip(_)
            | Value::Datetime(_)
            | Value::Duration(_) => {}
        }
    }

    /// Gives scopes on which the same roles are held the same number. What is named stays so.
    fn number_scopes(&mut self, assignments: &'a [RoleAssignmentInput]) {
        let schema = self.store.schema();
        let mut scopes: HashMap<Entity<'a>, Held<'a>, RandomState> = HashMap::default();
        let entity = |uid: &'a Uid| Some((schema.entity_type(&uid.type_name)?, uid.id.as_str()));
        for assignment in assignments {
            // What names no entity is refused in every request that has it.
            let Some(scope) = assignment.scope.as_ref().and_then(entity) else { continue };
            let holder = assignment.principal.as_ref().and_then(entity);
            let held = scopes.entry(scope).or_default();
            held.push((holder, &assignment.role, assignment.expires_at));
        }
        let mut numbers: HashMap<Held<'a>, u32, RandomState> = HashMap::default();
        for ((entity_type, id), mut held) in scopes {
            held.sort_unstable();
            held.dedup();
            // None is like those on which no role is held.
            let next = u32::try_from(numbers.len() + 1).unwrap_or(u32::MAX);
            let held = *numbers.entry(held).or_insert(next);
            let kind = self.named().kind(entity_type);
            let known = self.known.entry(kind.hash_of(self.named(), id));
            // Two entities of one hash are both taken for named.
            known.and_modify(|known| *known = Known::Named).or_insert(Known::Scope {
                kind,
                id,
                held,
            });
        }
    }
}
