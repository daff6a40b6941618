//! `/metrics`: what a scrape shows, one table row for each metric.
//!
//! Counters were counted after the replies, gauges are read when they are asked for. Labels hold only
//! what the settings and the member list name, and few words: never a height, a hash or anything else
//! that a validator or a member could choose.

mod table;

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::durations::Durations;
use super::status::Status;
use super::tally::Tally;
use crate::types::{ChainId, UnixMillis};
use table::TABLE;

/// What the text of a scrape is.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a scrape is made of.
#[derive(Clone, Debug)]
pub struct Sample {
    /// As `/status` shows it.
    pub status: Status,
    /// What was answered.
    pub tally: Tally,
    /// When the process started.
    pub started: UnixMillis,
    /// How long the watermark's writes took.
    pub writes: BTreeMap<ChainId, Durations>,
}

/// One metric as it is documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its whole name.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// The labels of its series.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

/// One metric.
struct Metric {
    /// Counters without their `_total`.
    name: &'static str,
    kind: MetricType,
    labels: &'static [&'static str],
    help: &'static str,
    rows: fn(&Sample) -> Vec<Row>,
}

/// One series: the labels' values, and its own.
struct Row(Vec<String>, Value);

enum Value {
    Count(u64),
    Number(i64),
    Real(f64),
    Durations(Durations),
}

/// Every metric that is exported, in the order of the export.
pub fn descriptions() -> impl Iterator<Item = Description> {
    TABLE.iter().map(|metric| {
        let Metric { name, labels, help, .. } = *metric;
        let kind = match metric.kind {
            MetricType::Counter => "counter",
            MetricType::Histogram => "histogram",
            _ => "gauge",
        };
        Description { name, kind, labels, help }
    })
}

/// The text of a scrape.
pub(super) fn render(sample: Sample) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(sample));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

impl Collector for Sample {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in &TABLE {
            let mut family =
                encoder.encode_descriptor(metric.name, metric.help, None, metric.kind)?;
            for Row(values, value) in (metric.rows)(self) {
                if metric.labels.is_empty() {
                    value.encode(&mut family)?;
                    continue;
                }
                let labels: Vec<(&str, String)> =
                    metric.labels.iter().copied().zip(values).collect();
                value.encode(&mut family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

impl Value {
    fn encode(&self, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => encoder.encode_counter::<NoLabelSet, _, u64>(count, None),
            Self::Number(number) => encoder.encode_gauge(number),
            Self::Real(real) => encoder.encode_gauge(real),
            Self::Durations(it) => {
                encoder.encode_histogram::<NoLabelSet>(it.sum(), it.count(), &it.buckets(), None)
            }
        }
    }
}

#[cfg(test)]
mod tests;
