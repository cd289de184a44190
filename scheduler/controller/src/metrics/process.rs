//! What the shell counts: calls, provider calls, alerts.

use super::exposition::{Exposition, Kind};
use crate::meters::Meters;
use squall_provisioner::metering::BUCKET_BOUNDS;

pub(super) fn write(out: &mut Exposition, meters: &Meters) {
    let mut family = out.family(Kind::Counter, "squall_requests_total", "Calls of clients and agents.");
    for (verb, count) in meters.calls() {
        family.sample(&[("verb", &format!("{verb:?}"))], count as f64);
    }
    let counters = [
        ("squall_joins_refused_total", "Machines that were not let in.", meters.refused_joins()),
        ("squall_alerts_total", "Alerts that an operator should have seen.", meters.alerts()),
        ("squall_agents_revived_total", "Local agents that died and were started again.", meters.revived()),
        ("squall_reloads_total", "Configurations that were read again and hold.", meters.reloads()),
    ];
    for (name, help, value) in counters {
        out.one(Kind::Counter, name, help, value as f64);
    }
    programs(out, meters);
    providers(out, meters);
}

fn programs(out: &mut Exposition, meters: &Meters) {
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

fn providers(out: &mut Exposition, meters: &Meters) {
    const NAME: &str = "squall_provider_call_seconds";
    out.line(format_args!("# HELP {NAME} Calls to providers by outcome.\n# TYPE {NAME} histogram"));
    for (pool, meter) in meters.providers() {
        for ((verb, outcome), series) in &meter.snapshot().series {
            let labels = format!("pool=\"{pool}\",verb=\"{verb}\",outcome=\"{}\"", outcome.word());
            let mut below = 0;
            let bounds = BUCKET_BOUNDS.iter().map(|bound| (bound.as_millis() as f64 / 1000.0).to_string());
            for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(series.buckets) {
                below += count;
                out.line(format_args!("{NAME}_bucket{{{labels},le=\"{bound}\"}} {below}"));
            }
            out.line(format_args!("{NAME}_sum{{{labels}}} {}", series.total.as_millis() as f64 / 1000.0));
            out.line(format_args!("{NAME}_count{{{labels}}} {}", series.calls));
        }
    }
}
