//! `humbaba matrix`

use serde_json::Value as Json;

use crate::cli::{command, end, policies, run};

fn shipped(store: &str) -> String {
    format!("{}/policies/{store}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_shipped_matrix_is_what_the_policies_say() {
    let all = format!("{}/policies", env!("CARGO_MANIFEST_DIR"));
    let ended = run(&["matrix", &all, "--check"]);
    assert_eq!(ended.code, 0, "{}", ended.out);
    let lines = ended.out.lines().filter(|line| !line.contains(": not in matrix.csv: "));
    let counts: Vec<_> = lines.collect();
    assert_eq!(counts.len(), 5, "{}", ended.out);
    assert!(counts.iter().all(|line| line.ends_with(", 0 differ")), "{}", ended.out);
}

#[test]
fn a_cell_that_is_not_as_written_is_named_with_its_policies() {
    let folder = tempfile::TempDir::new().unwrap();
    let store = folder.path().join("hitkeep");
    std::fs::create_dir(&store).unwrap();
    for file in std::fs::read_dir(shipped("hitkeep")).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), store.join(file.file_name())).unwrap();
        }
    }
    let csv = store.join("matrix.csv");
    let text = std::fs::read_to_string(&csv).unwrap();
    let (head, row) = text.split_once("site,site.goals.create,").unwrap();
    let row = row.replacen("allow,", "deny,", 1);
    std::fs::write(&csv, format!("{head}site,site.goals.create,{row}")).unwrap();
    let ended = run(&["matrix", store.to_str().unwrap(), "--check"]);
    assert_eq!(ended.code, 2, "{}", ended.out);
    let said = "hitkeep: site / site.goals.create / instance_owner: matrix.csv says deny, \
                the policies allow (instance-owner-manages)\n";
    assert!(ended.out.starts_with(said), "{}", ended.out);
    assert!(ended.out.ends_with(", 1 differ\n"), "{}", ended.out);
}

/// Computes the matrix of a store with one type of resource and an instance, without `matrix.csv`.
fn computed(policies: &str) -> String {
    let folder = tempfile::TempDir::new().unwrap();
    let store = folder.path().join("m");
    std::fs::create_dir(&store).unwrap();
    let schema = "@role entity Role; entity User in [Role]; entity Instance { admin: Role };
        entity Doc { owner: Role, banned: Role };
        action read appliesTo { principal: User, resource: Doc };
        action manage appliesTo { principal: User, resource: Instance };";
    std::fs::write(store.join("s.cedarschema"), schema).unwrap();
    std::fs::write(store.join("p.cedar"), policies).unwrap();
    let args = ["matrix", folder.path().to_str().unwrap(), "--format", "csv"];
    let ended = end(command(&args).env("CVC5", "none"));
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.out
}

#[test]
fn an_exception_for_one_entity_is_told_of_no_other() {
    let owners = "permit (principal, action == Action::\"read\", resource)
        when { principal in resource.owner };";
    let head = "scope,action,label,Doc.banned,Doc.owner,Instance.admin\n";
    let expected = format!("{head}Doc,read,,deny,allow,deny\nInstance,manage,,deny,deny,deny\n");
    for exception in [
        "",
        "permit (principal, action == Action::\"read\", resource == Doc::\"welcome\");",
        "permit (principal, action, resource) when { resource == Doc::\"welcome\" };",
        "permit (principal in Role::\"Doc::welcome#banned\", action == Action::\"read\", resource);",
    ] {
        let told = computed(&format!("{owners}{exception}"));
        assert_eq!(sorted(&told), sorted(&expected), "{exception}");
    }
}

#[test]
fn roles_that_policies_name_alone_are_those_of_a_singleton() {
    for policy in [
        "permit (principal in Role::\"Instance::main#admin\", action, resource);",
        "permit (principal, action, resource) when { principal in Instance::\"main\".admin };",
        "permit (principal, action == Action::\"manage\", resource == Instance::\"main\")
         when { principal in resource.admin };",
    ] {
        let told = computed(policy);
        assert!(told.contains("Instance,manage,,deny,deny,allow\n"), "{policy}: {told}");
    }
}

fn sorted(table: &str) -> Vec<&str> {
    let mut lines: Vec<_> = table.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn without_a_matrix_of_its_own_each_slot_is_a_column_and_each_action_a_row() {
    let folder = policies(&["one"]);
    let ended = run(&["matrix", folder.path().to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let expected = "\
one

Site
action  Site.editor  Site.owner  Site.viewer  Team.owner
edit    yes 1        yes 1       -            -
view    yes          yes         yes          -

conditions
   1 unless not-for-audit [a]

where
   a context has reason && context.reason == \"audit\"

";
    assert_eq!(ended.out, expected);
}

#[test]
fn csv_json_markdown_and_html_say_the_same() {
    let store = shipped("hitkeep-v1");
    let written = std::fs::read_to_string(format!("{store}/matrix.csv")).unwrap();
    let columns = |text: &str| -> Vec<Vec<String>> {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let head = reader.headers().unwrap().clone();
        let is_cell = |name: &str| !["scope", "label", "condition", "source"].contains(&name);
        let row = |row: csv::StringRecord| {
            let fields = head.iter().zip(row.iter()).filter(|(name, _)| is_cell(name));
            fields.map(|(_, field)| field.to_owned()).collect()
        };
        reader.records().map(|record| row(record.unwrap())).collect()
    };
    let csv = run(&["matrix", &store, "--format", "csv"]).out;
    assert_eq!(columns(&csv), columns(&written));

    let json = run(&["matrix", &store, "--format", "json"]).out;
    let json: Json = serde_json::from_str(&json).unwrap();
    let rows = json["hitkeep-v1"]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), columns(&csv).len());
    let cells = rows.iter().flat_map(|row| row["cells"].as_object().unwrap().values());
    let count = |word: &str| {
        cells.clone().filter(|cell| cell["value"] == word && cell["proved"] == true).count()
    };
    let counts = ["allow", "deny", "cond"].map(|word| (word, count(word)));
    let written: Vec<_> = columns(&csv).into_iter().flatten().collect();
    for (word, count) in counts {
        assert_eq!(count, written.iter().filter(|cell| *cell == word).count(), "{word}");
        assert!(count > 0, "{word}");
    }
    let allowed = cells.clone().find(|cell| cell["value"] == "allow").unwrap();
    assert!(allowed["policies"][0]["id"].is_string());

    let markdown = run(&["matrix", &store, "--format", "markdown"]).out;
    assert_eq!(
        markdown.lines().filter(|line| line.starts_with("| ")).count(),
        rows.len() + scopes(rows)
    );
    let html = run(&["matrix", &store, "--format", "html"]).out;
    assert_eq!(html.matches("scope=\"row\"").count(), rows.len());
    assert!(html.contains("<html lang=\"en\">") && html.contains("<caption>"));
    for outside in ["http://", "https://", "<script", "src=", "@import"] {
        assert!(!html.contains(outside), "the page needs {outside}");
    }
}

fn scopes(rows: &[Json]) -> usize {
    let mut scopes: Vec<_> = rows.iter().map(|row| row["scope"].as_str().unwrap()).collect();
    scopes.dedup();
    scopes.len()
}

#[test]
fn a_check_without_a_written_matrix_says_so_and_fails() {
    let folder = policies(&["one"]);
    let ended = run(&["matrix", folder.path().to_str().unwrap(), "--check"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.starts_with("one: there is no matrix.csv to compare with"), "{}", ended.out);
}

#[test]
fn an_action_that_there_is_not_is_told_with_those_that_come_near() {
    let folder = policies(&["one"]);
    let ended = run(&["matrix", folder.path().to_str().unwrap(), "--action", "edti"]);
    assert_eq!(ended.code, 64, "{ended:?}");
    assert!(ended.err.contains("no action contains `edti`"), "{}", ended.err);
    assert!(ended.err.contains("`edit`"), "{}", ended.err);
}

/// A folder with a store of one site column, whose matrix has those rows.
fn with_rows(rows: &str) -> tempfile::TempDir {
    let folder = policies(&["guard"]);
    let store = folder.path().join("guard");
    let meaning = "[scopes.site]\nresource = 'Site::\"1\"'\n[columns.owner]\n\
        principal = 'User::\"a\"'\nroles = [{ role = \"owner\" }]\n";
    std::fs::write(store.join("matrix.toml"), meaning).unwrap();
    std::fs::write(store.join("matrix.csv"), format!("scope,action,owner\n{rows}")).unwrap();
    folder
}

#[test]
fn a_check_names_the_rows_of_no_action_and_the_actions_of_no_row() {
    let check = |rows: &str| {
        let folder = with_rows(rows);
        let ended = run(&["matrix", folder.path().to_str().unwrap(), "--check"]);
        (ended.code, ended.out, ended.err)
    };
    // As it stands, a request for such an action is denied.
    let (code, out, err) = check("site,view,allow\nsite,edti,deny\n");
    assert_eq!(code, 2, "{out}{err}");
    let unknown = "guard: site / edti: matrix.csv has a row for it, and the schema no such action; \
                   the nearest is `edit`\n";
    assert!(out.starts_with(unknown), "{out}{err}");
    assert!(out.contains("guard: not in matrix.csv: edit\n"), "{out}");
    assert!(out.ends_with("0 differ, 1 row of no action\n"), "{out}");
    let (code, out, _) = check("site,view,allow\n");
    assert_eq!(code, 0, "{out}");
    assert!(out.starts_with("guard: not in matrix.csv: edit\n"), "{out}");
}

const TWO_TYPES: &str = r#"@role entity Role;
entity User in [Role];
entity ApiClient in [Role];
entity Guest;
entity Project { owner: Role, viewer: Role };
action "project.view" appliesTo { principal: [User, ApiClient, Guest], resource: Project };
action "project.delete" appliesTo { principal: [User, ApiClient], resource: Project };
"#;

const OF_USERS: &str = r#"@id("view") permit (principal is User, action == Action::"project.view", resource)
when { principal in [resource.owner, resource.viewer] };
@id("own") permit (principal is User, action == Action::"project.delete", resource)
when { principal in resource.owner };
"#;

/// A folder with a store whose policies are for the second of two types that hold its roles.
fn of_two_types(policies: &str) -> tempfile::TempDir {
    let folder = tempfile::TempDir::new().unwrap();
    let store = folder.path().join("projects");
    std::fs::create_dir(&store).unwrap();
    std::fs::write(store.join("schema.cedarschema"), TWO_TYPES).unwrap();
    std::fs::write(store.join("roles.cedar"), policies).unwrap();
    folder
}

#[test]
fn a_slot_that_several_types_can_hold_has_a_column_for_each_of_them() {
    let folder = of_two_types(OF_USERS);
    let ended = run(&["matrix", folder.path().to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let lines: Vec<Vec<_>> =
        ended.out.lines().map(|line| line.split("  ").map(str::trim).collect()).collect();
    let cells = |line: &[&str]| -> Vec<String> {
        line.iter().filter(|cell| !cell.is_empty()).map(|cell| (*cell).to_owned()).collect()
    };
    let row = |first: &str| lines.iter().find(|line| line[0] == first).map(|line| cells(line));
    let columns: Vec<_> = ended
        .out
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix('[')?.split_once("] "))
        .collect();
    let expected = [
        ("1", "ApiClient as Project.owner"),
        ("2", "User as Project.owner"),
        ("3", "ApiClient as Project.viewer"),
        ("4", "User as Project.viewer"),
        ("5", "Guest"),
    ];
    assert_eq!(columns, expected, "{}", ended.out);
    assert_eq!(row("project.delete").unwrap()[1..], ["-", "yes", "-", "-", "-"], "{}", ended.out);
    assert_eq!(row("project.view").unwrap()[1..], ["-", "yes", "-", "yes", "-"], "{}", ended.out);
}

#[test]
fn each_role_that_gains_is_named_whatever_type_holds_it() {
    let old = of_two_types(OF_USERS);
    let new = of_two_types(&OF_USERS.replace(
        "when { principal in resource.owner }",
        "when { principal in [resource.owner, resource.viewer] }",
    ));
    let (before, after) = (old.path().to_str().unwrap(), new.path().to_str().unwrap());
    let ended = run(&["diff", before, after]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("User as Project.viewer gains project.delete"), "{}", ended.out);
    assert!(!ended.out.contains("outside the matrix"), "{}", ended.out);
    let approve = ["diff", before, after, "--approve", "--by", "ann", "--reason", "asked for"];
    assert_eq!(run(&approve).code, 0);
    let file = new.path().join("projects/approved-gains.toml");
    let approved = std::fs::read_to_string(file).unwrap();
    assert!(approved.contains("User as Project.viewer"), "{approved}");
}
