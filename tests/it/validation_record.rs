//! What the program takes for valid without validating it is what passes the whole validation.

use std::{collections::HashSet, env, fs, path::Path, sync::Arc};

use humbaba::store::{
    Bounds, PolicyStore, StoreFiles, embedded_stores, validation_record as record,
};

/// Write the record instead of holding it against the stores.
const UPDATE: &str = "HUMBABA_UPDATE_VALIDATED";

fn told(problems: &[humbaba::diagnostics::Problem]) -> Vec<String> {
    problems.iter().map(|problem| problem.render()).collect()
}

fn shipped(name: &str) -> StoreFiles {
    embedded_stores().into_iter().find(|files| files.name().as_str() == name).unwrap()
}

#[test]
fn the_record_holds_the_shipped_stores_and_nothing_else() {
    let valid = record(&embedded_stores()).map_err(|problems| told(&problems)).unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/validated.txt");
    if env::var_os(UPDATE).is_some() {
        return fs::write(file, valid).unwrap();
    }
    let recorded = fs::read_to_string(file).unwrap();
    let (recorded, valid): (HashSet<_>, HashSet<_>) =
        (recorded.lines().collect(), valid.lines().collect());
    assert_eq!(
        recorded, valid,
        "the shipped stores have changed: write src/store/validated.txt anew with \
         `{UPDATE}=1 cargo test --test it validation_record`"
    );
}

#[test]
fn a_store_that_is_not_valid_is_not_recorded() {
    let files = shipped("hitkeep-v1");
    let wrong = "permit (principal, action, resource) when { resource.unheard_of };";
    let problems = record(&[files.clone().with_file("wrong.cedar", wrong.as_bytes())]).unwrap_err();
    assert!(told(&problems)[0].contains("unheard_of"), "{problems:?}");
    let never = "permit (principal, action, resource) when { false };";
    let problems = record(&[files.with_file("never.cedar", never.as_bytes())]).unwrap_err();
    assert!(told(&problems)[0].contains("never"), "{problems:?}");
}

/// The store with another schema, in which no scope has an `owner`.
fn with_changed_schema(files: &StoreFiles) -> StoreFiles {
    let schema = String::from_utf8(files.get("schema.cedarschema").unwrap().to_vec()).unwrap();
    let changed = schema.replace("owner:", "possessor:");
    assert_ne!(changed, schema);
    files.clone().with_file("schema.cedarschema", changed.into_bytes())
}

fn load(files: StoreFiles) -> Result<PolicyStore, Vec<String>> {
    PolicyStore::load(Arc::new(files), &Bounds::default()).map_err(|problems| told(&problems))
}

#[test]
fn policies_beside_another_schema_are_validated() {
    let files = shipped("hitkeep-v1");
    load(files.clone()).unwrap();
    let problems = load(with_changed_schema(&files)).unwrap_err();
    assert!(problems.iter().any(|problem| problem.contains("attribute `owner`")), "{problems:?}");
}

#[test]
fn changed_policies_beside_the_shipped_schema_are_validated() {
    let files = shipped("hitkeep-v1");
    let (path, text) =
        files.iter().find(|(path, _)| path.ends_with(".cedar")).expect("it has policies");
    let (path, text) = (path.to_owned(), String::from_utf8(text.to_vec()).unwrap());
    let wrong = text + "permit (principal, action, resource) when { resource.unheard_of };";
    let problems = load(files.with_file(path, wrong.into_bytes())).unwrap_err();
    assert!(problems.iter().any(|problem| problem.contains("unheard_of")), "{problems:?}");
}

#[test]
fn another_level_causes_validation() {
    let files = shipped("hitkeep");
    load(files.clone()).unwrap();
    let problems = load(files.with_file("store.toml", "level = 0".as_bytes())).unwrap_err();
    assert!(problems.iter().any(|problem| problem.contains("level")), "{problems:?}");
}
