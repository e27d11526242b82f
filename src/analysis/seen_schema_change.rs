//! Changes of a schema that a policy sees.
//!
//! Two states of a store are compared under the new schema. That tells how the old policies decided
//! only where they decide the same under both schemas, so each difference of the schemas that an old
//! policy can see is found here. More is found than makes a difference, and nothing less, with one
//! exception: facts that the old schema refuses and the old policy does not look at. A request with
//! such a fact is taken for the request without it, as an optional attribute that is new would
//! otherwise be a change to everybody.
//!
//! | the policy | and it sees |
//! |---|---|
//! | asks what an action is in | other members of the groups that it names |
//! | looks at an attribute or a context field | another declaration of it |
//! | looks at tags | other tags |
//! | asks what an entity is in | other types that the entity may be in, other types of roles |
//! | names a role | another role slot, or none |
//! | reaches a role by something else than its slot or name | other role slots of such roles |
//! | may meet an entity of an enumerated type | other ids |
//! | looks at entities of a type | a declaration that what a directory holds may not fit any more, or another meaning of the type's name without its namespace |
//!
//! An entity is looked at where it is principal, resource or named by the policy, or where an
//! attribute, context field or tag that the policy looks at refers to it. What an entity is in is
//! asked of all that it may be in.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy_core::ast::{EntityType, EntityUID, Policy};
use smol_str::SmolStr;

use super::{Kind, declared::knows, policies::Policies, policy_reads::PolicyReads};
use crate::{
    schema::{EntityShape, FieldShape, RecordShape, Schema, Shape},
    store::PolicyStore,
};

/// Returns the first difference of two schemas that one of the policies sees in requests of a kind, in
/// words; nothing where the policies decide all of them the same under both. Policies are static: links
/// are filled in.
pub fn seen_schema_change<'p>(
    old: &Schema,
    new: &Schema,
    kind: Kind<'_>,
    policies: impl IntoIterator<Item = &'p Policy>,
) -> Option<String> {
    policies.into_iter().find_map(|policy| {
        let reads = PolicyReads::of(policy);
        let change = SeenSchemas { old, new, kind, reads }.seen()?;
        Some(format!("the new schema {change}, which the old policy `{}` looks at", policy.id()))
    })
}

/// Returns why requests of a kind cannot be compared under the new schema of a store: the first
/// difference of the schemas that one of its old policies sees in them.
pub fn not_comparable(old: &PolicyStore, new: &PolicyStore, kind: Kind<'_>) -> Option<String> {
    if old.has_schema_of(new) {
        return None;
    }
    let policies = Policies::new(old.engine(), kind.action, kind.principal, kind.resource);
    let policies = policies.permits.iter().chain(&policies.forbids);
    seen_schema_change(old.schema(), new.schema(), kind, policies.map(|policy| policy.policy()))
}

/// Returns the requests that cannot be compared, in words: a line for each difference of the schemas
/// that old policies see.
pub(super) fn all_not_comparable(old: &PolicyStore, new: &PolicyStore) -> Vec<String> {
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut actions: Vec<_> = new.schema().actions().collect();
    actions.sort_by(|one, other| one.uid.cmp(&other.uid));
    for action in actions {
        for principal in &action.principals {
            for resource in &action.resources {
                let kind = Kind { action: &action.uid, principal, resource };
                let is_known = knows(old.schema(), &action.uid, (principal, resource));
                if let Some(change) = is_known.then(|| not_comparable(old, new, kind)).flatten() {
                    let id = id_of(&action.uid);
                    let place = format!("a {principal} asks for {id} on a {resource}");
                    seen.entry(change).or_default().push(place);
                }
            }
        }
    }
    let line = |(change, places): (String, Vec<String>)| {
        let place = places.first().map(|place| format!(", where {place}")).unwrap_or_default();
        match places.len().saturating_sub(1) {
            0 => format!("{change}{place}"),
            more => format!("{change}{place}, and {more} more like it"),
        }
    };
    seen.into_iter().map(line).collect()
}

/// Two schemas, as one policy sees them in requests of a kind.
struct SeenSchemas<'a> {
    old: &'a Schema,
    new: &'a Schema,
    kind: Kind<'a>,
    reads: PolicyReads,
}

impl<'a> SeenSchemas<'a> {
    fn seen(&self) -> Option<String> {
        let values = self.values();
        let around =
            if self.reads.entities_in { self.with_parents(&values) } else { values.clone() };
        self.action_groups(&values)
            .or_else(|| self.roles())
            .or_else(|| self.context())
            .or_else(|| values.iter().find_map(|ty| self.fields(ty)))
            .or_else(|| around.iter().find_map(|ty| self.parents(ty, &values)))
            .or_else(|| self.slots(&values))
            .or_else(|| around.iter().find_map(|ty| self.ids(ty)))
            .or_else(|| around.iter().find_map(|ty| self.spelling(ty)))
            .or_else(|| around.iter().find_map(|ty| self.rows(ty, &values)))
    }

    fn schemas(&self) -> [&'a Schema; 2] {
        [self.old, self.new]
    }

    /// Returns the declarations of a type, old and new.
    fn shapes(&self, ty: &EntityType) -> [Option<&'a EntityShape>; 2] {
        self.schemas().map(|schema| schema.entity(ty))
    }

    /// Returns the declarations of the action's context, old and new.
    fn contexts(&self) -> [Option<&'a RecordShape>; 2] {
        let uid = self.kind.action;
        let (ty, id): (_, &str) = (uid.entity_type().to_string(), uid.eid().as_ref());
        self.schemas().map(|schema| schema.action(&ty, id).map(|action| &*action.context))
    }

    /// Returns the attributes that the policy looks at of entities of a type.
    fn names(&self, ty: &EntityType) -> impl Iterator<Item = &SmolStr> {
        let reads = &self.reads;
        let of_principal = (ty == self.kind.principal).then_some(&reads.of_principal);
        let of_resource = (ty == self.kind.resource).then_some(&reads.of_resource);
        of_principal.into_iter().chain(of_resource).flatten().chain(&reads.of_others)
    }

    fn reads_of_context(&self, name: &SmolStr) -> bool {
        self.reads.whole_context || self.reads.of_context.contains(name)
    }

    /// Returns the types of all entities that an expression of the policy may stand for.
    fn values(&self) -> BTreeSet<EntityType> {
        let mut pending = vec![self.kind.principal.clone(), self.kind.resource.clone()];
        for uid in &self.reads.entities {
            pending.push(uid.entity_type().clone());
            let scopes = self.schemas().into_iter().filter_map(|schema| schema.scope_of(uid));
            pending.extend(scopes.map(|(scope, _)| scope.entity_type().clone()));
        }
        self.add_types_of_context(&mut pending);
        let mut values = BTreeSet::new();
        while let Some(ty) = pending.pop() {
            if !values.insert(ty.clone()) {
                continue;
            }
            self.add_types_of_entities(&ty, field, &mut pending);
        }
        values
    }

    /// Adds the types to which the context refers.
    fn add_types_of_context(&self, types: &mut Vec<EntityType>) {
        let fields = self.contexts().into_iter().flatten().flat_map(|record| &record.fields);
        let read = fields.filter(|(name, _)| self.reads_of_context(name));
        read.for_each(|(_, field)| add_types(&field.shape, types));
    }

    /// Adds the types to which entities of a type refer, by the fields that `of` returns and by tags.
    fn add_types_of_entities(
        &self,
        ty: &EntityType,
        of: impl Fn(&'a EntityShape, &SmolStr) -> Option<&'a FieldShape>,
        types: &mut Vec<EntityType>,
    ) {
        for shape in self.shapes(ty).into_iter().flatten() {
            let named = self.names(ty).filter_map(|name| of(shape, name));
            named.for_each(|field| add_types(&field.shape, types));
            if let Some(tags) = shape.tags.as_ref().filter(|_| self.reads.tags) {
                add_types(tags, types);
            }
        }
    }

    /// Adds the types of all entities that one of those types may be in.
    fn with_parents(&self, values: &BTreeSet<EntityType>) -> BTreeSet<EntityType> {
        let mut all = values.clone();
        let mut pending: Vec<_> = values.iter().cloned().collect();
        while let Some(ty) = pending.pop() {
            for parent in self.shapes(&ty).into_iter().flatten().flat_map(|shape| &shape.parents) {
                if all.insert(parent.clone()) {
                    pending.push(parent.clone());
                }
            }
        }
        all
    }

    fn action_groups(&self, values: &BTreeSet<EntityType>) -> Option<String> {
        if !self.reads.conditions_ask_in {
            return None;
        }
        let is_action = |ty: &EntityType| self.old.is_action_type(&ty.to_string());
        let named: BTreeSet<_> =
            self.reads.entities.iter().filter(|uid| is_action(uid.entity_type())).collect();
        let named_types: BTreeSet<_> = named.iter().map(|uid| uid.entity_type()).collect();
        let mut groups = named;
        // An attribute may refer to any action.
        if values.iter().any(|ty| is_action(ty) && !named_types.contains(ty)) {
            groups.extend(self.schemas().into_iter().flat_map(Schema::actions).map(|one| &one.uid));
        }
        let mut actions = groups.clone();
        actions.insert(self.kind.action);
        actions.into_iter().find_map(|action| {
            groups.iter().find_map(|group| {
                let [before, now] = self.schemas().map(|schema| schema.is_action_in(action, group));
                let how = if now { "puts" } else { "does not put" };
                let (action, group) = (id_of(action), id_of(group));
                (before != now).then(|| format!("{how} `{action}` in `{group}`"))
            })
        })
    }

    /// Compares the role slots of the roles that are named.
    fn roles(&self) -> Option<String> {
        let is_other = |uid: &&EntityUID| self.old.scope_of(uid) != self.new.scope_of(uid);
        let role = self.reads.entities.iter().find(is_other)?;
        let how = if self.new.scope_of(role).is_some() { "has a" } else { "has no" };
        Some(format!("{how} role slot for `{role}`"))
    }

    /// Compares the role slots of all types, where the policy may ask for a role otherwise than by its slot
    /// or its name: a request can have a role only where there is a slot for it.
    fn slots(&self, values: &BTreeSet<EntityType>) -> Option<String> {
        if !self.reads.entities_in {
            return None;
        }
        let slots = |schema: &'a Schema| -> BTreeSet<_> {
            let of = |shape: &'a EntityShape| {
                let slots = shape.slots.iter();
                slots.map(|(slot, role)| (&shape.entity_type, slot.as_str(), role))
            };
            schema.entities().flat_map(of).collect()
        };
        let [old, new] = self.schemas().map(slots);
        let mut other = old.symmetric_difference(&new).peekable();
        other.peek()?;
        let mut referred = vec![self.kind.principal.clone(), self.kind.resource.clone()];
        self.add_types_of_context(&mut referred);
        for ty in values {
            self.add_types_of_entities(ty, own_field, &mut referred);
        }
        let slot =
            other.find(|(.., role)| referred.contains(role) || self.is_in_one_of(role, values))?;
        let how = if new.contains(slot) { "has a" } else { "has no" };
        let (ty, slot, _) = slot;
        Some(format!("{how} role slot `{slot}` of `{ty}`"))
    }

    fn context(&self) -> Option<String> {
        let [old, new] = self.contexts();
        let fields = |record: Option<&'a RecordShape>| record.into_iter().flat_map(|it| &it.fields);
        let names: BTreeSet<_> = fields(old).chain(fields(new)).map(|(name, _)| name).collect();
        names.into_iter().filter(|name| self.reads_of_context(name)).find_map(|name| {
            let [before, now] = [old, new].map(|record| record?.fields.get(name));
            let how = how_declared(before, now)?;
            let action = id_of(self.kind.action);
            Some(format!("{how} `{name}` in the context of `{action}`"))
        })
    }

    /// Compares the attributes and tags of a type, as far as the policy looks at them.
    fn fields(&self, ty: &EntityType) -> Option<String> {
        let [old, new] = self.shapes(ty);
        let attribute = self.names(ty).find_map(|name| {
            let slot = |shape: Option<&EntityShape>| Some(shape?.slots.get(name.as_str())?.clone());
            let [before, now] = [old, new].map(|shape| field(shape?, name));
            let how = how_declared(before, now)
                .or_else(|| (slot(old) != slot(new)).then_some("declares otherwise"))?;
            Some(format!("{how} `{name}` of `{ty}`"))
        });
        let tags = [old, new].map(|shape| shape?.tags.as_ref());
        let other_tags = || {
            let differ = self.reads.tags && tags[0] != tags[1];
            differ.then(|| format!("declares other tags of `{ty}`"))
        };
        attribute.or_else(other_tags)
    }

    /// Compares what an entity of a type may be in.
    fn parents(&self, ty: &EntityType, values: &BTreeSet<EntityType>) -> Option<String> {
        if !self.reads.entities_in {
            return None;
        }
        if self.old.is_role_type(ty) != self.new.is_role_type(ty) {
            let how = if self.new.is_role_type(ty) { "takes" } else { "does not take" };
            return Some(format!("{how} `{ty}` for a type of roles"));
        }
        let [old, new] = self.shapes(ty).map(|shape| parents_of(shape));
        let parent = old.symmetric_difference(&new).find(|parent| self.leads_to(parent, values))?;
        let how = if new.contains(*parent) { "lets" } else { "does not let" };
        Some(format!("{how} a `{ty}` be in a `{parent}`"))
    }

    /// Returns whether to be in an entity of that type may be to be in one that is asked about.
    fn leads_to(&self, ty: &EntityType, values: &BTreeSet<EntityType>) -> bool {
        values.contains(ty) || self.is_in_one_of(ty, values)
    }

    /// Returns whether an entity of that type may be in one of those types.
    fn is_in_one_of(&self, ty: &EntityType, types: &BTreeSet<EntityType>) -> bool {
        let shapes = self.shapes(ty).into_iter().flatten();
        shapes.flat_map(|shape| &shape.parents).any(|ty| types.contains(ty))
    }

    fn ids(&self, ty: &EntityType) -> Option<String> {
        let [old, new] = self.shapes(ty).map(|shape| shape.and_then(|shape| shape.ids.as_ref()));
        (old != new).then(|| format!("has other ids of `{ty}`"))
    }

    /// Compares what a name without a namespace means, by which a directory may know the type.
    fn spelling(&self, ty: &EntityType) -> Option<String> {
        let short = ty.name().basename().to_string();
        let [before, now] = self.schemas().map(|schema| schema.entity_type(&short) == Some(ty));
        (before && !now).then(|| format!("does not understand `{short}` as `{ty}`"))
    }

    /// Finds out why entities that a directory holds may not fit any more. What does not fit says
    /// nothing any more, also not what the policy looks at.
    fn rows(&self, ty: &EntityType, values: &BTreeSet<EntityType>) -> Option<String> {
        let old = self.old.entity(ty)?;
        let own = |name: &SmolStr| own_field(old, name).is_some();
        let is_read = self.names(ty).any(own)
            || (self.reads.tags && old.tags.is_some())
            || (self.reads.entities_in && {
                let mut groups = old.parents.iter().filter(|ty| !self.old.is_role_type(ty));
                groups.any(|parent| self.leads_to(parent, values))
            });
        if !is_read {
            return None;
        }
        let reason = unfit(old, self.new.entity(ty)).or_else(|| {
            let fewer = self.fewer_ids(old)?;
            Some(format!("has fewer ids of `{fewer}`"))
        })?;
        Some(format!("takes fewer entities of `{ty}` (it {reason})"))
    }

    /// Finds a type to which an entity may refer and which has lost ids.
    fn fewer_ids(&self, old: &EntityShape) -> Option<EntityType> {
        let mut types: Vec<_> = old.parents.iter().cloned().collect();
        old.attributes.fields.values().for_each(|field| add_types(&field.shape, &mut types));
        old.tags.iter().for_each(|tags| add_types(tags, &mut types));
        types.sort_unstable();
        types.into_iter().find(|ty| {
            match self.shapes(ty).map(|shape| shape.and_then(|shape| shape.ids.as_ref())) {
                [Some(old), Some(new)] => !old.is_subset(new),
                [None, Some(_)] => true,
                _ => false,
            }
        })
    }
}

/// Returns how a new declaration lets entities not fit that fitted the old one.
fn unfit(old: &EntityShape, new: Option<&EntityShape>) -> Option<String> {
    let Some(new) = new else { return Some(format!("has no `{}`", old.entity_type)) };
    let names: BTreeSet<_> =
        old.attributes.fields.keys().chain(new.attributes.fields.keys()).collect();
    let attribute =
        names.into_iter().find_map(|name| match (own_field(old, name), own_field(new, name)) {
            (Some(_), None) => Some(format!("does not declare `{name}`")),
            (Some(old), Some(new)) if old.shape != new.shape => {
                Some(format!("declares `{name}` otherwise"))
            }
            (old, Some(new)) if new.required && !old.is_some_and(|old| old.required) => {
                Some(format!("requires `{name}`"))
            }
            _ => None,
        });
    let tags = || {
        let other = old.tags.is_some() && old.tags != new.tags;
        other.then(|| "declares other tags".to_owned())
    };
    let parents = || {
        let (old, new) = (parents_of(Some(old)), parents_of(Some(new)));
        let gone = old.difference(&new).next()?;
        Some(format!("does not let it be in a `{gone}`"))
    };
    attribute.or_else(tags).or_else(parents)
}

/// Returns how a new declaration of a field differs from the old one; nothing where it does not.
fn how_declared(old: Option<&FieldShape>, new: Option<&FieldShape>) -> Option<&'static str> {
    match (old, new) {
        (None, Some(_)) => Some("declares"),
        (Some(_), None) => Some("does not declare"),
        _ => (old != new).then_some("declares otherwise"),
    }
}

fn field<'a>(shape: &'a EntityShape, name: &SmolStr) -> Option<&'a FieldShape> {
    shape.attributes.fields.get(name)
}

/// Returns an attribute that is no role slot.
fn own_field<'a>(shape: &'a EntityShape, name: &SmolStr) -> Option<&'a FieldShape> {
    field(shape, name).filter(|_| !shape.slots.contains_key(name.as_str()))
}

fn parents_of(shape: Option<&EntityShape>) -> BTreeSet<&EntityType> {
    shape.into_iter().flat_map(|shape| &shape.parents).collect()
}

/// Adds the types of the entities that a value of that shape may hold.
fn add_types(shape: &Shape, types: &mut Vec<EntityType>) {
    match shape {
        Shape::Entity(ty) => types.push((**ty).clone()),
        Shape::Set(element) => add_types(element, types),
        Shape::Record(record) => {
            record.fields.values().for_each(|field| add_types(&field.shape, types));
        }
        Shape::Bool | Shape::Long | Shape::String | Shape::Extension(_) => {}
    }
}

fn id_of(uid: &EntityUID) -> &str {
    uid.eid().as_ref()
}
