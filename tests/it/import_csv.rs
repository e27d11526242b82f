//! Stores that are made of spreadsheets, asked through the real engine.

use std::{collections::BTreeMap, sync::Arc};

use humbaba::{
    analysis::Matrix,
    engine::decide,
    import::{self, Imported},
    model::{Effect, OnForbidError, Uid, Value},
    request::{RequestInput, RequestLimits, RoleAssignmentInput},
    store::{Bounds, PolicyStore, embedded_stores},
    testing::DEFAULT_NOW,
};
use proptest::{collection::btree_set, prelude::*};

/// A cell as it is meant.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Allow,
    Deny,
    If(String),
}

/// A spreadsheet as it is meant.
#[derive(Debug, Clone)]
struct Table {
    roles: Vec<String>,
    actions: Vec<String>,
    /// A row an action, a cell a role.
    cells: Vec<Vec<Cell>>,
}

fn import(bytes: &[u8]) -> Imported {
    let name = "sheet".parse().unwrap();
    import::csv(name, "sheet.csv", bytes, "Resource", &Bounds::default()).unwrap_or_else(
        |problems| {
            let shown: Vec<_> = problems.iter().map(|problem| problem.render()).collect();
            panic!("{}\n{}", shown.concat(), String::from_utf8_lossy(bytes));
        },
    )
}

fn refused(text: &str) -> Vec<String> {
    let name = "sheet".parse().unwrap();
    let problems = import::csv(name, "sheet.csv", text.as_bytes(), "Resource", &Bounds::default())
        .unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

fn load(imported: &Imported) -> PolicyStore {
    PolicyStore::load(Arc::new(imported.files.clone()), &Bounds::default()).unwrap()
}

/// Asks whether alice, who holds a role on the resource, may do an action under those conditions.
fn allows(store: &PolicyStore, role: &str, action: &str, conditions: &[usize]) -> bool {
    let context =
        conditions.iter().map(|number| (format!("condition_{}", number + 1), Value::Bool(true)));
    let role = RoleAssignmentInput {
        principal: None,
        role: role.to_owned(),
        scope: None,
        expires_at: None,
    };
    let input = RequestInput {
        principal: Some(Uid::new("User", "alice")),
        action: Some(Uid::action(action)),
        resource: Some(Uid::new("Resource", "1")),
        context: context.collect(),
        entities: Vec::new(),
        role_assignments: vec![role],
    };
    let request = store.check(&input, DEFAULT_NOW, &RequestLimits::default()).unwrap();
    decide(store.engine(), &request, OnForbidError::Deny).effect == Effect::Allow
}

/// Names that are hard to write somewhere: in Cedar, CSV, TOML, or as a file.
const HARD: [&str; 34] = [
    "in",
    "has",
    "like",
    "is",
    "if",
    "then",
    "else",
    "true",
    "false",
    "entity",
    "type",
    "namespace",
    "principal",
    "resource",
    "context",
    "Role",
    "User",
    "Set",
    "__cedar",
    "tags",
    "permit",
    "when",
    "Site Admin",
    "Site-Admin",
    "site_admin",
    "Éditeur",
    "管理者",
    "2nd",
    "a\"b",
    "a,b",
    "l1\nl2",
    "Action::\"x\"",
    "../up",
    "back\\slash'",
];

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(&HARD[..]).prop_map(str::to_owned),
        2 => "[a-c]{1,2}(\\.[a-c])?",
        1 => "[ -~]{1,6}",
        1 => any::<String>(),
    ]
    .prop_map(|name| name.trim().to_owned())
    .prop_filter("a name", |name| {
        let other = ["", "action", "scope", "label", "condition", "source"];
        !other.contains(&&*name.to_ascii_lowercase()) && name.len() < 100
    })
}

fn table() -> impl Strategy<Value = Table> {
    let sizes = (btree_set(name(), 1..5), btree_set(name(), 1..8));
    sizes.prop_flat_map(|(roles, actions)| {
        let cell = prop_oneof![
            3 => Just(Cell::Allow),
            3 => Just(Cell::Deny),
            1 => "(only|own) (goals|sites)".prop_map(Cell::If),
        ];
        let row = prop::collection::vec(cell, roles.len());
        let rows = prop::collection::vec(row, actions.len());
        rows.prop_map(move |mut cells| {
            let actions: Vec<_> = actions.iter().cloned().collect();
            // A `*` stands for any action where a cell has a condition.
            for (action, row) in actions.iter().zip(&mut cells) {
                if action.contains('*') {
                    row.iter_mut().for_each(|cell| {
                        *cell = if *cell == Cell::Allow { Cell::Allow } else { Cell::Deny };
                    });
                }
            }
            Table { roles: roles.iter().cloned().collect(), actions, cells }
        })
    })
}

/// Writes a table as a spreadsheet program might.
fn write(table: &Table, delimiter: u8, corner: &str, spellings: &[usize]) -> Vec<u8> {
    let mut spellings = spellings.iter().cycle();
    let mut spell = |of: &[&'static str]| of[*spellings.next().unwrap() % of.len()];
    let mut writer = csv::WriterBuilder::new()
        .delimiter(delimiter)
        .quote_style(csv::QuoteStyle::Always)
        .from_writer(b"\xEF\xBB\xBF".to_vec());
    let header = [corner].into_iter().chain(table.roles.iter().map(String::as_str));
    writer.write_record(header).unwrap();
    for (action, cells) in table.actions.iter().zip(&table.cells) {
        let mut record = vec![action.clone()];
        record.extend(cells.iter().map(|cell| match cell {
            Cell::Allow => spell(&["allow", "Yes", "x", "TRUE", "✓", "1"]).to_owned(),
            Cell::Deny => spell(&["deny", "", "No", "-", " ", "0"]).to_owned(),
            Cell::If(words) => words.clone(),
        }));
        writer.write_record(record).unwrap();
    }
    writer.into_inner().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_store_made_of_a_spreadsheet_decides_as_the_spreadsheet_says(
        table in table(),
        delimiter in prop::sample::select(&b",;\t"[..]),
        corner in prop::sample::select(&["action", "Action", "", "What"][..]),
        spellings in prop::collection::vec(0..30_usize, 8),
    ) {
        let imported = import(&write(&table, delimiter, corner, &spellings));
        let store = load(&imported);
        for (action, cells) in imported.actions.iter().zip(&table.cells) {
            let conditions: BTreeMap<_, _> = cells.iter().filter_map(|cell| match cell {
                Cell::If(words) => {
                    Some((words, imported.conditions.iter().position(|one| one == words).unwrap()))
                }
                _ => None,
            }).collect();
            for (role, cell) in imported.roles.iter().zip(cells) {
                let may = |numbers: &[usize]| allows(&store, &role.name, &action.name, numbers);
                prop_assert_eq!(may(&[]), *cell == Cell::Allow, "{:?} {:?}", role, action);
                for (words, number) in &conditions {
                    let expected = *cell == Cell::Allow || *cell == Cell::If((*words).clone());
                    prop_assert_eq!(may(&[*number]), expected, "{:?} {:?} {}", role, action, words);
                }
            }
        }
    }
}

#[test]
fn a_shipped_matrix_becomes_a_store_with_the_same_matrix() {
    for store in embedded_stores() {
        let input = store.get("matrix.csv").unwrap();
        let imported = import(input);
        let output = imported.files.get("matrix.csv").unwrap();
        let rows = |bytes: &[u8]| -> Vec<Vec<String>> {
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes);
            let headers = reader.records().next().unwrap().unwrap();
            let condition = headers.iter().position(|header| header == "condition").unwrap();
            let row = |record: csv::StringRecord| {
                // A condition has its words in one line.
                let cells = record.iter().enumerate().filter(|(place, _)| *place != condition);
                cells.map(|(_, cell)| cell.to_owned()).collect()
            };
            reader.records().map(|record| row(record.unwrap())).collect()
        };
        assert_eq!(rows(output), rows(input), "{}", store.name());
        let made = load(&imported);
        assert_eq!(made.warnings().len(), 0, "{}", store.name());
        let computed = Matrix::of(&made).unwrap();
        assert_eq!(computed.unexpected().count(), 0, "{}", store.name());
        assert_eq!(computed.cells().count(), rows(input).len() * imported.roles.len());
    }
}

#[test]
fn names_that_cedar_does_not_take_are_changed() {
    let imported =
        import(b"\xEF\xBB\xBFFeature;Site Admin;Site-Admin;if;2nd;\xC3\x89;viewer\na;x;;;;;\n");
    let roles: Vec<_> = imported.roles.iter().map(|role| role.name.as_str()).collect();
    assert_eq!(roles, ["Site_Admin", "role_Site_Admin", "role_if", "role_2nd", "role_5", "viewer"]);
}

#[test]
fn an_action_of_several_scopes_has_the_scope_in_its_name() {
    let text = "scope,action,owner\nsite,view,allow\nteam,view,deny\nteam,leave,yes\n";
    let imported = import(text.as_bytes());
    let actions: Vec<_> = imported.actions.iter().map(|action| action.name.as_str()).collect();
    assert_eq!(actions, ["site.view", "team.view", "leave"]);
    let store = load(&imported);
    assert!(allows(&store, "owner", "site.view", &[]));
    assert!(!allows(&store, "owner", "team.view", &[]));
}

#[test]
fn the_words_of_a_condition_stand_in_its_policy() {
    let text =
        "action,owner,editor,condition\nedit,cond,own  pages\nonly,\nview,x,cond,within the plan";
    let text = text.replace("own  pages\nonly", "\"own  pages\nonly\"");
    let imported = import(text.as_bytes());
    assert_eq!(
        imported.conditions,
        ["a condition that the spreadsheet does not name", "own pages only", "within the plan"]
    );
    let policies = String::from_utf8(imported.files.get("owner.cedar").unwrap().to_vec()).unwrap();
    let expected = "\
// The roles that may do the actions below, as the spreadsheet has it.
//
//   view

@id(\"owner\")
@doc(\"owner may.\")
permit (
  principal,
  action == Action::\"view\",
  resource
)
when { principal in resource.owner };

@id(\"owner-if-3\")
@doc(\"editor may, if: within the plan\")
permit (
  principal,
  action == Action::\"view\",
  resource
)
when { principal in resource.editor }
when { context has condition_3 && context.condition_3 };
";
    assert_eq!(policies, expected);
}

#[test]
fn what_is_wrong_with_a_spreadsheet_is_told_with_its_line() {
    let at = |line: usize, message: &str| format!("sheet.csv:{line}:1: {message}");
    for (text, problems) in [
        ("", vec!["sheet.csv: the spreadsheet has no action".to_owned()]),
        ("action,owner\n", vec!["sheet.csv: the spreadsheet has no action".to_owned()]),
        (
            "action,label\nview,x\n",
            vec![at(1, "the first line names no role: write the roles in it, each in a column")],
        ),
        (
            "action,owner,owner\nview,x,\n",
            vec![at(1, "two columns are called `owner`: give one another name")],
        ),
        (
            "action,owner\n\nview,x\nedit,x\nview,\n,x\n",
            vec![
                at(6, "the line names no action"),
                at(
                    5,
                    "the action `view` stands in line 3 already: give one of them another name, \
                     or each a `scope` of its own",
                ),
            ],
        ),
        ("action,owner,\nview,x,y,z\n", vec![at(2, "column 3 has a cell here and no name")]),
        (
            "action,owner\nsite.*,own\n",
            vec![at(
                2,
                "`site.*` has a condition, and in `matrix.toml` a `*` stands for any text: write \
                 the action without it",
            )],
        ),
    ] {
        assert_eq!(refused(text), problems, "{text}");
    }
    let long = "x".repeat(2_001);
    assert_eq!(
        refused(&format!("action,owner\n{long},x\n")),
        [at(2, "the cell in column 1 has more than 2000 bytes")]
    );
    let many: String = (0..2_001).map(|number| format!("a{number},x\n")).collect();
    let problem = "sheet.csv:1:1: the spreadsheet has 2001 actions, more than 2000";
    assert_eq!(refused(&format!("action,owner\n{many}")), [problem]);
    let wide: Vec<_> = (0..51).map(|number| format!("r{number}")).collect();
    assert_eq!(
        refused(&format!("action,{}\nview,x\n", wide.join(","))),
        [at(1, "the spreadsheet has 51 roles, more than 50")]
    );
    let wide: Vec<_> = (0..100_000).map(|number| format!("r{number}")).collect();
    assert_eq!(
        refused(&format!("action,{}\nview,x\n", wide.join(","))),
        [at(1, "the spreadsheet has 100000 roles, more than 50")]
    );
    let alike = vec!["owner"; 100_000].join(",");
    let problems = refused(&format!("action,{alike}\nview,x\n"));
    assert_eq!(problems.len(), 101);
    assert_eq!(problems[100], "sheet.csv: the file is not checked to its end");
    let many: String = (0..500_000).map(|number| format!("a{number},x\n")).collect();
    let problem = "sheet.csv:1:1: the spreadsheet has 500000 actions, more than 2000";
    assert_eq!(refused(&format!("action,owner\n{many}")), [problem]);
    let problems = refused(&format!("action,owner\n{}", ",x\n".repeat(1_500)));
    assert_eq!(problems.len(), 101);
    assert_eq!(problems[100], "sheet.csv: the file is not checked to its end");
    let name = "sheet".parse().unwrap();
    let bounds = Bounds::default();
    let problems = import::csv(name, "sheet.csv", b"action,\xFF\n", "Resource", &bounds);
    let problem = problems.unwrap_err().remove(0);
    assert_eq!(problem.to_string(), "sheet.csv: the file is not UTF-8 text: byte 7 is not valid");
    assert_eq!(problem.help(), Some("save the spreadsheet as \"CSV UTF-8\""));
}
