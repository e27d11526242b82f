use super::{failures, passing, problems, report};

const CSV: &str = "\
scope,action,label,owner,editor,viewer,condition,source
site,site.view,View,deny,allow,allow,,\"a page, line 1\"
site,site.edit,Edit,deny,cond,deny,\"not frozen,
or so\",page

team,team.close,Close,cond,deny,deny,,page
";

const MEANING: &str = r#"
[scopes.site]
resource = 'Site::"42"'
[scopes.team]
resource = 'Team::"acme"'
[columns.owner]
principal = 'User::"alice"'
roles = [{ role = "owner", scope = 'Team::"acme"' }]
[columns.editor]
principal = 'User::"alice"'
roles = [{ role = "editor", scope = 'Site::"42"' }]
[columns.viewer]
principal = 'User::"alice"'
roles = [{ role = "viewer", scope = 'Site::"42"' }]

[[cond]]
name = "not frozen"
actions = ["site.*"]
allow = { entities = [{ uid = 'Site::"42"', attributes = { frozen = false } }] }
deny = [
  { name = "frozen", entities = [{ uid = 'Site::"42"', attributes = { frozen = true } }] },
]
[[cond]]
name = "active"
allow = { entities = [{ uid = 'Team::"acme"', attributes = { active = true } }] }
deny = { roles = [] }
"#;

fn with(csv: &str, meaning: &str) -> Vec<String> {
    problems(&[("matrix.csv", csv), ("matrix.toml", meaning)])
}

#[test]
fn every_cell_is_a_case_or_several() {
    let report = report(&[("matrix.csv", CSV), ("matrix.toml", MEANING)]);
    let names: Vec<_> = report.results.iter().map(|result| result.case.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "site / site.view / owner",
            "site / site.view / editor",
            "site / site.view / viewer",
            "site / site.edit / owner",
            "site / site.edit / owner, although not frozen",
            "site / site.edit / editor, if not frozen",
            "site / site.edit / editor, unless not frozen: frozen",
            "site / site.edit / viewer",
            "site / site.edit / viewer, although not frozen",
            "team / team.close / owner, if active",
            "team / team.close / owner, unless active",
            "team / team.close / editor",
            "team / team.close / editor, although active",
            "team / team.close / viewer",
            "team / team.close / viewer, although active",
        ]
    );
    assert_eq!(failures(&report), Vec::<String>::new());
    let lines: Vec<_> = report.results.iter().map(|result| result.case.line).collect();
    assert_eq!((lines[0], lines[3], lines[9]), (2, 3, 6));
}

#[test]
fn a_wrong_cell_fails() {
    let csv = CSV.replace("deny,allow,allow", "allow,deny,allow");
    let report = report(&[("matrix.csv", &csv), ("matrix.toml", MEANING)]);
    assert_eq!(
        failures(&report),
        [
            "site / site.view / owner: expected allow, got deny",
            "site / site.view / editor: expected deny, got allow",
        ]
    );
}

#[test]
fn facts_of_a_row_lie_over_those_of_the_column() {
    let meaning = format!(
        "{MEANING}\n[rows.\"site.v*w\"]\nprincipal = 'User::\"bob\"'\nroles = [{{ principal = 'User::\"alice\"', role = \"viewer\", scope = 'Site::\"42\"' }}]\n"
    );
    let report = report(&[("matrix.csv", CSV), ("matrix.toml", &meaning)]);
    // Bob holds the role of the column himself, for an assignment without principal is his.
    assert_eq!(failures(&report), Vec::<String>::new());
    let input = &report.results[1].case.input;
    assert_eq!(input.principal, Some(crate::model::Uid::new("User", "bob")));
    assert_eq!(input.role_assignments.len(), 2);
}

#[test]
fn an_exempt_cell_is_not_asked() {
    let meaning = format!(
        "{MEANING}\n[[exempt]]\ncolumns = [\"own*\"]\nactions = [\"site.*\"]\nexcept = [\"site.edit\"]\nreason = \"no request\"\n"
    );
    let report = report(&[("matrix.csv", CSV), ("matrix.toml", &meaning)]);
    assert_eq!(report.results.len(), 14);
    let [exempt] = report.exempt.as_slice() else { panic!("{:?}", report.exempt) };
    assert_eq!((exempt.action.as_str(), exempt.column.as_str()), ("site.view", "owner"));
    assert_eq!(exempt.reason, "no request");
}

#[test]
fn the_first_condition_that_matches_is_used() {
    let csv = "scope,action,label,editor,condition,source\nsite,site.edit,Edit,cond,,\n";
    let meaning = r#"
        [scopes.site]
        resource = 'Site::"42"'
        [columns.editor]
        principal = 'User::"alice"'
        roles = [{ role = "editor" }]
        [[cond]]
        name = "first"
        columns = ["ed*r"]
        [[cond.allow]]
        name = "one"
        [[cond.allow]]
        name = "two"
        context = { reason = "because" }
        [[cond.deny]]
        name = "frozen"
        entities = [{ uid = 'Site::"42"', attributes = { frozen = true } }]
    "#;
    assert_eq!(passing(&[("matrix.csv", csv), ("matrix.toml", meaning)]), 3);
    let second = format!("{meaning}\n[[cond]]\nname = 'second'\nallow = {{}}\ndeny = {{}}\n");
    assert_eq!(with(csv, &second), ["garden/matrix.toml:20:8: no cond cell uses this `[[cond]]`"]);
}

#[test]
fn a_denied_column_gets_the_circumstances_of_a_condition_and_not_its_roles() {
    let csv =
        "scope,action,label,editor,nobody,condition,source\nsite,site.edit,Edit,cond,deny,,\n";
    let meaning = r#"
        [scopes.site]
        resource = 'Site::"42"'
        [columns.editor]
        principal = 'User::"alice"'
        [columns.nobody]
        principal = 'User::"bob"'
        [[cond]]
        name = "given a role"
        allow = { principal = 'User::"carol"', roles = [{ role = "editor" }], context = { reason = "x" } }
        deny = {}
    "#;
    let report = report(&[("matrix.csv", csv), ("matrix.toml", meaning)]);
    assert_eq!(failures(&report), Vec::<String>::new());
    let denied = &report.results.last().unwrap().case;
    assert_eq!(denied.name, "site / site.edit / nobody, although given a role");
    assert_eq!(denied.input.principal, Some(crate::model::Uid::new("User", "bob")));
    assert!(denied.input.role_assignments.is_empty());
    assert_eq!(denied.input.context.len(), 1);
}

#[test]
fn what_a_matrix_leaves_open_is_told() {
    let csv = "scope,action,label,owner,ghost,condition,source\n\
               site,site.view,View,maybe,cond,,\n\
               hill,site.view,View,deny,deny,,\n\
               site,site.view,View,deny,deny,,\n\
               site,site.edit,Edit,deny,deny\n";
    let meaning = r#"
        [scopes.site]
        [scopes.moon]
        [columns.owner]
        [columns.gone]
        [rows."site.burn"]
        [[cond]]
        name = "x"
        columns = ["owner"]
        [[exempt]]
        actions = ["nothing"]
        reason = "x"
        [else]
    "#;
    assert_eq!(
        with(csv, meaning),
        [
            "garden/matrix.csv:2:1: `maybe` in the column `owner`: a cell is `allow`, `deny` or `cond`",
            "garden/matrix.csv:2:1: the cell `cond` of `site.view` in the column `ghost` has no `[[cond]]` in `matrix.toml`",
            "garden/matrix.csv:2:1: `matrix.toml` does not say what `ghost` means",
            "garden/matrix.csv:3:1: `matrix.toml` does not say what `hill` means",
            "garden/matrix.csv:4:1: a second row of `site.view` in the scope `site`",
            "garden/matrix.csv:5:1: CSV error: record 4 (line: 5, byte: 145): found record with 5 fields, but the previous record has 7 fields",
            "garden/matrix.toml:3:17: no row of the matrix has the scope `moon`",
            "garden/matrix.toml:5:18: the matrix has no column `gone`",
            "garden/matrix.toml:6:15: no row of the matrix is called `site.burn`",
            "garden/matrix.toml:8:16: a condition needs facts that allow: add `allow`",
            "garden/matrix.toml:8:16: a condition needs facts that deny: add `deny`",
            "garden/matrix.toml:8:16: no cond cell uses this `[[cond]]`",
            "garden/matrix.toml:10:9: no cell uses this `[[exempt]]`",
            "garden/matrix.toml:13:10: the key `else` is unknown here",
        ]
    );
}

#[test]
fn a_matrix_and_its_meaning_come_together() {
    assert_eq!(
        problems(&[("matrix.csv", CSV)]),
        ["garden/matrix.csv: nothing says what its cells mean"]
    );
    assert_eq!(problems(&[("matrix.toml", "")]), ["garden/matrix.toml: there is no matrix"]);
    assert_eq!(
        with("a,b\n1,2\n", ""),
        ["garden/matrix.csv:1:1: the matrix needs the columns `scope` and `action`"]
    );
}
