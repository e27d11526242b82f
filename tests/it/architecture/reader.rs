//! The paths that a file names, those in macros and attributes among them.

use std::collections::{BTreeMap, BTreeSet};

use syn::{
    UseTree,
    buffer::{Cursor, TokenBuffer},
    visit::{self, Visit},
};

/// A path, name by name.
pub type NamePath = Vec<String>;

/// The paths that a file names, each from the crate's root or beginning with another crate.
#[derive(Default)]
pub struct Names {
    /// Those that the file uses itself.
    pub used: BTreeSet<NamePath>,
    /// Those that it re-exports.
    pub passed_on: BTreeSet<NamePath>,
    /// Names that a `use` brings into the file's own module, with where they are from.
    pub brought_in: BTreeMap<String, NamePath>,
    /// Methods that the file gives to types, each with the path of its type before it.
    pub methods: BTreeSet<NamePath>,
    /// Methods that a type calls on itself, written in the same way.
    pub own_calls: BTreeSet<NamePath>,
}

impl Names {
    /// Reads a file that holds the module.
    pub fn read(module: &[String], file: &syn::File) -> Self {
        let mut reader = Reader { module: module.to_vec(), ..Reader::default() };
        reader.visit_file(file);
        let mut names = Self::default();
        for (within, path, is_public) in &reader.imports {
            // A path through a module inside the file is not followed any further.
            let is_passed_on = *is_public && within == module;
            let list = if is_passed_on { &mut names.passed_on } else { &mut names.used };
            list.insert(reader.resolve(within, path));
        }
        for (module, path) in &reader.named {
            // A name by itself is the file's own, or a variable, unless a `use` brings it in.
            let is_brought_in =
                |scope: &Scope| path.iter().any(|name| scope.uses.contains_key(name));
            if path.len() > 1 || reader.scopes.get(module).is_some_and(is_brought_in) {
                names.used.insert(reader.resolve(module, path));
            }
        }
        names.methods = reader.methods.iter().map(|method| reader.of_type(method)).collect();
        names.own_calls = reader.own_calls.iter().map(|method| reader.of_type(method)).collect();
        if let Some(scope) = reader.scopes.get(module) {
            let from =
                |(name, path): (&String, &NamePath)| (name.clone(), reader.resolve(module, path));
            names.brought_in = scope.uses.iter().map(from).collect();
        }
        names
    }
}

/// The paths as they are written, each with the module in which it stands.
#[derive(Default)]
struct Reader {
    /// The module that is being read.
    module: NamePath,
    scopes: BTreeMap<NamePath, Scope>,
    /// Those of `use`, and whether it has a visibility, so that other modules may take them from there.
    imports: Vec<(NamePath, NamePath, bool)>,
    named: Vec<(NamePath, NamePath)>,
    /// The type of the `impl` that is being read, and whether that is of a trait.
    own_type: Option<(NamePath, bool)>,
    methods: Vec<Method>,
    own_calls: Vec<Method>,
}

/// A method, with its type and the module that names it.
struct Method {
    module: NamePath,
    of_type: NamePath,
    name: String,
}

/// The names by which a path in a module may begin.
#[derive(Default)]
struct Scope {
    children: BTreeSet<String>,
    uses: BTreeMap<String, NamePath>,
}

impl Reader {
    /// A path from the crate's root, or from another crate.
    fn resolve(&self, module: &[String], path: &[String]) -> NamePath {
        let mut base = module.to_vec();
        let mut rest = path;
        while let Some((first, after)) = rest.split_first() {
            match first.as_str() {
                "crate" => base.truncate(1),
                "self" => {}
                "super" => drop(base.pop()),
                _ => break,
            }
            rest = after;
        }
        if rest.len() < path.len() {
            return [&base, rest].concat();
        }
        let Some((scope, (first, after))) = self.scopes.get(module).zip(path.split_first()) else {
            return path.to_vec();
        };
        if scope.children.contains(first) {
            return [module, path].concat();
        }
        match scope.uses.get(first) {
            // `use csv::csv` brings in what another crate has.
            Some(origin) if origin.first() == Some(first) => [origin, after].concat(),
            Some(origin) => [&self.resolve(module, origin), after].concat(),
            None => path.to_vec(),
        }
    }

    /// The path of a method from the crate's root, or from another crate.
    fn of_type(&self, method: &Method) -> NamePath {
        let Method { module, of_type, name } = method;
        let resolved = self.resolve(module, of_type);
        let is_here = of_type.len() == 1 && resolved == *of_type;
        let of_type = if is_here { [&module[..], of_type].concat() } else { resolved };
        [of_type, vec![name.clone()]].concat()
    }

    fn method(&self, name: &syn::Ident) -> Option<Method> {
        let (of_type, _) = self.own_type.clone()?;
        Some(Method { module: self.module.clone(), of_type, name: name.to_string() })
    }

    fn scope(&mut self) -> &mut Scope {
        self.scopes.entry(self.module.clone()).or_default()
    }

    fn tree(&mut self, prefix: &[String], tree: &UseTree, is_public: bool) {
        let with = |name: &syn::Ident| [prefix, &[name.to_string()]].concat();
        let (path, name) = match tree {
            UseTree::Path(path) => return self.tree(&with(&path.ident), &path.tree, is_public),
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.tree(prefix, tree, is_public));
            }
            UseTree::Name(name) if name.ident == "self" => {
                (prefix.to_vec(), prefix.last().cloned())
            }
            UseTree::Name(name) => (with(&name.ident), Some(name.ident.to_string())),
            UseTree::Rename(name) if name.ident == "self" => {
                (prefix.to_vec(), Some(name.rename.to_string()))
            }
            UseTree::Rename(name) => (with(&name.ident), Some(name.rename.to_string())),
            UseTree::Glob(_) => ([prefix, &["*".to_owned()]].concat(), None),
        };
        if let Some(name) = name.filter(|name| *name != "_") {
            self.scope().uses.insert(name, path.clone());
        }
        self.imports.push((self.module.clone(), path, is_public));
    }

    fn name(&mut self, path: NamePath) {
        self.named.push((self.module.clone(), path));
    }

    /// Finds the paths in tokens that are not parsed; where strings may hold paths, those too.
    fn tokens(&mut self, mut at: Cursor, in_strings: bool) {
        let mut dots = 0;
        while !at.eof() {
            if let Some((name, after)) = at.ident() {
                if let Some((own, after)) = after_self(&name, after) {
                    self.own_calls.extend(self.method(&own));
                    (at, dots) = (after, 0);
                    continue;
                }
                let (path, after) = rest_of_path(name.to_string(), after);
                // `.name` is a field or a method, `..name` a range.
                if dots != 1 {
                    self.name(path);
                }
                (at, dots) = (after, 0);
            } else if let Some((inside, _, _, after)) = at.any_group() {
                self.tokens(inside, in_strings);
                (at, dots) = (after, 0);
            } else if let Some((mark, after)) = at.punct() {
                dots = if mark.as_char() == '.' { dots + 1 } else { 0 };
                at = after;
            } else if let Some((literal, after)) = at.literal() {
                let path = syn::parse_str::<syn::LitStr>(&literal.to_string())
                    .and_then(|text| text.parse::<syn::Path>());
                if let (true, Ok(path)) = (in_strings, path) {
                    self.visit_path(&path);
                }
                (at, dots) = (after, 0);
            } else {
                let Some((_, after)) = at.token_tree() else { break };
                (at, dots) = (after, 0);
            }
        }
    }
}

/// Reads on as long as `::` and a name follow.
fn rest_of_path(first: String, mut after: Cursor) -> (NamePath, Cursor) {
    let mut path = vec![first];
    while let Some((name, next)) = after_colon(after).and_then(after_colon).and_then(Cursor::ident)
    {
        path.push(name.to_string());
        after = next;
    }
    (path, after)
}

/// Reads the name after `self.` or `Self::`.
fn after_self<'a>(name: &syn::Ident, after: Cursor<'a>) -> Option<(syn::Ident, Cursor<'a>)> {
    match name.to_string().as_str() {
        "self" => after.punct().filter(|(mark, _)| mark.as_char() == '.')?.1.ident(),
        "Self" => after_colon(after).and_then(after_colon)?.ident(),
        _ => None,
    }
}

fn after_colon(at: Cursor<'_>) -> Option<Cursor<'_>> {
    at.punct().filter(|(mark, _)| mark.as_char() == ':').map(|(_, after)| after)
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_for_tests(attributes_of(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let around = self.own_type.take();
        if let syn::Type::Path(own) = &*item.self_ty {
            self.own_type = Some((names_of(&own.path), item.trait_.is_some()));
        }
        visit::visit_item_impl(self, item);
        self.own_type = around;
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if is_for_tests(&item.attrs) {
            return;
        }
        if matches!(self.own_type, Some((_, false))) {
            self.methods.extend(self.method(&item.sig.ident));
        }
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if matches!(&*call.receiver, syn::Expr::Path(path) if path.path.is_ident("self")) {
            self.own_calls.extend(self.method(&call.method));
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.scope().children.insert(item.ident.to_string());
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&[], &item.tree, !matches!(item.vis, syn::Visibility::Inherited));
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        let path = vec![item.ident.to_string()];
        let name = item.rename.as_ref().map_or(&item.ident, |(_, name)| name).to_string();
        self.scope().uses.insert(name, path.clone());
        self.imports.push((self.module.clone(), path, false));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        match path.segments.iter().map(|segment| &segment.ident).collect::<Vec<_>>()[..] {
            [own, name, ..] if own == "Self" => self.own_calls.extend(self.method(name)),
            _ => self.name(names_of(path)),
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.tokens(TokenBuffer::new2(item.tokens.clone()).begin(), false);
        visit::visit_macro(self, item);
    }

    fn visit_meta_list(&mut self, list: &'ast syn::MetaList) {
        self.tokens(TokenBuffer::new2(list.tokens.clone()).begin(), true);
        visit::visit_meta_list(self, list);
    }
}

fn names_of(path: &syn::Path) -> NamePath {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

fn attributes_of(item: &syn::Item) -> &[syn::Attribute] {
    use syn::Item;
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Returns whether an item is compiled for tests alone.
pub fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    })
}
