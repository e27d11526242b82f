//! The metrics of a registry as OTLP writes them.
//!
//! The registry is the one place where all metrics meet, and what is counted for every decision is
//! nowhere else. So a collector gets what Prometheus gets, under the same names, histograms with all
//! their buckets.

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point::Value,
    },
    resource::v1::Resource,
};
use opentelemetry_sdk::Resource as SdkResource;
use prometheus::proto::{self, MetricFamily, MetricType};

/// When what is told was counted, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Period {
    /// When counting began.
    pub start: u64,
    /// Now.
    pub now: u64,
}

/// Everything that a registry holds, as one request.
pub(super) fn request(
    families: &[MetricFamily],
    resource: &SdkResource,
    period: Period,
) -> ExportMetricsServiceRequest {
    let scope_metrics = ScopeMetrics {
        scope: Some(InstrumentationScope {
            name: "humbaba".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        }),
        metrics: families.iter().filter_map(|family| metric(family, period)).collect(),
        ..ScopeMetrics::default()
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(proto(resource)),
            scope_metrics: vec![scope_metrics],
            ..ResourceMetrics::default()
        }],
    }
}

/// What sends, as it is sent.
pub(super) fn proto(resource: &SdkResource) -> Resource {
    let attributes = resource.iter().map(|(key, value)| text(key.as_str(), &value.as_str()));
    Resource { attributes: attributes.collect(), ..Resource::default() }
}

fn metric(family: &MetricFamily, period: Period) -> Option<Metric> {
    let samples = family.get_metric();
    let cumulative = AggregationTemporality::Cumulative.into();
    let data = match family.get_field_type() {
        MetricType::COUNTER => Data::Sum(Sum {
            data_points: samples
                .iter()
                .map(|sample| number(sample, sample.get_counter().get_value(), period))
                .collect(),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        MetricType::GAUGE => Data::Gauge(Gauge {
            data_points: samples
                .iter()
                .map(|sample| number(sample, sample.get_gauge().get_value(), period))
                .collect(),
        }),
        MetricType::HISTOGRAM => Data::Histogram(Histogram {
            data_points: samples.iter().map(|sample| histogram(sample, period)).collect(),
            aggregation_temporality: cumulative,
        }),
        // Nothing here makes them.
        MetricType::SUMMARY | MetricType::UNTYPED => return None,
    };
    let name = family.name();
    let unit = ["_seconds", "_seconds_total"].iter().any(|end| name.ends_with(end));
    let bytes = ["_bytes", "_bytes_total"].iter().any(|end| name.ends_with(end));
    Some(Metric {
        name: name.to_owned(),
        description: family.help().to_owned(),
        unit: if unit {
            "s"
        } else if bytes {
            "By"
        } else {
            ""
        }
        .to_owned(),
        data: Some(data),
        ..Metric::default()
    })
}

fn number(sample: &proto::Metric, value: f64, period: Period) -> NumberDataPoint {
    NumberDataPoint {
        attributes: labels(sample),
        start_time_unix_nano: period.start,
        time_unix_nano: period.now,
        value: Some(Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

/// Prometheus counts in each bucket all that is less than its bound, OTLP only what is in it.
fn histogram(sample: &proto::Metric, period: Period) -> HistogramDataPoint {
    let histogram = sample.get_histogram();
    let (mut explicit_bounds, mut bucket_counts) = (Vec::new(), Vec::new());
    let mut below = 0;
    for bucket in histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite()) {
        explicit_bounds.push(bucket.upper_bound());
        bucket_counts.push(bucket.cumulative_count().saturating_sub(below));
        below = bucket.cumulative_count();
    }
    bucket_counts.push(histogram.get_sample_count().saturating_sub(below));
    HistogramDataPoint {
        attributes: labels(sample),
        start_time_unix_nano: period.start,
        time_unix_nano: period.now,
        // What the buckets add up to, which the specification wants, even if a decision was counted
        // between reading the one and the other.
        count: bucket_counts.iter().sum(),
        sum: Some(histogram.get_sample_sum()),
        bucket_counts,
        explicit_bounds,
        ..HistogramDataPoint::default()
    }
}

fn labels(sample: &proto::Metric) -> Vec<KeyValue> {
    sample.get_label().iter().map(|label| text(label.name(), label.value())).collect()
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = any_value::Value::StringValue(value.to_owned());
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use prometheus::{HistogramOpts, IntCounterVec, Opts, Registry};

    use super::*;

    #[test]
    fn a_collector_gets_what_prometheus_gets() {
        let registry = Registry::new();
        let counter = IntCounterVec::new(Opts::new("c_total", "counts"), &["store"]).unwrap();
        let opts = HistogramOpts::new("h_seconds", "takes").buckets(vec![0.5, 1.0]);
        let histogram = prometheus::Histogram::with_opts(opts).unwrap();
        registry.register(Box::new(counter.clone())).unwrap();
        registry.register(Box::new(histogram.clone())).unwrap();
        counter.with_label_values(&["acme"]).inc_by(3);
        for value in [0.25, 0.75, 0.75, 2.0] {
            histogram.observe(value);
        }
        let resource = SdkResource::builder_empty().with_service_name("me").build();
        let period = Period { start: 1, now: 2 };
        let request = request(&registry.gather(), &resource, period);
        let [resource_metrics] = request.resource_metrics.as_slice() else { panic!() };
        assert_eq!(
            resource_metrics.resource.as_ref().unwrap().attributes,
            [text("service.name", "me")]
        );
        let [sum, histogram] = resource_metrics.scope_metrics[0].metrics.as_slice() else {
            panic!("{request:?}")
        };
        assert_eq!((sum.name.as_str(), sum.unit.as_str()), ("c_total", ""));
        let Some(Data::Sum(sum)) = &sum.data else { panic!("{sum:?}") };
        assert!(sum.is_monotonic);
        assert_eq!(sum.data_points[0].attributes, [text("store", "acme")]);
        assert_eq!(sum.data_points[0].value, Some(Value::AsDouble(3.0)));
        assert_eq!((histogram.name.as_str(), histogram.unit.as_str()), ("h_seconds", "s"));
        let Some(Data::Histogram(histogram)) = &histogram.data else { panic!("{histogram:?}") };
        let point = &histogram.data_points[0];
        assert_eq!(point.explicit_bounds, [0.5, 1.0]);
        assert_eq!(point.bucket_counts, [1, 2, 1]);
        assert_eq!((point.count, point.sum), (4, Some(3.75)));
    }
}
