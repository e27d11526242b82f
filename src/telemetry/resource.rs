//! The resource and the scope that spans, metrics and log records are sent with.

use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;

use super::Variables;

/// The instrumentation scope of everything that is sent.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("humbaba").with_version(env!("CARGO_PKG_VERSION")).build()
}

/// Returns the resource of everything that is sent: `service.name` is `humbaba` unless the environment
/// names it.
pub(super) fn resource(variables: &Variables) -> Resource {
    let mut resource = Resource::builder();
    if !variables.name_service() {
        resource = resource.with_service_name("humbaba");
    }
    resource.with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))).build()
}
