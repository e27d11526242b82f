//! The files of the crate, and which of them use which.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::reader::{NamePath, Names, is_for_tests};

/// Source files by their path below `src`, with the paths that they name.
pub struct Sources {
    pub files: BTreeMap<String, Names>,
    /// The modules in the order of `lib.rs`, from those that everybody may use to those that nobody may.
    pub modules: Vec<Module>,
    /// The files that give a type a method: by the file of the type, its name and the method's.
    methods: BTreeMap<(String, String, String), BTreeSet<String>>,
}

/// A module of `lib.rs`.
pub struct Module {
    pub name: String,
    /// It is compiled without features.
    pub is_core: bool,
}

impl Sources {
    pub fn of_this_crate() -> Self {
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
        Self::new(&files)
    }

    pub fn new(files: &BTreeMap<String, String>) -> Self {
        let parsed = |text: &String| syn::parse_file(text).unwrap();
        let read = |(path, text): (&String, &String)| {
            (path.clone(), Names::read(&module_of(path), &parsed(text)))
        };
        let mut sources = Self {
            files: files.iter().map(read).collect(),
            modules: modules(&parsed(&files["lib.rs"])),
            methods: BTreeMap::new(),
        };
        let mut methods: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (file, names) in &sources.files {
            for method in names.methods.iter().filter_map(|method| sources.method(method)) {
                methods.entry(method).or_default().insert(file.clone());
            }
        }
        sources.methods = methods;
        sources
    }

    /// The other files whose items a file uses, with the paths that lead there.
    pub fn uses(&self, file: &str) -> BTreeMap<&str, BTreeSet<&NamePath>> {
        let names = &self.files[file];
        let items = names.used.iter().filter_map(|path| Some((self.file_of(path)?, path)));
        let methods = names.used.iter().chain(&names.own_calls).flat_map(|path| {
            let files = self.method(path).and_then(|method| self.methods.get(&method));
            files.into_iter().flatten().map(move |file| (file.as_str(), path))
        });
        let mut uses: BTreeMap<&str, BTreeSet<&NamePath>> = BTreeMap::new();
        for (other, path) in items.chain(methods).filter(|(other, _)| *other != file) {
            uses.entry(other).or_default().insert(path);
        }
        uses
    }

    /// The file of a type, its name and that of the method, where a path leads to a method.
    fn method(&self, path: &[String]) -> Option<(String, String, String)> {
        let (name, of_type) = path.split_last()?;
        let file = self.file_of(of_type)?;
        Some((file.to_owned(), of_type.last()?.clone(), name.clone()))
    }

    /// The file that defines the item to which a path of this crate leads, re-exports followed. A path
    /// that ends in a module leads to no item: those of the module are named beyond it.
    fn file_of(&self, path: &[String]) -> Option<&str> {
        let mut path = path.to_vec();
        // Names of one word in several namespaces could lead back to where they came from.
        let mut seen = BTreeSet::new();
        loop {
            let inside = path.strip_prefix(&["crate".to_owned()])?;
            let (file, names, rest) = (0..=inside.len()).rev().find_map(|length| {
                let (module, rest) = inside.split_at(length);
                let module = if module.is_empty() { "lib".to_owned() } else { module.join("/") };
                let files = [format!("{module}.rs"), format!("{module}/mod.rs")];
                let file = files.iter().find_map(|name| self.files.get_key_value(name));
                file.map(|(file, names)| (file, names, rest))
            })?;
            let (name, after) = rest.split_first()?;
            match names.brought_in.get(name) {
                Some(origin) if seen.insert(path.clone()) => path = [origin, after].concat(),
                _ => return Some(file),
            }
        }
    }
}

/// The path of the module that a file holds.
pub fn module_of(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    let parts = path.split('/').filter(|part| !matches!(*part, "lib" | "main"));
    ["crate"].into_iter().chain(parts).map(str::to_owned).collect()
}

fn modules(file: &syn::File) -> Vec<Module> {
    let module = |item: &syn::Item| match item {
        syn::Item::Mod(module) if !is_for_tests(&module.attrs) => Some(Module {
            name: module.ident.to_string(),
            is_core: !module.attrs.iter().any(|attribute| attribute.path().is_ident("cfg")),
        }),
        _ => None,
    };
    file.items.iter().filter_map(module).collect()
}
