//! The files of a store, written from a spreadsheet.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{
    groups::{ActionGroup, conditions, covers, groups, slots},
    sheet::{Sheet, SheetCell, SheetRow, one_line},
};

/// The types that the schema has beside the one that roles are held on.
pub(super) const OTHER_TYPES: [&str; 2] = ["Role", "User"];

/// Writes the files of a store: path and text of each.
pub(super) fn of(sheet: &Sheet, scope: &str) -> Vec<(String, String)> {
    let writer = StoreWriter { sheet, scope, groups: groups(sheet) };
    let mut files = vec![
        ("schema.cedarschema".to_owned(), writer.schema()),
        ("matrix.csv".to_owned(), writer.matrix()),
        ("matrix.toml".to_owned(), writer.matrix_meaning()),
        ("mutants.toml".to_owned(), writer.mutants()),
        ("tests/roles.toml".to_owned(), writer.tests()),
        ("README.md".to_owned(), writer.readme()),
    ];
    let policies = writer.groups.iter().filter(|group| !group.name.is_empty());
    files.extend(policies.map(|group| (format!("{}.cedar", group.name), writer.policies(group))));
    files
}

struct StoreWriter<'a> {
    sheet: &'a Sheet,
    scope: &'a str,
    groups: Vec<ActionGroup<'a>>,
}

impl StoreWriter<'_> {
    fn schema(&self) -> String {
        let scope = self.scope;
        let roles = self.sheet.roles.iter().map(|role| format!("  {}: Role,\n", role.name));
        let mut text = format!(
            "// Who there is, what roles are held on, and what can be done.\n\n\
             @role\nentity Role;\n\nentity User in [Role];\n\n\
             // Each attribute of the type `Role` is a role that somebody may hold.\n\
             entity {scope} {{\n{}}};\n",
            roles.collect::<String>()
        );
        for group in &self.groups {
            text.push('\n');
            let ids: Vec<_> = group.rows.iter().map(|row| quoted(&row.action.name)).collect();
            let ids = match ids.as_slice() {
                [one] => format!(" {one} "),
                several => format!("\n  {}\n", several.join(",\n  ")),
            };
            let _ = write!(text, "action{ids}appliesTo {{ principal: User, resource: {scope}");
            let conditions = conditions(group.cells);
            if !conditions.is_empty() {
                text.push_str(", context: {\n");
                for condition in conditions {
                    let words = self.sheet.conditions.get(condition).map_or("", String::as_str);
                    let _ = writeln!(text, "  // {words}\n  {}?: Bool,", fact(condition));
                }
                text.push('}');
            }
            text.push_str(" };\n");
        }
        text
    }

    fn policies(&self, group: &ActionGroup<'_>) -> String {
        let mut text =
            "// The roles that may do the actions below, as the spreadsheet has it.\n//\n"
                .to_owned();
        let longest = group.rows.iter().map(|row| shown(&row.action.name).chars().count()).max();
        let width = longest.unwrap_or_default().min(40);
        for row in &group.rows {
            let line = format!("//   {:width$}  {}", shown(&row.action.name), one_line(&row.label));
            let _ = writeln!(text, "{}", line.trim_end());
        }
        let allowed = slots(self.sheet, group.cells, |cell| cell == SheetCell::Allow);
        if !allowed.is_empty() {
            let doc = format!("{} may.", allowed.join(", "));
            text.push_str(&self.permit(group, SheetCell::Allow, &doc, &allowed));
        }
        for condition in conditions(group.cells) {
            let allowed = slots(self.sheet, group.cells, |cell| cell == SheetCell::Cond(condition));
            let words = self.sheet.conditions.get(condition).map_or("", String::as_str);

            let doc = format!("{} may, if: {words}", allowed.join(", "));
            text.push_str(&self.permit(group, SheetCell::Cond(condition), &doc, &allowed));
        }
        text
    }

    fn permit(
        &self,
        group: &ActionGroup<'_>,
        cell: SheetCell,
        doc: &str,
        slots: &[&str],
    ) -> String {
        let actions: Vec<_> =
            group.rows.iter().map(|row| format!("Action::{}", quoted(&row.action.name))).collect();
        let action = match actions.as_slice() {
            [one] => format!("== {one}"),
            several => format!("in [{}]", several.join(", ")),
        };
        let slots: Vec<_> = slots.iter().map(|slot| format!("resource.{slot}")).collect();
        let holds = match slots.as_slice() {
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        let condition = match cell {
            SheetCell::Cond(condition) => {
                let fact = fact(condition);
                format!("\nwhen {{ context has {fact} && context.{fact} }}")
            }
            SheetCell::Allow | SheetCell::Deny => String::new(),
        };
        format!(
            "\n@id({})\n@doc({})\npermit (principal, action {action}, resource)\n\
             when {{ principal in {holds} }}{condition};\n",
            quoted(&group.policy_id(cell)),
            quoted(doc),
        )
    }

    fn matrix(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let roles = self.sheet.roles.iter().map(|role| role.name.as_str());
        let header = ["scope", "action", "label"].into_iter().chain(roles);
        // Writing to memory does not fail.
        let _ = writer.write_record(header.chain(["condition", "source"]));
        for row in &self.sheet.rows {
            let cells = row.cells.iter().map(|cell| match cell {
                SheetCell::Allow => "allow",
                SheetCell::Deny => "deny",
                SheetCell::Cond(_) => "cond",
            });
            let words = self.words(row);
            let scope = self.scope_of(row);
            let fields = [scope.as_str(), &row.action.name, &row.label].into_iter().chain(cells);
            let _ = writer.write_record(fields.chain([words.as_str(), &row.source]));
        }
        let bytes = writer.into_inner().unwrap_or_default();
        String::from_utf8(bytes).unwrap_or_default()
    }

    /// The words of the conditions of a row.
    fn words(&self, row: &SheetRow) -> String {
        let conditions = conditions(&row.cells).into_iter();
        let words = conditions.filter_map(|condition| self.sheet.conditions.get(condition));
        let words: Vec<_> = words.map(String::as_str).collect();
        if words.is_empty() { row.condition.clone() } else { words.join("; ") }
    }

    fn scope_of(&self, row: &SheetRow) -> String {
        if row.scope.is_empty() { self.scope.to_lowercase() } else { row.scope.clone() }
    }

    fn matrix_meaning(&self) -> String {
        let scope = self.scope;
        let mut text =
            "# What the cells of matrix.csv mean as requests: alice asks, and holds the \
                        role of the column.\n"
                .to_owned();
        let scopes: BTreeSet<_> = self.sheet.rows.iter().map(|row| self.scope_of(row)).collect();
        for name in scopes {
            let _ =
                writeln!(text, "\n[scopes.{}]\nresource = '{scope}::\"1\"'", quoted_toml(&name));
        }
        for role in &self.sheet.roles {
            let name = &role.name;
            let _ = writeln!(
                text,
                "\n[columns.{name}]\nprincipal = 'User::\"alice\"'\n\
                 roles = [{{ role = \"{name}\" }}]"
            );
        }
        for group in &self.groups {
            for condition in conditions(group.cells) {
                let columns =
                    slots(self.sheet, group.cells, |cell| cell == SheetCell::Cond(condition));
                let words = self.sheet.conditions.get(condition).map_or("", String::as_str);
                let fact = fact(condition);
                let _ = writeln!(
                    text,
                    "\n[[cond]]\nname = {}\ncolumns = {}\nactions = {}\n\
                     allow = {{ context = {{ {fact} = true }} }}\n\
                     deny = [\n  {{ name = \"it is not sent\" }},\n  \
                     {{ name = \"it is false\", context = {{ {fact} = false }} }},\n]",
                    quoted_toml(words),
                    list(columns.into_iter()),
                    list(group.rows.iter().map(|row| row.action.name.as_str())),
                );
            }
        }
        text
    }

    /// Names the mutants that no test can notice: a policy that grants nothing more where it is
    /// about every action.
    fn mutants(&self) -> String {
        let mut text = "# Mutants that change no decision.\n".to_owned();
        for group in &self.groups {
            let conditions = conditions(group.cells).into_iter().map(SheetCell::Cond);
            for cell in std::iter::once(SheetCell::Allow).chain(conditions) {
                let mut others = self.groups.iter().filter(|other| other.name != group.name);
                if !group.cells.contains(&cell) || !others.all(|other| covers(other, group, cell)) {
                    continue;
                }
                let id = quoted_toml(&format!("{}/widen-action", group.policy_id(cell)));
                let reason = match cell {
                    SheetCell::Cond(_) => {
                        "The same roles may do the other actions, or those lack the condition."
                    }
                    SheetCell::Allow | SheetCell::Deny => {
                        "The same roles may do all other actions."
                    }
                };
                let _ = writeln!(text, "\n[[equivalent]]\nmutant = {id}\nreason = \"{reason}\"");
            }
        }
        text
    }

    fn tests(&self) -> String {
        let scope = self.scope;
        let mut text = "# Rules that the matrix does not show.\n".to_owned();
        let roles =
            self.sheet.roles.iter().map(|role| {
                format!("  {{ role = \"{}\", scope = '{scope}::\"2\"' }},\n", role.name)
            });
        let roles: String = roles.collect();
        for (index, group) in self.groups.iter().enumerate() {
            let context = conditions(group.cells);
            let context =
                context.into_iter().map(|condition| format!("{} = true", fact(condition)));
            let context = match context.collect::<Vec<_>>().join(", ").as_str() {
                "" => String::new(),
                facts => format!("context = {{ {facts} }}\n"),
            };
            let actions = group.rows.iter().map(|row| row.action.name.as_str());
            let actions: Vec<_> = actions.map(asked).collect();
            let _ = writeln!(
                text,
                "\n[[case]]\nname = \"{}. a role on another {scope} allows nothing here\"\n\
                 principal = 'User::\"alice\"'\nroles = [\n{roles}]\nresource = '{scope}::\"1\"'\n\
                 {context}deny = {}",
                index + 1,
                list(actions.iter().map(String::as_str)),
            );
        }
        text
    }

    fn readme(&self) -> String {
        let mut text = format!(
            "# A policy store made of a spreadsheet\n\n\
             Roles are held on a `{}`. `matrix.csv` is the spreadsheet, and `humbaba test` holds \
             the policies to it.\n",
            self.scope
        );
        if self.sheet.conditions.is_empty() {
            return text;
        }
        text.push_str(
            "\nThe spreadsheet has conditions in words. Each is a fact of the request until \
             somebody writes it as a policy: replace `context.condition_…` in the policies, the \
             schema and `matrix.toml` by what the words say.\n\n| fact | words |\n|---|---|\n",
        );
        for (condition, words) in self.sheet.conditions.iter().enumerate() {
            let words = words.replace('\\', "\\\\").replace('|', "\\|");
            let _ = writeln!(text, "| `context.{}` | {words} |", fact(condition));
        }
        text
    }
}

/// The fact of the request that stands for a condition.
fn fact(condition: usize) -> String {
    format!("condition_{}", condition + 1)
}

/// A string as Cedar reads it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}

/// A name in a comment, in one line.
fn shown(text: &str) -> String {
    text.escape_debug().to_string()
}

/// An action as test files name it. An id that could be read as an entity is written in full.
fn asked(action: &str) -> String {
    if action.ends_with('"') { format!("Action::{}", quoted(action)) } else { action.to_owned() }
}

fn list<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let texts: Vec<_> = texts.map(quoted_toml).collect();
    format!("[{}]", texts.join(", "))
}

/// A string as TOML reads it, which may be a key.
fn quoted_toml(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\U{:08X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
