//! A small store to fuzz against, and files in one text.

#![allow(dead_code)]

use std::sync::Arc;

use humbaba::store::{Bounds, PolicyStore, StoreFiles};

const SCHEMA: &str = r#"
namespace Garden {
    @role entity Role;
    entity Group in [Group, Role];
    entity User in [Role, Group] { trial_ends?: datetime } tags String;
    entity Team { owner: Role, active?: Bool };
    entity Plan enum ["free", "paid"];
    entity Instance = { admin: Role };
    entity Site in [Team] { viewer: Role, editor: Role, team?: Team, frozen?: Bool, plan?: Plan };
    type Facts = {
        now?: datetime,
        reason?: String,
        target?: User,
        level?: Long,
        price?: decimal,
        address?: ipaddr,
        wait?: duration,
        labels?: Set<String>,
        deep?: Set<Set<Set<Long>>>,
        place?: { room: Long, keeper?: User },
    };
    action "site.edit", "site.view" appliesTo {
        principal: [User, Group], resource: [Site], context: Facts,
    };
    action "site.rename" in ["site.edit"] appliesTo {
        principal: [User], resource: [Site], context: Facts,
    };
    action "team.close" appliesTo { principal: [User], resource: [Team], context: {} };
}
"#;

const POLICIES: &str = r#"
@id("site-view")
permit (principal, action == Garden::Action::"site.view", resource)
when { principal in [resource.viewer, resource.editor] };
@id("site-edit")
permit (principal, action in Garden::Action::"site.edit", resource)
when { principal in resource.editor || (resource has team && principal in resource.team.owner) };
@id("site-frozen")
@advice("Ask the owner of the team to thaw it.")
forbid (principal, action == Garden::Action::"site.edit", resource)
when { resource has frozen && resource.frozen };
@id("site-facts")
permit (principal is Garden::User, action == Garden::Action::"site.view", resource)
when {
    (context has level && context.level * 3 + 1 > 100)
    || (context has price && context.price.greaterThan(decimal("12.5")))
    || (context has address && context.address.isInRange(ip("10.0.0.0/8")))
    || (context has now && context has wait && context.now.offset(context.wait) > datetime("2026-01-01"))
    || (context has labels && context.labels.containsAny(["a", "b"]))
    || (context has deep && context.deep.contains([[1]]))
    || (context has reason && context.reason like "a*b*c")
    || (context has place && context.place has keeper && principal == context.place.keeper)
    || (principal.hasTag("level") && principal.getTag("level") == "high")
};
@id("team-close")
permit (principal, action == Garden::Action::"team.close", resource)
when { principal in resource.owner && resource has active && resource.active };
@id("admin")
permit (principal in Garden::Role::"Instance::main#admin", action, resource);
"#;

/// The small store with those files more, if they let it be valid.
pub fn store(more: &[(String, Arc<[u8]>)]) -> Option<PolicyStore> {
    let own = [("schema.cedarschema", SCHEMA), ("policies.cedar", POLICIES)];
    let own = own.map(|(path, text)| (path.to_owned(), Arc::from(text.as_bytes())));
    let files = own.into_iter().chain(more.iter().cloned());
    let files = StoreFiles::new("garden".parse().unwrap(), files);
    PolicyStore::load(Arc::new(files), &Bounds::default()).ok()
}

/// Returns whether a file would change the small store itself.
pub fn is_of_the_store(path: &str) -> bool {
    !(path.starts_with("tests/") || path == "matrix.csv" || path == "matrix.toml")
}

/// The files in a text, each after a line `=== path`.
pub fn files(text: &str) -> impl Iterator<Item = (String, Arc<[u8]>)> + '_ {
    text.split("=== ").skip(1).map(|file| {
        let (path, content) = file.split_once('\n').unwrap_or((file, ""));
        (path.to_owned(), Arc::from(content.as_bytes()))
    })
}
