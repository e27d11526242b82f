//! The names under which things are sent.

use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;

use super::Variables;

/// The scope of everything that is sent.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("humbaba").with_version(env!("CARGO_PKG_VERSION")).build()
}

/// The sender of everything that is sent: `service.name` is `humbaba` unless the environment names
/// it.
pub(super) fn resource(variables: &Variables) -> Resource {
    let mut resource = Resource::builder();
    if !variables.name_service() {
        resource = resource.with_service_name("humbaba");
    }
    resource.with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))).build()
}
