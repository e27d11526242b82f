//! Dependencies point one way: each module sees only those above it, no two files use each other,
//! and the core reaches neither the network, a clock nor the file system.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use syn::{
    UseTree,
    visit::{self, Visit},
};

/// The modules, from those that everybody may use to those that nobody may.
const ORDER: &[&str] = &[
    "model",
    "schema",
    "request",
    "engine",
    "store",
    "directory",
    "testing",
    "import",
    "generate",
    "analysis",
    "reload",
    "sources",
    "proofs",
    "telemetry",
    "audit",
    "shadow",
    "proto",
    "net",
    "grpc",
    "http",
    "client",
    "settings",
    "cli",
];

/// The pure modules.
const CORE: &[&str] = &[
    "model",
    "schema",
    "request",
    "engine",
    "store",
    "directory",
    "testing",
    "import",
    "generate",
    "analysis",
];

/// The crates and modules that the core does not reach. `cargo check --no-default-features` holds it to that for crates.
const OUTSIDE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::time::SystemTime",
    "std::time::Instant",
    "tokio",
    "tonic",
    "axum",
    "hyper",
    "tower",
    "notify",
    "tracing",
    "opentelemetry",
];

#[test]
fn each_module_sees_only_those_above_it() {
    assert_eq!(against_the_order(&Sources::of_this_crate()), [""; 0]);
}

#[test]
fn files_do_not_use_each_other_in_a_circle() {
    assert_eq!(circles(&Sources::of_this_crate()), Vec::<Vec<String>>::new());
}

#[test]
fn the_core_reaches_no_network_clock_or_file() {
    assert_eq!(outside_the_core(&Sources::of_this_crate()), [""; 0]);
}

#[test]
fn planted_violations_are_found() {
    let plant = |path: &str, text: &str| {
        let plain = ["model/mod.rs", "grpc/mod.rs", "grpc/a.rs", "grpc/b.rs", "store/mod.rs"];
        let mut files: BTreeMap<_, _> =
            plain.iter().map(|path| ((*path).to_owned(), String::new())).collect();
        files.insert("lib.rs".to_owned(), "mod model; mod grpc; mod store;".to_owned());
        files.insert(path.to_owned(), text.to_owned());
        Sources::new(files)
    };
    for text in [
        "use crate::grpc::X;",
        "use crate::{grpc::{D, b::C}, model::A};",
        "use crate::{grpc as other, self as root};",
        "fn f() { crate::grpc::a::run(); }",
        "fn f(x: &crate::grpc::X) {}",
        "impl super::grpc::X for Y {}",
        "fn f() { log!(crate::grpc::X) }",
        "mod inner { use super::super::grpc::X; }",
    ] {
        assert_ne!(against_the_order(&plant("store/mod.rs", text)), [""; 0], "{text}");
    }
    for text in [
        "use crate::model::{X, Y};",
        "#[cfg(test)] mod tests { use crate::grpc::X; }",
        "/// See [`crate::grpc::X`].\nuse std::grpc::X;",
    ] {
        assert_eq!(against_the_order(&plant("store/mod.rs", text)), [""; 0], "{text}");
    }
    for text in [
        "use std::{collections::HashMap, fs::{self, File}};",
        "use std::time::{Duration, SystemTime};",
        "fn f() { std::thread::sleep(d) }",
        "use tokio::sync::Mutex;",
        "use tonic as rpc;",
    ] {
        assert_ne!(outside_the_core(&plant("store/mod.rs", text)), [""; 0], "{text}");
    }
    assert_eq!(outside_the_core(&plant("store/mod.rs", "use std::time::Duration;")), [""; 0]);
    assert_eq!(outside_the_core(&plant("grpc/mod.rs", "use std::fs;")), [""; 0]);

    let circle = |a: &str, b: &str| {
        let files = [
            ("lib.rs", "mod grpc; mod net;"),
            ("grpc/mod.rs", "mod a; mod b; pub use b::{B, Other as Renamed};"),
            ("grpc/a.rs", a),
            ("grpc/b.rs", b),
            ("net.rs", "use crate::grpc::Renamed;"),
        ];
        circles(&Sources::new(files.map(|(path, text)| (path.into(), text.into())).into()))
    };
    let found = vec![vec!["grpc/a.rs".to_owned(), "grpc/b.rs".to_owned()]];
    assert_eq!(circle("use super::b::B;", "use super::a::A;"), found);
    assert_eq!(circle("use super::B;", "use crate::grpc::a::A;"), found, "through a re-export");
    assert_eq!(circle("use super::Renamed;", "fn f() { super::a::run() }"), found);
    assert_eq!(circle("use super::b::B;", "use super::X;"), Vec::<Vec<String>>::new());
    assert_eq!(circle("", "use crate::net::X;").len(), 1, "through another module");
}

/// Source files by their path below `src`, with the paths that they name.
struct Sources {
    files: BTreeMap<String, Names>,
}

/// The paths that a file names, each from the crate's root or beginning with another crate.
#[derive(Default)]
struct Names {
    used: BTreeSet<Vec<String>>,
    /// Names that the file re-exports, with where they are from.
    exported: BTreeMap<String, Vec<String>>,
}

impl Sources {
    fn of_this_crate() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = BTreeMap::new();
        let mut folders: Vec<PathBuf> = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let relative = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                // Tests may look at everything.
                if path.is_dir() {
                    folders.extend((!relative.ends_with("/tests")).then_some(path));
                } else if relative.ends_with(".rs") && !relative.ends_with("/tests.rs") {
                    files.insert(relative, fs::read_to_string(path).unwrap());
                }
            }
        }
        assert!(files.len() > 100, "the sources were found");
        Self::new(files)
    }

    fn new(files: BTreeMap<String, String>) -> Self {
        let read = |(path, text): (String, String)| {
            let names = Names::read(&module_of(&path), &text);
            (path, names)
        };
        Self { files: files.into_iter().map(read).collect() }
    }

    /// The file in which a path of this crate ends, re-exports followed.
    fn file_of(&self, path: &[String]) -> Option<&str> {
        let path = path.strip_prefix(&["crate".to_owned()])?;
        let (file, rest) = (0..=path.len()).rev().find_map(|length| {
            let (module, rest) = path.split_at(length);
            let module = module.join("/");
            let names = [format!("{module}.rs"), format!("{module}/mod.rs")];
            let file = names.iter().find_map(|name| self.files.get_key_value(name));
            file.map(|(file, names)| ((file.as_str(), names), rest))
        })?;
        let exported = rest.first().and_then(|name| file.1.exported.get(name));
        exported.and_then(|origin| self.file_of(origin)).or(Some(file.0))
    }
}

/// The path of the module that a file holds.
fn module_of(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    let parts = path.split('/').filter(|part| !matches!(*part, "lib" | "main"));
    ["crate"].into_iter().chain(parts).map(str::to_owned).collect()
}

impl Names {
    fn read(module: &[String], text: &str) -> Self {
        let mut reader =
            Reader { module: module.to_vec(), depth: module.len(), names: Self::default() };
        reader.visit_file(&syn::parse_file(text).unwrap());
        reader.names
    }
}

struct Reader {
    /// The module that is being read.
    module: Vec<String>,
    /// The depth of the file's own module.
    depth: usize,
    names: Names,
}

impl Reader {
    /// A path from the crate's root, or from another crate.
    fn resolve(&self, path: &[String]) -> Vec<String> {
        let mut base = self.module.clone();
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
        if rest.len() == path.len() { path.to_vec() } else { [&base, rest].concat() }
    }

    fn tree(&mut self, prefix: &[String], tree: &UseTree, is_export: bool) {
        let with = |name: String| [prefix, &[name]].concat();
        let (path, name) = match tree {
            UseTree::Path(path) => {
                return self.tree(&with(path.ident.to_string()), &path.tree, is_export);
            }
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.tree(prefix, tree, is_export));
            }
            UseTree::Name(name) if name.ident == "self" => (prefix.to_vec(), String::new()),
            UseTree::Name(name) => (with(name.ident.to_string()), name.ident.to_string()),
            UseTree::Rename(rename) => (with(rename.ident.to_string()), rename.rename.to_string()),
            UseTree::Glob(_) => (prefix.to_vec(), String::new()),
        };
        let resolved = self.resolve(&path);
        if is_export {
            // `pub use child::Name` is written without `self`.
            let from_here = [&self.module[..], &path].concat();
            let origin = if resolved == path { from_here } else { resolved };
            self.names.exported.insert(name, origin);
        } else {
            self.names.used.insert(resolved);
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_export = !matches!(item.vis, syn::Visibility::Inherited);
        self.tree(&[], &item.tree, is_export && self.module.len() == self.depth);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> =
            path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if segments.len() > 1 {
            self.names.used.insert(self.resolve(&segments));
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        // The tokens of a macro are not parsed: its paths are found as text.
        let text = item.tokens.to_string().replace(' ', "");
        for (at, _) in text.match_indices("crate::") {
            let path = &text[at..];
            let end = path.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
            let path = &path[..end.unwrap_or(path.len())];
            self.names.used.insert(path.split("::").map(str::to_owned).collect());
        }
        visit::visit_macro(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            self.module.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

/// The paths that lead to a module below the file's own.
fn against_the_order(sources: &Sources) -> Vec<String> {
    let place = |module: &str| ORDER.iter().position(|name| *name == module);
    let mut found = Vec::new();
    for (file, names) in &sources.files {
        let Some(own) = module_of(file).get(1).cloned() else { continue };
        let own_place = place(&own).unwrap_or_else(|| panic!("`{own}` has no place in the order"));
        for path in names.used.iter().chain(names.exported.values()) {
            let [root, module, ..] = path.as_slice() else { continue };
            if root == "crate" && place(module).is_some_and(|place| place > own_place) {
                found.push(format!("{file}: {}", path.join("::")));
            }
        }
    }
    found
}

/// The paths by which the core reaches outwards.
fn outside_the_core(sources: &Sources) -> Vec<String> {
    let mut found = Vec::new();
    for (file, names) in &sources.files {
        if !module_of(file).get(1).is_some_and(|module| CORE.contains(&module.as_str())) {
            continue;
        }
        for path in names.used.iter().map(|path| path.join("::")) {
            let reaches = |outside: &&str| {
                path.strip_prefix(*outside)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
            };
            if OUTSIDE.iter().any(reaches) {
                found.push(format!("{file}: {path}"));
            }
        }
    }
    found
}

/// The groups of files that use each other. A folder's `mod.rs` and the files in the folder are one
/// module and may.
fn circles(sources: &Sources) -> Vec<Vec<String>> {
    let is_parent = |one: &str, other: &str| {
        one.strip_suffix("mod.rs").is_some_and(|folder| other.starts_with(folder))
            || matches!(one, "lib.rs" | "main.rs")
    };
    let uses = |file: &str| -> BTreeSet<&str> {
        let used = sources.files[file].used.iter().filter_map(|path| sources.file_of(path));
        used.filter(|other| *other != file && !is_parent(file, other) && !is_parent(other, file))
            .collect()
    };
    let reached = |start: &str| {
        let mut reached = BTreeSet::new();
        let mut pending: Vec<&str> = uses(start).into_iter().collect();
        while let Some(file) = pending.pop() {
            if reached.insert(file) {
                pending.extend(uses(file));
            }
        }
        reached
    };
    let reaches: BTreeMap<&str, BTreeSet<&str>> =
        sources.files.keys().map(|file| (file.as_str(), reached(file))).collect();
    let mut circles = BTreeSet::new();
    for (file, reached) in &reaches {
        if reached.contains(file) {
            let back = reached.iter().filter(|other| reaches[**other].contains(file));
            circles.insert(back.map(|file| (*file).to_owned()).collect::<Vec<_>>());
        }
    }
    circles.into_iter().collect()
}
