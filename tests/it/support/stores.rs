//! Small policy stores in memory.

use std::sync::Arc;

use humbaba::store::{Bounds, PolicyStore, StoreFiles};

/// A store of those files.
pub fn store(name: &str, files: &[(&str, &str)]) -> Arc<PolicyStore> {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), Arc::from(text.as_bytes())));
    let files = StoreFiles::new(name.parse().unwrap(), files);
    match PolicyStore::load(Arc::new(files), &Bounds::default()) {
        Ok(store) => Arc::new(store),
        Err(problems) => {
            let problems: Vec<_> = problems.iter().map(|problem| problem.render()).collect();
            panic!("the store `{name}` is not valid:\n{}", problems.join("\n"));
        }
    }
}

/// The store that most tests ask: sites with roles, groups, teams and one of everything.
pub fn acme() -> Arc<PolicyStore> {
    acme_as("acme", "")
}

/// The same store with another name and more policies.
pub fn acme_as(name: &str, more_policies: &str) -> Arc<PolicyStore> {
    store(
        name,
        &[
            ("schema.cedarschema", SCHEMA),
            ("policies.cedar", &format!("{POLICIES}{more_policies}")),
            ("fixed.cedarentities.json", ENTITIES),
        ],
    )
}

/// The same store with more files.
pub fn acme_with(more: &[(&str, &str)]) -> Arc<PolicyStore> {
    let files = [
        ("schema.cedarschema", SCHEMA),
        ("policies.cedar", POLICIES),
        ("fixed.cedarentities.json", ENTITIES),
    ];
    store("acme", &[&files, more].concat())
}

/// The same store without the role `editor` on sites.
pub fn acme_without_editors() -> Arc<PolicyStore> {
    let schema = SCHEMA.replace("editor: Role, ", "");
    let policies = POLICIES.replace("resource.editor, ", "").replace(", resource.editor", "");
    store("acme", &[("schema.cedarschema", &schema), ("policies.cedar", &policies)])
}

const SCHEMA: &str = r#"
namespace Acme {
    @role entity Role;
    entity Group in [Group, Role];
    entity User in [Group, Role] = { name?: String } tags String;
    entity ApiClient in [Role];
    entity Instance = { admin: Role };
    entity Team = { owner: Role, name?: String };
    entity Site = { owner: Role, editor: Role, viewer: Role, team?: Team, locked?: Bool };
    entity Plan enum ["free", "paid"];
    entity Form = { title: String, plan?: Plan };

    action "site.view" appliesTo { principal: [User, Group, ApiClient], resource: Site };
    action "site.edit" appliesTo { principal: [User, Group, ApiClient], resource: Site };
    action "site.goals.create" in ["site.edit"]
        appliesTo { principal: [User, Group, ApiClient], resource: Site };
    action "site.preview"
        appliesTo { principal: User, resource: Site, context: { now: datetime } };
    action "site.delete"
        appliesTo { principal: User, resource: Site, context: { reason: String } };
    action "site.count"
        appliesTo { principal: User, resource: Site, context: { amount: Long } };
    action "site.any";
    action "team.view" appliesTo { principal: User, resource: Team };
    action "form.send" appliesTo {
        principal: User,
        resource: Form,
        context: {
            bool?: Bool, long?: Long, string?: String, site?: Site, numbers?: Set<Long>,
            record?: { text: String, more?: Long }, decimal?: decimal, ip?: ipaddr,
            datetime?: datetime, duration?: duration,
            d2?: Set<Set<Long>>, d3?: Set<Set<Set<Long>>>,
        },
    };
}
"#;

const POLICIES: &str = r#"
@id("site-view")
@doc("Everyone with a role on the site may look at it.")
permit (principal, action == Acme::Action::"site.view", resource is Acme::Site)
when { principal in [resource.owner, resource.editor, resource.viewer] };

@id("site-edit")
permit (principal, action in Acme::Action::"site.edit", resource is Acme::Site)
when { principal in [resource.owner, resource.editor] };

@id("site-delete")
permit (principal, action == Acme::Action::"site.delete", resource is Acme::Site)
when { principal in resource.owner && context.reason != "" };

@id("team-owner")
permit (principal, action in [Acme::Action::"site.view", Acme::Action::"site.edit"], resource is Acme::Site)
when { resource has team && principal in resource.team.owner };

@id("team-view")
permit (principal, action == Acme::Action::"team.view", resource is Acme::Team)
when { principal in resource.owner };

@id("admin")
permit (principal in Acme::Role::"Instance::main#admin", action, resource);

@id("locked")
@advice("Unlock the site first.")
forbid (principal, action in Acme::Action::"site.edit", resource is Acme::Site)
when { resource has locked && resource.locked };

@id("preview")
permit (principal, action == Acme::Action::"site.preview", resource is Acme::Site)
when { context.now < datetime("2999-01-01") };

@id("preview-by-role")
permit (principal in Acme::Role::"Instance::main#admin", action == Acme::Action::"site.preview", resource);

@id("count")
permit (principal, action == Acme::Action::"site.count", resource);

@id("count-not-too-much")
forbid (principal, action == Acme::Action::"site.count", resource)
when { context.amount + 1 > 100 };

@id("form-bool")
permit (principal, action == Acme::Action::"form.send", resource) when { context has bool && context.bool };
@id("form-long")
permit (principal, action == Acme::Action::"form.send", resource) when { context has long && context.long == -7 };
@id("form-string")
permit (principal, action == Acme::Action::"form.send", resource) when { context has string && context.string == "text" };
@id("form-site")
permit (principal, action == Acme::Action::"form.send", resource) when { context has site && context.site == Acme::Site::"1" };
@id("form-numbers")
permit (principal, action == Acme::Action::"form.send", resource) when { context has numbers && context.numbers.containsAll([1, 2]) };
@id("form-record")
permit (principal, action == Acme::Action::"form.send", resource) when { context has record && context.record.text == "text" };
@id("form-decimal")
permit (principal, action == Acme::Action::"form.send", resource) when { context has decimal && context.decimal.greaterThan(decimal("12.49")) };
@id("form-ip")
permit (principal, action == Acme::Action::"form.send", resource) when { context has ip && context.ip.isInRange(ip("10.0.0.0/8")) };
@id("form-datetime")
permit (principal, action == Acme::Action::"form.send", resource) when { context has datetime && context.datetime == datetime("2026-01-31T09:00:00.123Z") };
@id("form-duration")
permit (principal, action == Acme::Action::"form.send", resource) when { context has duration && context.duration == duration("-1s500ms") };
@id("form-title")
permit (principal, action == Acme::Action::"form.send", resource) when { resource.title == "open" };
@id("form-plan")
permit (principal, action == Acme::Action::"form.send", resource) when { resource has plan && resource.plan == Acme::Plan::"paid" };
@id("form-tag")
permit (principal, action == Acme::Action::"form.send", resource) when { principal.hasTag("level") && principal.getTag("level") == "high" };
"#;

const ENTITIES: &str = r#"[
    { "uid": { "type": "Acme::Team", "id": "fixed" }, "attrs": {}, "parents": [] }
]"#;
