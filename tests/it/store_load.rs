//! From files to a store: what is read, and how every kind of mistake is told.

use std::sync::Arc;

use humbaba::{
    model::Problem,
    store::{Bounds, PolicyStore, StoreFiles},
};

const SCHEMA: &str = r#"namespace Shop {
    @role entity Role;
    entity User in [Role];
    entity Site { owner: Role, viewer: Role, name?: String };
    action "site.manage" appliesTo { principal: User, resource: Site };
    action "site.goals.create" in ["site.manage"] appliesTo { principal: User, resource: Site };
    action "site.view" appliesTo { principal: User, resource: Site };
}
"#;

const POLICIES: &str = r#"@id("manage")
permit (principal, action in Shop::Action::"site.manage", resource is Shop::Site)
when { principal in resource.owner };

permit (principal, action == Shop::Action::"site.view", resource)
when { principal in [resource.owner, resource.viewer] };
"#;

fn files(files: &[(&str, &str)]) -> Arc<StoreFiles> {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), Arc::from(text.as_bytes())));
    Arc::new(StoreFiles::new("shop".parse().unwrap(), files))
}

fn load(list: &[(&str, &str)]) -> Result<PolicyStore, Vec<Problem>> {
    PolicyStore::load(files(list), &Bounds::default())
}

/// The problems of a store that must be refused, one a line.
fn problems(list: &[(&str, &str)]) -> String {
    let problems = load(list).expect_err("the store is refused");
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

fn ids(store: &PolicyStore) -> Vec<String> {
    let mut ids: Vec<_> =
        store.policies().policies().map(|policy| policy.id().to_string()).collect();
    ids.sort();
    ids
}

#[test]
fn a_policy_is_called_by_its_id_or_by_its_place() {
    let store = load(&[("schema.cedarschema", SCHEMA), ("sub/a.cedar", POLICIES)]).unwrap();
    assert_eq!(ids(&store), ["manage", "sub/a.cedar:2"]);
}

#[test]
fn the_schema_may_be_in_several_files() {
    let (first, second) = SCHEMA.split_once("    action \"site.view\"").unwrap();
    let second = format!("namespace Shop {{\n    action \"site.view\"{second}");
    let split = [
        ("a.cedarschema", &*format!("{first}}}")),
        ("b.cedarschema", &second),
        ("a.cedar", POLICIES),
    ];
    assert!(load(&split).unwrap().schema().action("", "site.view").is_some());
    let other = "namespace Other { entity Thing; }";
    let store = load(&[("a.cedarschema", SCHEMA), ("b.cedarschema", other), ("a.cedar", POLICIES)])
        .unwrap();
    assert!(store.schema().entity_type("Other::Thing").is_some());
    assert_eq!(store.schema().namespace(), Some("Shop"), "the one that declares Role");
}

#[test]
fn two_policies_of_one_id_are_told_with_both_places() {
    let found =
        problems(&[("schema.cedarschema", SCHEMA), ("a.cedar", POLICIES), ("b.cedar", POLICIES)]);
    assert_eq!(
        found,
        "shop/b.cedar:1:1: two policies have the id `manage`: the other is in shop/a.cedar\n"
    );
}

#[test]
fn every_problem_of_every_file_is_told_at_once() {
    let found = problems(&[
        ("schema.cedarschema", SCHEMA),
        ("a.cedar", "permit (principal, action, resource)"),
        ("b.cedar", "permit (principal, action, resource)\nwhen { principal.nothing };"),
        ("c.cedar", "permit (principal == Shop::Usr::\"a\", action, resource);"),
        ("x.links.toml", "[[link]]\nid = \"l\"\ntemplate = \"none\"\n"),
        ("x.cedarentities.json", "[\n  {,\n]"),
        ("store.toml", "levle = 1\n"),
    ]);
    for place in [
        "shop/a.cedar:1:37: ",
        "shop/b.cedar:2:8: ",
        "shop/c.cedar:1:22: ",
        "shop/x.links.toml:1:1: ",
        "shop/x.cedarentities.json:2:4: ",
        "shop/store.toml:1:1: unknown field `levle`",
    ] {
        assert!(found.contains(place), "{place} is not in\n{found}");
    }
}

#[test]
fn a_problem_is_shown_with_its_line_and_a_caret() {
    let found = load(&[
        ("schema.cedarschema", SCHEMA),
        ("a.cedar", "permit (principal, action, resource)\nwhen { principal.nothing };"),
    ]);
    let shown = found.unwrap_err().first().unwrap().render();
    assert!(shown.contains("shop/a.cedar:2:8"), "{shown}");
    assert!(shown.contains("when { principal.nothing };"), "{shown}");
    assert!(shown.contains('┬') || shown.contains('─'), "{shown}");
}

#[test]
fn a_mistake_in_the_schema_is_told_with_its_place() {
    let found = problems(&[("schema.cedarschema", "entity User {\n  level: Lnog\n};")]);
    assert!(found.starts_with("shop/schema.cedarschema:2:10: "), "{found}");
    let found = problems(&[("schema.cedarschema", "entity User {\n  level Long\n};")]);
    assert!(found.starts_with("shop/schema.cedarschema:2:9: "), "{found}");
    assert!(problems(&[("a.cedar", POLICIES)]).contains("the store has no schema"));
}

#[test]
fn validation_is_strict_and_can_bound_the_level() {
    let deep = "permit (principal, action == Shop::Action::\"site.view\", resource) when { principal in resource.owner };";
    let schema = ("schema.cedarschema", SCHEMA);
    assert!(load(&[schema, ("a.cedar", deep), ("store.toml", "level = 1")]).is_ok());
    let found = problems(&[schema, ("a.cedar", deep), ("store.toml", "level = 0")]);
    assert!(found.contains("level"), "{found}");
    let impossible = "permit (principal, action, resource is Shop::User);";
    let store = load(&[schema, ("a.cedar", impossible)]).unwrap();
    assert!(
        store.warnings().iter().any(|warning| warning.message().contains("impossible")),
        "{:?}",
        store.warnings()
    );
    let mixed = "permit (principal, action, resource) when { [1, \"a\"].contains(1) };";
    assert!(load(&[schema, ("a.cedar", mixed)]).is_err(), "sets of mixed types are refused");
}

#[test]
fn templates_are_linked_from_a_file() {
    let template = "@id(\"t\") permit (principal == ?principal, action == Shop::Action::\"site.view\", resource == ?resource);";
    let link = |id: &str| {
        format!(
            "[[link]]\nid = \"{id}\"\ntemplate = \"t\"\nprincipal = 'Shop::User::\"a\"'\nresource = 'Shop::Site::\"1\"'\n"
        )
    };
    let base = [("schema.cedarschema", SCHEMA), ("t.cedar", template)];
    let with = |links: &str| {
        let mut list = base.to_vec();
        list.push(("x.links.toml", links));
        load(&list).map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(ids(&with(&(link("one") + &link("two"))).unwrap()), ["one", "two"]);
    let clash = with(&(link("one") + &link("one"))).unwrap_err();
    assert_eq!(
        clash,
        [
            "shop/x.links.toml:6:1: two policies have the id `one`: the other is in shop/x.links.toml"
        ]
    );
    let missing = with("[[link]]\nid = \"l\"\ntemplate = \"t\"\n").unwrap_err();
    assert!(missing[0].starts_with("shop/x.links.toml:1:1: "), "{missing:?}");
    let no_uid =
        with("[[link]]\nid = \"l\"\ntemplate = \"t\"\nprincipal = \"alice\"\n").unwrap_err();
    assert!(no_uid[0].starts_with("shop/x.links.toml:4:13: "), "{no_uid:?}");
    let wrong_type = with(
        "[[link]]\nid = \"l\"\ntemplate = \"t\"\nprincipal = 'Shop::Site::\"a\"'\nresource = 'Shop::Site::\"1\"'\n",
    );
    let store = wrong_type.unwrap();
    let warnings: Vec<_> = store.warnings().iter().map(ToString::to_string).collect();
    assert!(
        warnings[0].starts_with("shop/x.links.toml:1:1: for policy `l`, "),
        "a link that can never apply is warned of: {warnings:?}"
    );
}

#[test]
fn fixed_entities_have_their_slots_filled_and_are_checked() {
    let schema = ("schema.cedarschema", SCHEMA);
    let site = r#"[{ "uid": { "type": "Shop::Site", "id": "1" }, "attrs": { "name": "one" }, "parents": [] }]"#;
    assert!(load(&[schema, ("x.cedarentities.json", site)]).is_ok());
    let wrong = site.replace("\"one\"", "1");
    let found = problems(&[schema, ("x.cedarentities.json", &wrong)]);
    assert!(found.starts_with("shop/x.cedarentities.json:1:67: "), "{found}");
    assert!(found.contains("name"), "{found}");
    let twice = problems(&[
        schema,
        ("x.cedarentities.json", site),
        ("y.cedarentities.json", &site.replace("one", "two")),
    ]);
    assert!(twice.contains("Site::\"1\""), "{twice}");
}

#[test]
fn what_is_not_text_is_told() {
    let bytes: Arc<[u8]> = Arc::from([b'p', 0xff].as_slice());
    let list = (*files(&[("schema.cedarschema", SCHEMA)])).clone().with_file("a.cedar", bytes);
    let problems = PolicyStore::load(Arc::new(list), &Bounds::default()).unwrap_err();
    assert_eq!(
        problems[0].to_string(),
        "shop/a.cedar: the file is not UTF-8 text: byte 1 is not valid"
    );
}

#[test]
fn bounds_are_kept_and_named() {
    let list = files(&[("schema.cedarschema", SCHEMA), ("a.cedar", POLICIES)]);
    let refused =
        |bounds| PolicyStore::load(Arc::clone(&list), &bounds).unwrap_err()[0].to_string();
    let bounds = Bounds::default();
    assert_eq!(
        refused(Bounds { files: 1, ..bounds.clone() }),
        "shop: the store has 2 files, more than the bound of 1"
    );
    assert!(
        refused(Bounds { file_bytes: 300, ..bounds.clone() })
            .contains("more than the bound of 300")
    );
    assert_eq!(
        refused(Bounds { policies: 1, ..bounds.clone() }),
        "shop: the store has 2 policies, templates and links, more than the bound of 1 (`bounds.policies`)"
    );
    // The actions of the schema are no fixed entities.
    let user = r#"[{ "uid": { "type": "Shop::User", "id": "a" }, "attrs": {}, "parents": [] }]"#;
    let with_user = (*list).clone().with_file("x.cedarentities.json", user.as_bytes());
    let bounds_of_none = Bounds { entities: 0, ..bounds.clone() };
    let problems = PolicyStore::load(Arc::new(with_user), &bounds_of_none);
    assert_eq!(
        problems.unwrap_err()[0].to_string(),
        "shop: the store has 1 entities, more than the bound of 0 (`bounds.entities`)"
    );
    assert!(
        PolicyStore::load(list, &Bounds { files: 2, policies: 2, entities: 0, ..bounds }).is_ok()
    );
}

#[test]
fn the_revision_names_what_decides_and_nothing_else() {
    let base = files(&[("schema.cedarschema", SCHEMA), ("a.cedar", POLICIES)]);
    let revision = |files: StoreFiles| {
        PolicyStore::load(Arc::new(files), &Bounds::default())
            .unwrap()
            .revision()
            .as_str()
            .to_owned()
    };
    let first = revision((*base).clone());
    assert_eq!(first.len(), 32);
    assert_eq!(first, revision((*base).clone()), "the same files have the same revision");
    let bytes = |text: &str| Arc::<[u8]>::from(text.as_bytes());
    for undecisive in ["README.md", "tests/a.toml", "matrix.csv"] {
        assert_eq!(
            first,
            revision((*base).clone().with_file(undecisive, bytes(""))),
            "{undecisive}"
        );
    }
    let changed = POLICIES.replace("resource.owner, resource.viewer", "resource.owner");
    assert_ne!(first, revision((*base).clone().with_file("a.cedar", bytes(&changed))));
    assert_ne!(first, revision((*base).clone().with_file("b.cedarentities.json", bytes("[]"))));
}

#[test]
fn the_shipped_stores_are_in_the_binary_and_valid() {
    let stores = humbaba::store::embedded_stores();
    let names: Vec<_> = stores.iter().map(|store| store.name().to_string()).collect();
    assert!(names.contains(&"hitkeep".to_owned()), "{names:?}");
    for files in stores {
        if let Err(problems) = PolicyStore::load(Arc::new(files), &Bounds::default()) {
            panic!("{}", problems.iter().map(Problem::render).collect::<String>());
        }
    }
}

#[test]
fn after_a_valid_state_only_what_changed_is_validated_but_all_of_that() {
    let base = files(&[("schema.cedarschema", SCHEMA), ("a.cedar", POLICIES)]);
    let last = PolicyStore::load(Arc::clone(&base), &Bounds::default()).unwrap();
    let after = |path: &str, text: &str| {
        let files = (*base).clone().with_file(path, text.as_bytes());
        PolicyStore::load_after(Arc::new(files), &Bounds::default(), Some(&last))
    };
    let broken = POLICIES.replace("in resource.owner", "in resource.nothing");
    assert_eq!(after("a.cedar", &broken).unwrap_err().len(), 1, "a changed policy");
    let new = "permit (principal, action, resource) when { principal.nothing };";
    assert_eq!(after("b.cedar", new).unwrap_err().len(), 1, "a new policy");
    let narrowed = SCHEMA.replace("viewer: Role, ", "");
    assert_eq!(after("schema.cedarschema", &narrowed).unwrap_err().len(), 1, "another schema");
    assert!(after("store.toml", "level = 0").is_err(), "another level");
    let moved = format!("// moved\n{POLICIES}");
    assert!(after("a.cedar", &moved).is_ok());
    let link =
        "@id(\"t\") permit (principal == ?principal, action, resource) when { principal.nothing };";
    assert_eq!(after("t.cedar", link).unwrap_err().len(), 1, "a new template");
}
