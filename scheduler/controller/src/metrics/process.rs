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
    providers(out, meters);
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
