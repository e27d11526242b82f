//! The longest chains that a store may hold, on the stack that a thread has which loads stores.

use std::{sync::Arc, thread};

use crate::{
    analysis::{Matrix, diff},
    model::OnForbidError,
    store::{Bounds, PolicyStore, STACK_BYTES, StoreFiles},
};

const SCHEMA: &str = "@role entity Role; entity User in [Role] { n?: Long, boss: User };
    entity Site { editor: Role }; action view appliesTo { principal: User, resource: Site };";

fn store(condition: &str) -> PolicyStore {
    let policy = format!(
        "permit (principal, action, resource) when {{ principal has n }} when {{ {condition} }};"
    );
    let files = [("schema.cedarschema", SCHEMA), ("p.cedar", &policy)];
    let files = files.map(|(path, text)| (path.to_owned(), Arc::from(text.as_bytes())));
    let files = StoreFiles::new("deep".parse().unwrap(), files);
    PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap()
}

#[test]
fn the_longest_chains_and_deepest_brackets_fit_the_stack() {
    let chain = |operand: &str, operator: &str, count| vec![operand; count].join(operator);
    let nested = |depth| {
        let (open, close) =
            ("if principal.n == 1 then true else (".repeat(depth), ")".repeat(depth));
        format!("{open}principal.n == 2{close}")
    };
    let conditions = [
        chain("principal.n == 1", " || ", 1_490),
        chain("principal.n == 1", " && ", 1_490),
        format!("principal.n + {} > 5", chain("1", " + ", 1_480)),
        nested(60),
        format!("principal{} == principal", ".boss".repeat(60)),
        format!("{}true", "if principal.n == 1 then false else ".repeat(60)),
    ];
    for condition in conditions {
        let thread = thread::Builder::new().stack_size(STACK_BYTES);
        let done = thread.spawn(move || {
            let store = store(&condition);
            assert_eq!(Matrix::of(&store).unwrap().rows.len(), 1);
            assert!(!diff(&store, &store, OnForbidError::Deny).unwrap().has_gains());
            let other = super::deep::store("principal.n == 3");
            assert!(diff(&store, &other, OnForbidError::Deny).is_ok());
        });
        done.unwrap().join().unwrap();
    }
}
