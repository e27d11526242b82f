//! The solver on its own, held against evaluation and search.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;

use super::{ProofOptions, Solver, settle};
use crate::{
    analysis::{
        Matrix,
        tests::{random, support::all_shipped},
    },
    store::{Bounds, PolicyStore, StoreFiles},
};

/// Cells of a shipped store that are asked about.
const CELLS: usize = 8;

/// The solver; where it is not installed the test is skipped, but for CI.
fn solver() -> Option<Solver> {
    let solver = Solver::find();
    if let Err(missing) = &solver {
        let ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty());
        assert!(!ci, "CI is set, and {missing}");
        eprintln!("skipped: {missing}");
    }
    solver.ok()
}

/// Asks the solver alone about `wanted` cells of a store. Returns those of which it says something
/// else, how many it was asked about and how many it settled.
fn told_otherwise(
    store: &PolicyStore,
    solver: &Solver,
    wanted: usize,
) -> (Vec<String>, usize, usize) {
    let computed = Matrix::of(store).unwrap();
    let mut asked = computed.clone();
    let stride = computed.cells().count() / wanted;
    let all = asked.rows.iter_mut().flat_map(|row| &mut row.cells);
    all.step_by(stride.max(1)).for_each(|cell| cell.forget(store));
    let count = asked.open_cells().count();
    let options =
        ProofOptions { query_timeout: Duration::from_secs(20), ..ProofOptions::default() };
    settle(&mut asked, store, solver, &options, &|_, _| ()).unwrap();
    let mut unsettled = 0;
    for (row, column, cell) in asked.cells().filter(|(.., cell)| !cell.is_proved()) {
        unsettled += 1;
        eprintln!("{} / {} / {column}: {:?}", row.scope, row.action, cell.unsettled);
    }
    let pairs = computed.cells().zip(asked.cells());
    let others = pairs
        .filter(|((.., one), (.., other))| other.is_proved() && one.value != other.value)
        .map(|((row, column, one), (.., other))| {
            let (said, told) = (one.value, other.value);
            format!("{} / {} / {column}: {said:?}, {told:?}", row.scope, row.action)
        });
    (others.collect(), count, count - unsettled)
}

#[test]
fn the_solver_alone_says_of_shipped_cells_what_evaluation_and_search_say() {
    let Some(solver) = solver() else { return };
    for store in all_shipped() {
        let (others, asked, settled) = told_otherwise(&store, &solver, CELLS);
        assert!(others.is_empty(), "{}: {others:#?}", store.name());
        // On a slow machine some questions take too long.
        assert!(asked > 2 && settled * 2 > asked, "{}: {settled} of {asked}", store.name());
    }
}

/// A store with every kind of fact: stored entities, optional attributes, records, sets, tags and
/// groups; `matrix.toml` gives some and leaves some open.
const OFFICE: [(&str, &str); 5] = [
    (
        "schema.cedarschema",
        r#"namespace Office {
  @role entity Role;
  entity Group in [Role];
  entity Plan { paid: Bool, region?: String };
  entity User in [Role, Group] { status: String, boss?: User } tags String;
  entity Team { lead: Role, member: Role, plan: Plan };
  entity Doc {
    owner: Role, reader: Role, team?: Team, labels: Set<String>, shared?: Set<Group>,
    meta: { secret: Bool, until?: datetime }
  };
  action read, write, share, print, move, close appliesTo {
    principal: User,
    resource: Doc,
    context: { now?: datetime, target?: User, via: { app: String, host?: ipaddr } }
  };
}"#,
    ),
    (
        "plans.cedarentities.json",
        r#"[
  {"uid": {"type": "Office::Plan", "id": "free"}, "attrs": {"paid": false}, "parents": []},
  {"uid": {"type": "Office::Plan", "id": "pro"},
   "attrs": {"paid": true, "region": "eu"}, "parents": []}
]"#,
    ),
    (
        "policies.cedar",
        r#"
permit (principal, action == Office::Action::"read", resource)
when { principal in [resource.owner, resource.reader] };
permit (principal, action == Office::Action::"read", resource)
when { resource has team && principal in [resource.team.lead, resource.team.member] };
permit (principal, action == Office::Action::"read", resource)
when { resource has shared && principal in resource.shared };
permit (principal, action == Office::Action::"write", resource)
when { principal in resource.owner && principal.status == "active" };
permit (principal, action == Office::Action::"write", resource)
when { resource has team && resource.team.plan.paid && principal in resource.team.lead };
permit (principal, action == Office::Action::"write", resource)
when { Office::Plan::"free".paid && principal in resource.reader };
permit (principal, action == Office::Action::"share", resource)
when { context has target && context.target in resource.reader && principal in resource.owner };
permit (principal, action == Office::Action::"share", resource)
when { context has target && context.target == principal && context.target in resource.reader };
permit (principal, action == Office::Action::"print", resource)
when { principal.hasTag("badge") && principal.getTag("badge") == "gold" }
when { principal in resource.reader };
permit (principal in Office::Group::"printers", action == Office::Action::"print", resource);
permit (principal, action == Office::Action::"move", resource)
when { resource.meta has until && context has now && resource.meta.until > context.now }
when { principal in resource.owner };
permit (principal, action == Office::Action::"move", resource)
when { principal has boss && principal.boss in resource.owner };
permit (principal, action == Office::Action::"close", resource)
when { resource.labels.contains("open") && principal in resource.owner };
permit (principal, action == Office::Action::"close", resource)
when { Office::Plan::"pro" has region && principal in resource.reader };
permit (principal in Office::Role::"Team::main#lead", action == Office::Action::"close", resource);
forbid (principal, action == Office::Action::"close", resource)
when { context.via.app == "bot" };
forbid (principal, action == Office::Action::"move", resource)
when { context.via has host && context.via.host.isLoopback() };
"#,
    ),
    (
        "matrix.csv",
        "scope,action,label,owner,reader,open,lead,printer,boss,main\n\
         doc,read,,allow,allow,allow,allow,cond,cond,deny\n\
         doc,write,,cond,deny,deny,allow,deny,deny,deny\n\
         doc,share,,cond,cond,cond,deny,deny,deny,deny\n\
         doc,print,,deny,cond,cond,deny,allow,deny,deny\n\
         doc,move,,cond,cond,cond,cond,cond,cond,cond\n\
         doc,close,,cond,cond,cond,deny,deny,deny,cond\n\
         empty,read,,allow,allow,allow,cond,cond,cond,cond\n\
         empty,close,,deny,allow,allow,deny,deny,deny,allow\n",
    ),
    (
        "matrix.toml",
        r#"
[scopes.doc]
resource = 'Doc::"1"'
entities = [
  { uid = 'Doc::"1"', attributes = { team = 'Team::"a"', meta = { secret = false } } },
  { uid = 'Team::"a"', attributes = { plan = 'Plan::"pro"' } },
]
[scopes.empty]
resource = 'Doc::"2"'
entities = [{ uid = 'Doc::"2"', attributes = { labels = [] } }]
context = { via = { app = "web" } }
[columns.owner]
principal = 'User::"alice"'
roles = [{ role = "owner" }]
[columns.reader]
principal = 'User::"alice"'
roles = [{ role = "reader" }]
[columns.open]
principal = 'User::"alice"'
roles = [{ role = "reader" }]
entities = [{ uid = 'User::"alice"', attributes = { status = "active" }, tags = { badge = "gold" } }]
open_roles = ["Team.member", "Doc.owner"]
open_attributes = ["status"]
[columns.lead]
principal = 'User::"alice"'
roles = [{ role = "lead", scope = 'Team::"a"' }]
[columns.printer]
principal = 'User::"alice"'
groups = ['Group::"printers"']
[columns.boss]
principal = 'User::"alice"'
entities = [{ uid = 'User::"alice"', attributes = { boss = 'User::"bob"' } }]
[columns.main]
principal = 'User::"alice"'
roles = [{ role = "lead", scope = 'Team::"main"' }]
"#,
    ),
];

#[test]
fn the_solver_alone_says_of_every_kind_of_fact_what_evaluation_and_search_say() {
    let Some(solver) = solver() else { return };
    let files = OFFICE.map(|(path, text)| (path.to_owned(), Arc::from(text.as_bytes())));
    let files = StoreFiles::new("office".parse().unwrap(), files);
    let store = PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap();
    let (others, asked, settled) = told_otherwise(&store, &solver, 56);
    assert_eq!((others, asked, settled), (Vec::new(), 56, 56));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn the_solver_alone_says_of_random_cells_what_evaluation_and_search_say(
        policies in random::policies(),
    ) {
        let Some(solver) = solver() else { return Ok(()) };
        let store = random::store(&policies);
        let (others, asked, settled) = told_otherwise(&store, &solver, 6);
        prop_assert!(others.is_empty(), "{:#?}\n{}", others, policies.concat());
        prop_assert!(asked == 6 && settled > 3, "{settled}\n{}", policies.concat());
    }
}
