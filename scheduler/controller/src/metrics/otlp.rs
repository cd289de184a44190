//! The same metrics as OTLP has them. The SDK's own instruments are no use here: they keep what was once seen, and a
//! partition or node that is gone would be told for ever.

use super::families::{Distribution, Families, Family, Labels, Points, Sample};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

/// When the process began to count, and when it was asked, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub from: u64,
    pub to: u64,
}

/// Everything in one message. `about` is what is said of the process.
pub fn request(families: Families, about: &[(String, String)], span: Span) -> ExportMetricsServiceRequest {
    let attributes = about.iter().map(|(name, value)| attribute(name, value)).collect();
    let scope = InstrumentationScope {
        name: "squall".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let metrics = families.0.into_iter().filter_map(|family| metric(family, span)).collect();
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_metrics: vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: String::new() }],
            schema_url: String::new(),
        }],
    }
}

/// A family without any value is no metric.
fn metric(family: Family, span: Span) -> Option<Metric> {
    let numbers = |samples: Vec<Sample>, from: u64| -> Vec<NumberDataPoint> {
        samples.into_iter().map(|sample| number(sample, Span { from, ..span })).collect()
    };
    let sum = |data_points| Data::Sum(Sum { data_points, aggregation_temporality: CUMULATIVE, is_monotonic: true });
    let data = match family.points {
        Points::Gauges(samples) if !samples.is_empty() => {
            Data::Gauge(Gauge { data_points: numbers(samples, span.from) })
        }
        Points::Counters(samples) if !samples.is_empty() => sum(numbers(samples, span.from)),
        // When the cluster began is not known here: zero says so, and a new start is no new beginning.
        Points::Lasting(samples) if !samples.is_empty() => sum(numbers(samples, 0)),
        Points::Histograms(all) if !all.is_empty() => Data::Histogram(Histogram {
            data_points: all.into_iter().map(|one| histogram(one, span)).collect(),
            aggregation_temporality: CUMULATIVE,
        }),
        _ => return None,
    };
    Some(Metric {
        name: family.name.to_owned(),
        description: family.help.to_owned(),
        unit: unit(family.name).to_owned(),
        metadata: Vec::new(),
        data: Some(data),
    })
}

fn number(sample: Sample, span: Span) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(sample.labels),
        start_time_unix_nano: span.from,
        time_unix_nano: span.to,
        value: Some(Number::AsDouble(sample.value)),
        ..NumberDataPoint::default()
    }
}

fn histogram(one: Distribution, span: Span) -> HistogramDataPoint {
    HistogramDataPoint {
        start_time_unix_nano: span.from,
        time_unix_nano: span.to,
        count: one.count(),
        sum: Some(one.sum),
        attributes: attributes(one.labels),
        bucket_counts: one.counts,
        explicit_bounds: one.bounds,
        ..HistogramDataPoint::default()
    }
}

fn attributes(labels: Labels) -> Vec<KeyValue> {
    labels.iter().map(|(name, value)| attribute(name, value)).collect()
}

fn attribute(name: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    KeyValue { key: name.to_owned(), value: Some(value), ..KeyValue::default() }
}

/// As UCUM writes what the name ends in.
fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    match name.rsplit('_').next() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        Some("dollars") => "{USD}",
        _ => "1",
    }
}
