//! Bounds on a schema, held before Cedar builds it: common types are written out wherever they are
//! used, and every ancestor of every type and action is computed.

use std::collections::{BTreeMap, HashMap, HashSet};

use cedar_policy_core::{
    parser::Loc,
    validator::{
        RawName,
        json_schema::{EntityTypeKind, Fragment, NamespaceDefinition, Type, TypeVariant},
    },
};

use super::{
    Bounds,
    bounds::{ANCESTORS_OF_ONE, TYPE_DEPTH, more_than},
    hierarchy::{self, TooLarge},
};

/// A bound that a schema exceeds, and where, if its text is known.
pub(super) struct SchemaExcess {
    pub message: String,
    pub place: Option<Loc>,
}

/// Returns what is beyond the bounds in the fragments of a schema.
pub(super) fn check<'a>(
    fragments: impl Iterator<Item = &'a Fragment<RawName>>,
    bounds: &Bounds,
) -> Vec<SchemaExcess> {
    let namespaces =
        fragments.flat_map(|fragment| &fragment.0).map(|(name, definition)| Namespace {
            prefix: name.as_ref().map(|name| format!("{name}::")).unwrap_or_default(),
            definition,
        });
    let namespaces: Vec<_> = namespaces.collect();
    let mut problems = Vec::new();
    problems.extend(request_kinds(&namespaces, bounds));
    problems.extend(types(&namespaces, bounds));
    problems.extend(ancestors("entity type", entity_parents(&namespaces), bounds));
    problems.extend(ancestors("action", action_parents(&namespaces), bounds));
    problems
}

/// Counts the kinds of requests: for each action its pairs of a type of principal and one of resource.
fn request_kinds(namespaces: &[Namespace<'_>], bounds: &Bounds) -> Option<SchemaExcess> {
    let mut kinds = 0_usize;
    for action in namespaces.iter().flat_map(|namespace| namespace.definition.actions.values()) {
        let Some(spec) = &action.applies_to else { continue };
        let of_action = spec.principal_types.len().saturating_mul(spec.resource_types.len());
        kinds = kinds.saturating_add(of_action);
        if kinds > bounds.request_kinds {
            let what = format!(
                "with this action the schema allows {kinds} kinds of requests (action, type of \
                 principal, type of resource)"
            );
            let message = more_than(&what, bounds.request_kinds, "request_kinds");
            return Some(SchemaExcess { message, place: action.loc.clone() });
        }
    }
    None
}

struct Namespace<'a> {
    /// Empty, or it ends in `::`.
    prefix: String,
    definition: &'a NamespaceDefinition<RawName>,
}

impl Namespace<'_> {
    /// The full names that a name in this namespace may stand for.
    fn meanings(&self, name: &RawName) -> [String; 2] {
        [format!("{}{name}", self.prefix), name.to_string()]
    }
}

/// An entity type or action in the hierarchy of its kind.
#[derive(Default)]
struct Member<'a> {
    parents: HashSet<String>,
    place: Option<&'a Loc>,
}

fn ancestors(
    what: &str,
    members: BTreeMap<String, Member<'_>>,
    bounds: &Bounds,
) -> Option<SchemaExcess> {
    let parents = members.iter().map(|(name, member)| (name, member.parents.iter().collect()));
    let (name, message) = match hierarchy::check(parents, bounds.schema_ancestors) {
        Ok(()) => return None,
        Err(TooLarge::One(name)) => {
            (name, format!("the {what} `{name}` has more than {ANCESTORS_OF_ONE} ancestors"))
        }
        Err(TooLarge::All(name)) => {
            let what = format!("all {what}s together have, with `{name}`, too many ancestors");
            (name, more_than(&what, bounds.schema_ancestors, "schema_ancestors"))
        }
    };
    let place = members.get(name).and_then(|member| member.place.cloned());
    Some(SchemaExcess { message, place })
}

fn entity_parents<'a>(namespaces: &[Namespace<'a>]) -> BTreeMap<String, Member<'a>> {
    let mut members: BTreeMap<_, Member<'a>> = BTreeMap::new();
    for namespace in namespaces {
        for (name, declared) in &namespace.definition.entity_types {
            let member = members.entry(format!("{}{name}", namespace.prefix)).or_default();
            member.place = declared.loc.as_ref();
            if let EntityTypeKind::Standard(declared) = &declared.kind {
                let names = declared.member_of_types.iter();
                member.parents.extend(names.flat_map(|name| namespace.meanings(name)));
            }
        }
    }
    members
}

fn action_parents<'a>(namespaces: &[Namespace<'a>]) -> BTreeMap<String, Member<'a>> {
    let mut members: BTreeMap<_, Member<'a>> = BTreeMap::new();
    for namespace in namespaces {
        let action = |ty: &str, id: &str| format!("{ty}::{id:?}");
        let own = format!("{}Action", namespace.prefix);
        for (id, declared) in &namespace.definition.actions {
            let member = members.entry(action(&own, id)).or_default();
            member.place = declared.loc.as_ref();
            for parent in declared.member_of.iter().flatten() {
                let types = match &parent.ty {
                    None => vec![own.clone()],
                    Some(ty) => namespace.meanings(ty).into(),
                };
                member.parents.extend(types.iter().map(|ty| action(ty, &parent.id)));
            }
        }
    }
    members
}

/// Counts the parts of all types, with every common type written out.
fn types(namespaces: &[Namespace<'_>], bounds: &Bounds) -> Option<SchemaExcess> {
    let mut sizes =
        TypeSizes { common: HashMap::new(), known: HashMap::new(), most: bounds.type_parts };
    for namespace in namespaces {
        for (name, common) in &namespace.definition.common_types {
            let name = format!("{}{name}", namespace.prefix);
            sizes.common.insert(name, (namespace, &common.ty));
        }
    }
    let mut parts = 0_usize;
    for namespace in namespaces {
        for ty in declared_types(namespace.definition) {
            let size = sizes.of(namespace, ty, 0);
            parts = parts.saturating_add(size.parts);
            let message = if size.depth > TYPE_DEPTH {
                format!("the type nests deeper than {TYPE_DEPTH} levels")
            } else if parts > bounds.type_parts {
                let what = "with this type, all types together have too many parts once common \
                            types are written out";
                more_than(what, bounds.type_parts, "type_parts")
            } else {
                continue;
            };
            return Some(SchemaExcess { message, place: ty.loc().cloned() });
        }
    }
    None
}

/// The types of everything that a namespace declares.
fn declared_types(namespace: &NamespaceDefinition<RawName>) -> Vec<&Type<RawName>> {
    let mut types: Vec<_> = namespace.common_types.values().map(|common| &common.ty).collect();
    for declared in namespace.entity_types.values() {
        if let EntityTypeKind::Standard(declared) = &declared.kind {
            types.push(&declared.shape.0);
            types.extend(&declared.tags);
        }
    }
    let applied = namespace.actions.values().filter_map(|action| action.applies_to.as_ref());
    types.extend(applied.map(|spec| &spec.context.0));
    types
}

#[derive(Debug, Clone, Copy, Default)]
struct Size {
    parts: usize,
    depth: usize,
}

struct TypeSizes<'a> {
    /// The common types by full name, each with the namespace in which it is declared.
    common: HashMap<String, (&'a Namespace<'a>, &'a Type<RawName>)>,
    known: HashMap<String, Size>,
    most: usize,
}

impl<'a> TypeSizes<'a> {
    /// `depth` is that of the type itself, and bounds the recursion.
    fn of(&mut self, namespace: &'a Namespace<'a>, ty: &'a Type<RawName>, depth: usize) -> Size {
        if depth > TYPE_DEPTH {
            return Size { parts: 1, depth: 1 };
        }
        match ty {
            Type::CommonTypeRef { type_name, .. }
            | Type::Type { ty: TypeVariant::EntityOrCommon { type_name }, .. } => {
                let meanings = namespace.meanings(type_name);
                let found = meanings.into_iter().find(|name| self.common.contains_key(name));
                found.map_or(Size { parts: 1, depth: 1 }, |name| self.common(name, depth))
            }
            Type::Type { ty: TypeVariant::Set { element }, .. } => {
                let element = self.of(namespace, element, depth + 1);
                Size { parts: element.parts.saturating_add(1), depth: element.depth + 1 }
            }
            Type::Type { ty: TypeVariant::Record(record), .. } => {
                let mut size = Size { parts: 1, depth: 0 };
                for field in record.attributes.values() {
                    let field = self.of(namespace, &field.ty, depth + 1);
                    // Once it is too much, how much does not matter.
                    size.parts = size.parts.saturating_add(field.parts).min(self.most + 1);
                    size.depth = size.depth.max(field.depth);
                }
                Size { depth: size.depth + 1, ..size }
            }
            Type::Type { .. } => Size { parts: 1, depth: 1 },
        }
    }

    fn common(&mut self, name: String, depth: usize) -> Size {
        if let Some(size) = self.known.get(&name) {
            return *size;
        }
        let Some((namespace, ty)) = self.common.get(&name).copied() else {
            return Size { parts: 1, depth: 1 };
        };
        // Cedar refuses types that hold themselves; until then they count as one part.
        self.known.insert(name.clone(), Size { parts: 1, depth: 1 });
        let mut size = self.of(namespace, ty, depth + 1);
        size.depth += 1;
        self.known.insert(name, size);
        size
    }
}
