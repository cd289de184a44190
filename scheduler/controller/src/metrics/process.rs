//! What the shell counts: calls, provider calls, alerts.

use super::families::{Distribution, Families, Kind};
use crate::meters::Meters;
use squall_provisioner::metering::BUCKET_BOUNDS;
use squall_types::Span;

pub(super) fn write(out: &mut Families, meters: &Meters) {
    let mut family = out.family(Kind::Counter, "squall_requests_total", "Calls of clients and agents.");
    for (verb, count) in meters.calls() {
        family.sample(&[("verb", &format!("{verb:?}"))], count as f64);
    }
    let counters = [
        ("squall_joins_refused_total", "Machines that were not let in.", meters.refused_joins()),
        ("squall_alerts_total", "Alerts that an operator should have seen.", meters.alerts()),
        ("squall_agents_revived_total", "Local agents that died and were started again.", meters.revived()),
        (
            "squall_accept_failures_total",
            "Times that a connection could not be taken: no file descriptors or no memory.",
            meters.failed_accepts(),
        ),
        ("squall_reloads_total", "Configurations that were read again and hold.", meters.reloads()),
    ];
    for (name, help, value) in counters {
        out.one(Kind::Counter, name, help, value as f64);
    }
    let help = "What comes may wait so long for company: 0 where the machine has processors to spare.";
    out.one(Kind::Gauge, "squall_gathering_seconds", help, meters.pace.width().as_secs_f64());
    programs(out, meters);
    providers(out, meters);
}

fn programs(out: &mut Families, meters: &Meters) {
    let programs = meters.programs();
    let mut family = out.family(Kind::Gauge, "squall_provisioner_up", "1 while a pool's provisioner answers.");
    for (pool, health) in &programs {
        family.sample(&[("pool", pool.as_str())], f64::from(u8::from(health.up)));
    }
    let help = "Processes of a provisioner that were started.";
    let mut family = out.family(Kind::Counter, "squall_provisioner_starts_total", help);
    for (pool, health) in &programs {
        family.sample(&[("pool", pool.as_str())], health.starts as f64);
    }
    let help = "Times that a provisioner was lost: it ended, hung, was refused, or could not be started.";
    let mut family = out.family(Kind::Counter, "squall_provisioner_outages_total", help);
    for (pool, health) in &programs {
        for (why, count) in health.outages {
            family.sample(&[("pool", pool.as_str()), ("why", why)], count as f64);
        }
    }
}

fn providers(out: &mut Families, meters: &Meters) {
    let seconds = |span: Span| span.as_millis() as f64 / 1000.0;
    let mut calls = Vec::new();
    for (pool, meter) in meters.providers() {
        for ((verb, outcome), series) in &meter.snapshot().series {
            let labels = [("pool", pool.as_str()), ("verb", verb.word()), ("outcome", outcome.word())];
            calls.push(Distribution {
                labels: labels.map(|(name, value)| (name, value.to_owned())).to_vec(),
                bounds: BUCKET_BOUNDS.iter().copied().map(seconds).collect(),
                counts: series.buckets.to_vec(),
                sum: seconds(series.total),
            });
        }
    }
    out.histograms("squall_provider_call_seconds", "Calls to providers by outcome.", calls);
}
