//! A policies folder to play with, and what is in force of it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use humbaba::{
    engine::{Decision, decide},
    model::{OnForbidError, Timestamp, Uid},
    reload::{Live, LoadStatus, Options, Reloader, Source, StoreStatus, load, watch},
    request::{RequestInput, RequestLimits},
    store::Stores,
};
use tempfile::TempDir;

pub const SCHEMA: &str = "entity User; entity Doc;
action view appliesTo { principal: User, resource: Doc };";

/// A policy that allows everything, of that id.
pub fn permit(id: &str) -> String {
    format!("@id(\"{id}\") permit (principal, action, resource);\n")
}

/// A policy that denies everything, of that id.
pub fn forbid(id: &str) -> String {
    format!("@id(\"{id}\") forbid (principal, action, resource);\n")
}

/// A policies folder and what is in force of it.
pub struct Lab {
    /// Holds the policies folder, and whatever a test puts beside it.
    pub home: TempDir,
    /// The policies folder.
    pub root: PathBuf,
    pub live: Arc<Live>,
    reloader: Option<Reloader>,
}

impl Lab {
    /// An empty policies folder, not watched yet.
    pub fn new() -> Self {
        let home = TempDir::new().unwrap();
        let root = home.path().join("policies");
        fs::create_dir(&root).unwrap();
        Self { home, root, live: Arc::default(), reloader: None }
    }

    /// A policies folder with one store `main` of one policy `first`, loaded and watched.
    pub fn watched() -> Self {
        Self::watched_with(options())
    }

    pub fn watched_with(options: Options) -> Self {
        let mut lab = Self::new();
        lab.add_store("main", "first");
        lab.start(options);
        lab
    }

    /// Loads and watches.
    pub fn start(&mut self, options: Options) {
        let source = Source::Folder(self.root.clone());
        load(&source, &options, &self.live).unwrap();
        let before = self.status().last_attempt;
        self.reloader = Some(watch(source, options, Arc::clone(&self.live)));
        self.until("the watch begins", |lab| lab.status().last_attempt != before);
    }

    /// Adds a store with one policy.
    pub fn add_store(&self, name: &str, policy: &str) {
        write_store(&self.root.join(name), policy);
    }

    /// Writes a file of the policies folder at one stroke.
    pub fn write(&self, file: &str, text: &str) {
        replace(&self.root.join(file), text);
    }

    /// Writes a file in a folder that may not be there yet.
    pub fn write_dir(&self, file: &str, text: &str) {
        fs::create_dir_all(self.root.join(file).parent().unwrap()).unwrap();
        self.write(file, text);
    }

    pub fn hint(&self) {
        self.reloader.as_ref().unwrap().hint();
    }

    pub fn status(&self) -> Arc<LoadStatus> {
        self.live.status()
    }

    /// The status of a store.
    pub fn store(&self, name: &str) -> Option<StoreStatus> {
        self.status().stores.iter().find(|store| store.name.as_str() == name).cloned()
    }

    /// The problems of a store, as text.
    pub fn problems(&self, name: &str) -> Vec<String> {
        let store = self.store(name);
        store.iter().flat_map(|store| &store.problems).map(ToString::to_string).collect()
    }

    /// The revision of a store.
    pub fn revision(&self, name: &str) -> Option<String> {
        Some(self.store(name)?.revision?.to_string())
    }

    /// The ids of the policies that decide in a store, in order; none where it is not loaded.
    pub fn deciding(&self, name: &str) -> Option<Vec<String>> {
        decision(&self.live.stores(), name).map(|decision| ids(&decision))
    }

    /// Waits for a state; fails where it does not come.
    pub fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_so(self) {
            assert!(Instant::now() < deadline, "{what}: not within 10 s: {:#?}", self.status());
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until exactly that policy decides, and the status says so too.
    pub fn until_decides(&self, store: &str, policy: &str) {
        self.until(&format!("`{policy}` decides in `{store}`"), |lab| {
            let stores = lab.live.stores();
            let revision = stores.get(store).map(|store| store.revision().to_string());
            decision(&stores, store).is_some_and(|decision| {
                ids(&decision) == [policy] && lab.revision(store) == revision.ok()
            })
        });
    }

    /// Checks that a state lasts, for a span in which a reload would have ended it.
    pub fn always(&self, span: Duration, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while begun.elapsed() < span {
            assert!(
                is_so(self),
                "{what}: no more after {:?}: {:#?}",
                begun.elapsed(),
                self.status()
            );
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until the folder was read once more from now on. What came before it has been seen.
    pub fn until_read(&self) {
        let before = self.status().last_attempt;
        self.hint();
        self.until("the folder is read", |lab| lab.status().last_attempt > before);
    }
}

/// Options under which nothing is found by the clock.
pub fn options() -> Options {
    Options { rehash_interval: Duration::from_secs(3_600), ..Options::default() }
}

pub fn write_store(folder: &Path, policy: &str) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("schema.cedarschema"), SCHEMA).unwrap();
    fs::write(folder.join("policies.cedar"), permit(policy)).unwrap();
}

/// Writes a file as careful programs do: beside it, then renamed over it.
pub fn replace(path: &Path, text: &str) {
    let draft = path.with_extension("draft");
    fs::write(&draft, text).unwrap();
    fs::rename(&draft, path).unwrap();
}

/// Points a symbolic link at something else in one step.
pub fn point(link: &Path, target: &Path) {
    let draft = link.with_extension("draft");
    std::os::unix::fs::symlink(target, &draft).unwrap();
    fs::rename(&draft, link).unwrap();
}

pub fn decision(stores: &Stores, store: &str) -> Option<Decision> {
    let store = stores.get(store).ok()?;
    let input = RequestInput {
        principal: Some(Uid::new("User", "alice")),
        action: Some(Uid::action("view")),
        resource: Some(Uid::new("Doc", "1")),
        ..RequestInput::default()
    };
    let now = Timestamp::from_millis(0);
    let request = store.check(&input, now, &RequestLimits::default()).unwrap();
    Some(decide(store.engine(), &request, OnForbidError::Deny))
}

pub fn ids(decision: &Decision) -> Vec<String> {
    decision.determining.iter().map(|policy| policy.id().to_owned()).collect()
}
