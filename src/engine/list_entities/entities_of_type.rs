//! The entities that a list may name, and those of them that are worth deciding for.

use std::cell::OnceCell;

use cedar_policy_core::ast::{Eid, EntityType, EntityUID, Literal, ValueKind};
use smol_str::SmolStr;

use crate::{
    engine::{
        Engine,
        compiled::{CandidateSource, CompiledFacts, Narrowing, RoleRef},
    },
    model::hash::{HashMap, HashSet},
    request::{EntityFacts, HeldFacts, HeldPlace, ListRequest, Request},
};

/// The entities of a type that the store or the directory holds, that the question describes, or that
/// it names in a role assignment. An entity that is only the value of an attribute is none of them.
pub(super) struct EntitiesOfType<'a> {
    engine: &'a Engine,
    request: &'a Request,
    entity_type: &'a EntityType,
    held: Option<&'a dyn HeldFacts>,
    /// The entities that were sent with an entity as a parent, by that entity.
    sent_members: OnceCell<HashMap<&'a EntityUID, Vec<&'a EntityUID>>>,
}

impl<'a> EntitiesOfType<'a> {
    pub(super) fn new(engine: &'a Engine, list: &'a ListRequest) -> Self {
        let request = list.shared();
        Self {
            engine,
            request,
            entity_type: list.entity_type(),
            held: request.facts.held.as_deref(),
            sent_members: OnceCell::new(),
        }
    }

    /// Returns the entities for which a permit can apply, each once and in no order.
    pub(super) fn candidates(&self, list: &ListRequest) -> Vec<EntityUID> {
        let (schema, stored) = (self.engine.schema(), self.engine.stored());
        let among = || {
            let compiled = self.engine.compiled()?;
            let facts = CompiledFacts::new(schema, stored, list.shared()).ok()?;
            match compiled.narrow(self.engine.slices(), schema, &facts, list) {
                Narrowing::Among(sources) => self.of_sources(&sources, &facts),
                Narrowing::All => None,
            }
        };
        among().unwrap_or_else(|| self.all())
    }

    /// Returns every entity of the type.
    fn all(&self) -> Vec<EntityUID> {
        self.all_of_which(|_, _| true)
    }

    /// Returns the entities of the type, of those that the directory holds only some.
    fn all_of_which(&self, counts: impl Fn(&dyn HeldFacts, HeldPlace) -> bool) -> Vec<EntityUID> {
        let few = self.not_held();
        let places = self.held.map(|held| (held, held.of_type(self.entity_type)));
        let held = places
            .into_iter()
            .flat_map(|(held, places)| places.into_iter().map(move |place| (held, place)))
            .filter(|(held, place)| counts(*held, *place))
            .filter_map(|(held, place)| held.uid(place));
        let mut all: Vec<_> = held.filter(|uid| !few.contains(uid)).collect();
        all.extend(few);
        all
    }

    /// Returns the entities of the type that the store holds, that the question describes or names, and
    /// those of an enumerated type.
    fn not_held(&self) -> HashSet<EntityUID> {
        let mut few: HashSet<EntityUID> = HashSet::default();
        let stored = self.engine.stored().uids();
        let sent = self.request.facts.entities.iter().map(|entity| &entity.uid);
        let roles = self.request.facts.role_assignments.iter();
        let of_roles = roles.flat_map(|role| [&role.principal, &role.scope]);
        let named = stored.chain(sent).chain(of_roles);
        few.extend(named.filter(|uid| uid.entity_type() == self.entity_type).cloned());
        few.extend(self.ids().into_iter().flatten().map(|id| {
            EntityUID::from_components(self.entity_type.clone(), Eid::new(id.as_str()), None)
        }));
        few
    }

    /// Returns the only ids of the type, where it is enumerated.
    fn ids(&self) -> Option<&'a HashSet<SmolStr>> {
        self.engine.schema().entity(self.entity_type)?.ids.as_ref()
    }

    fn contains(&self, uid: &EntityUID) -> bool {
        let facts = &self.request.facts;
        let id: &str = uid.eid().as_ref();
        uid.entity_type() == self.entity_type
            && (self.held.is_some_and(|held| held.place(uid).is_some())
                || self.engine.stored().contains(uid)
                || facts.entities.get(uid).is_some()
                || facts.role_assignments.of(uid).next().is_some()
                || facts.role_assignments.on(uid).next().is_some()
                || self.ids().is_some_and(|ids| ids.contains(id)))
    }

    /// Returns the entities of sources; nothing where they cannot be told.
    fn of_sources<'s>(
        &self,
        sources: &[CandidateSource<'s>],
        facts: &CompiledFacts<'s>,
    ) -> Option<Vec<EntityUID>> {
        let mut found = HashSet::default();
        let mut starts = Vec::new();
        for source in sources {
            match source {
                CandidateSource::Entity(uid) => drop(found.insert((*uid).clone())),
                CandidateSource::Under(uid) => starts.push((*uid).clone()),
                CandidateSource::Holders(role) => starts.extend(self.holders(*role)),
                CandidateSource::Scopes { holder, slot } => {
                    let scopes = scopes(facts, holder, slot)?.into_iter();
                    found.extend(scopes.filter(|scope| scope.entity_type() == self.entity_type));
                }
                CandidateSource::Naming { attribute, holder, slot } => {
                    let scopes = scopes(facts, holder, slot)?;
                    found.extend(self.naming(attribute, &scopes));
                }
            }
        }
        found.extend(self.under(starts));
        found.retain(|uid| self.contains(uid));
        Some(found.into_iter().collect())
    }

    /// Returns the entities of which an attribute names one of those, or could if a caller sent it.
    fn naming(&self, attribute: &str, named: &HashSet<EntityUID>) -> Vec<EntityUID> {
        // Where a policy needs an attribute that is not there, the answer is not known. One that need
        // not be there is not needed: a policy asks first whether it is.
        if self.is_required(attribute) {
            return self.all_of_which(|held, place| {
                held.entity(place).is_none_or(|facts| may_name(facts, attribute, named))
            });
        }
        let held = self.held.into_iter().flat_map(|held| {
            let naming = named.iter().flat_map(|uid| held.named_by(uid));
            naming.filter_map(|place| held.uid(place))
        });
        held.chain(self.not_held()).collect()
    }

    fn is_required(&self, attribute: &str) -> bool {
        let shape = self.engine.schema().entity(self.entity_type);
        let field = shape.and_then(|shape| shape.attributes.fields.get(attribute));
        field.is_none_or(|field| field.required)
    }

    /// Returns the entities that themselves hold a role.
    fn holders(&self, role: RoleRef<'_>) -> Vec<EntityUID> {
        let now = self.request.now;
        let sent = self.request.facts.role_assignments.on(role.scope);
        let sent = sent.filter(|one| one.is_in_force(now) && one.slot.as_str() == role.slot);
        let mut holders: Vec<_> = sent.map(|one| one.principal.clone()).collect();
        if let Some((held, scope)) =
            self.held.and_then(|held| Some((held, held.place(role.scope)?)))
        {
            let roles = held.roles_on(scope, now).into_iter();
            let roles = roles.filter(|one| one.slot.as_str() == role.slot);
            holders.extend(roles.filter_map(|one| held.uid(one.principal)));
        }
        // Entities that are in the Role itself, as fixed entities may be.
        let slots = self.engine.schema().entity(role.scope.entity_type()).map(|shape| &shape.slots);
        let slot = slots.and_then(|slots| slots.get_key_value(role.slot));
        holders.extend(slot.and_then(|(slot, _)| self.engine.schema().role(role.scope, slot)));
        holders
    }

    /// Returns entities with everything that is in them, directly or not.
    fn under(&self, mut pending: Vec<EntityUID>) -> HashSet<EntityUID> {
        let mut found = HashSet::default();
        while let Some(uid) = pending.pop() {
            if found.contains(&uid) {
                continue;
            }
            pending.extend(self.engine.stored().members(&uid).iter().cloned());
            let sent = self.sent_members().get(&uid).into_iter().flatten();
            pending.extend(sent.map(|uid| (*uid).clone()));
            if let Some((held, place)) = self.held.and_then(|held| Some((held, held.place(&uid)?)))
            {
                pending.extend(held.members(place).into_iter().filter_map(|place| held.uid(place)));
            }
            found.insert(uid);
        }
        found
    }

    fn sent_members(&self) -> &HashMap<&'a EntityUID, Vec<&'a EntityUID>> {
        self.sent_members.get_or_init(|| {
            let mut members: HashMap<_, Vec<_>> = HashMap::default();
            for entity in self.request.facts.entities.iter() {
                for parent in &entity.parents {
                    members.entry(parent).or_default().push(&entity.uid);
                }
            }
            members
        })
    }
}

/// Returns the scopes on which an entity has a role, by itself or by what it is in; nothing where Cedar
/// has to tell.
fn scopes<'s>(
    facts: &CompiledFacts<'s>,
    holder: &'s EntityUID,
    slot: &str,
) -> Option<HashSet<EntityUID>> {
    let mut scopes = HashSet::default();
    facts.closure(holder).ok()?.each_role(|role| {
        if role.slot == slot {
            scopes.insert(role.scope.clone());
        }
    });
    Some(scopes)
}

/// Returns whether an attribute that is held of an entity names one of those, or could if a caller sent
/// it.
fn may_name(facts: &EntityFacts, attribute: &str, named: &HashSet<EntityUID>) -> bool {
    let value = facts.attributes.iter().rev().find(|(name, _)| name == attribute);
    match value.map(|(_, value)| &value.value) {
        Some(ValueKind::Lit(Literal::EntityUID(uid))) => named.contains(&**uid),
        Some(_) | None => true,
    }
}
