//! The report as text: a row for each figure, a column for each who played.

use super::report::{Compared, Configuration, Report};
use crate::terminal::escaped;
use squall_sim::whatif::Outcome;
use squall_types::MicroUsd;
use std::fmt::Write;

/// Of what a difference is a percentage.
type Measured = fn(&Outcome) -> f64;

/// A figure: what it is called, how it is shown, and what of it is compared.
struct Figure {
    name: &'static str,
    show: fn(&Outcome) -> String,
    compare: Option<Measured>,
}

const FIGURES: &[Figure] = &[
    Figure { name: "completed", show: |o| count(o.ends.completed as i64), compare: None },
    Figure { name: "timed out", show: |o| count(o.ends.timed_out as i64), compare: None },
    Figure { name: "refused", show: |o| count(o.ends.refused as i64), compare: None },
    Figure { name: "unfinished", show: |o| count(o.ends.unfinished as i64), compare: None },
    Figure { name: "wait mean", show: |o| time(o.wait.mean_ms), compare: Some(|o| o.wait.mean_ms as f64) },
    Figure { name: "wait p50", show: |o| time(o.wait.p50_ms), compare: Some(|o| o.wait.p50_ms as f64) },
    Figure { name: "wait p99", show: |o| time(o.wait.p99_ms), compare: Some(|o| o.wait.p99_ms as f64) },
    Figure {
        name: "turnaround mean",
        show: |o| time(o.turnaround.mean_ms),
        compare: Some(|o| o.turnaround.mean_ms as f64),
    },
    Figure {
        name: "bounded slowdown mean",
        show: |o| format!("{:.2}", o.bounded_slowdown.mean),
        compare: Some(|o| o.bounded_slowdown.mean),
    },
    Figure {
        name: "bounded slowdown p99",
        show: |o| format!("{:.2}", o.bounded_slowdown.p99),
        compare: Some(|o| o.bounded_slowdown.p99),
    },
    Figure {
        name: "most jobs queued",
        show: |o| count(o.peak_queued_jobs),
        compare: Some(|o| o.peak_queued_jobs as f64),
    },
    Figure { name: "GPU-hours bought", show: |o| hours(o.gpu_hours.bought), compare: Some(|o| o.gpu_hours.bought) },
    Figure { name: "GPU-hours used", show: |o| hours(o.gpu_hours.used), compare: None },
    Figure { name: "  of bought", show: |o| percent(o.gpu_hours.used, o.gpu_hours.bought), compare: None },
    Figure { name: "GPU-hours booting", show: |o| hours(o.gpu_hours.booting), compare: None },
    Figure { name: "GPU-hours idle nodes", show: |o| hours(o.gpu_hours.idle), compare: None },
    Figure { name: "GPU-hours beside jobs", show: |o| hours(o.gpu_hours.beside), compare: None },
    Figure { name: "cost", show: |o| money(o.cost_micro_usd), compare: Some(|o| o.cost_micro_usd as f64) },
    Figure {
        name: "cost per used GPU-hour",
        show: per_hour,
        compare: Some(|o| o.cost_per_used_gpu_hour().map_or(0.0, |cost| cost.0 as f64)),
    },
    Figure { name: "most nodes at once", show: |o| count(o.nodes.peak as i64), compare: Some(|o| o.nodes.peak as f64) },
    Figure { name: "nodes on average", show: |o| format!("{:.1}", o.nodes.mean), compare: Some(|o| o.nodes.mean) },
    Figure { name: "launches", show: |o| count(o.nodes.launches as i64), compare: None },
    Figure { name: "idle node-hours", show: |o| hours(o.nodes.idle_hours), compare: None },
    Figure {
        name: "free GPUs stranded",
        show: |o| percent(o.fragmentation.stranded, o.fragmentation.free_while_waiting),
        compare: None,
    },
    Figure {
        name: "free GPUs fragmented",
        show: |o| percent(o.fragmentation.expected, o.fragmentation.free),
        compare: None,
    },
    Figure { name: "over after", show: |o| time(o.elapsed_ms), compare: None },
];

/// The whole report. Each configuration has a table of its own where they would be too wide together.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    let trace = &report.trace;
    let _ = writeln!(
        text,
        "{}: {} jobs of {} accounts over {}",
        escaped(&trace.name),
        count(trace.jobs as i64),
        trace.accounts,
        time(trace.span_ms)
    );
    for assumption in &trace.assumptions {
        let _ = writeln!(text, "  {assumption}");
    }
    for configuration in &report.configurations {
        let _ = writeln!(text);
        table(&mut text, configuration);
    }
    foot(&mut text, report);
    text
}

fn table(text: &mut String, configuration: &Configuration) {
    let _ = writeln!(text, "{}", escaped(&configuration.name));
    let columns = &configuration.outcomes;
    let heads: Vec<String> = columns.iter().map(|column| column.outcome.policy.clone()).collect();
    let cells =
        |figure: &Figure| -> Vec<String> { columns.iter().map(|column| cell(figure, column, &columns[0])).collect() };
    let worth = |figure: &&Figure| {
        let plain = matches!(figure.name, "timed out" | "refused" | "unfinished");
        !plain || columns.iter().any(|column| (figure.show)(&column.outcome) != "0")
    };
    let rows: Vec<(&str, Vec<String>)> =
        FIGURES.iter().filter(worth).map(|figure| (figure.name, cells(figure))).collect();
    let width = |at: usize| {
        let cells = rows.iter().map(|(_, cells)| cells[at].chars().count());
        cells.chain([heads[at].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut line = |name: &str, cells: &[String]| {
        let _ = write!(text, "  {name:<22}");
        for (cell, width) in cells.iter().zip(&widths) {
            let _ = write!(text, "  {cell:>width$}");
        }
        let _ = writeln!(text);
    };
    line("", &heads);
    rows.iter().for_each(|(name, cells)| line(name, cells));
    let bounds = &configuration.bounds;
    let ideal =
        bounds.ideal_cost_micro_usd.map_or_else(|| "not known: there are nodes without a price".to_owned(), money);
    let _ = writeln!(
        text,
        "  no scheduler can: turnaround mean below {}, GPU-hours below {}, cost below {ideal}",
        time(bounds.mean_run_ms),
        hours(bounds.gpu_hours)
    );
    let _ = writeln!(
        text,
        "  if nothing waited: {} GPUs in use at most, {:.0} on average",
        count(bounds.peak_gpus as i64),
        bounds.mean_gpus
    );
    for column in columns {
        for (reason, jobs) in &column.outcome.reasons {
            let noun = if *jobs == 1 { "job" } else { "jobs" };
            let _ = writeln!(text, "  {}: {} {noun} {}", column.outcome.policy, count(*jobs as i64), escaped(reason));
        }
    }
}

/// A figure, and how much more or less it is than in the first column.
fn cell(figure: &Figure, column: &Compared, first: &Compared) -> String {
    let shown = (figure.show)(&column.outcome);
    let Some(compare) = figure.compare else { return shown };
    let (this, other) = (compare(&column.outcome), compare(&first.outcome));
    if std::ptr::eq(column, first) || other <= 0.0 || this <= 0.0 {
        return shown;
    }
    let change = (this / other - 1.0) * 100.0;
    match change {
        _ if change.abs() < 0.05 => format!("{shown} (=)"),
        _ if change >= 1_000.0 => format!("{shown} (×{:.0})", this / other),
        _ => format!("{shown} ({change:+.1} %)"),
    }
}

fn foot(text: &mut String, report: &Report) {
    if let [first, others @ ..] = report.configurations.as_slice()
        && !others.is_empty()
    {
        let _ = writeln!(text, "\nbeside {}:", escaped(&first.name));
        for other in others {
            let (Some(one), Some(two)) = (first.outcomes.first(), other.outcomes.first()) else { continue };
            let named = |name: &str| FIGURES.iter().find(|figure| figure.name == name);
            let shown = ["wait mean", "wait p99", "GPU-hours bought", "cost", "most nodes at once"];
            let shown =
                shown.into_iter().filter_map(named).map(|figure| format!("{} {}", figure.name, cell(figure, two, one)));
            let _ = writeln!(text, "  {}: {}", escaped(&other.name), shown.collect::<Vec<_>>().join(", "));
        }
    }
    let mut notes = vec![
        "Baselines run on nodes that are always on, as many as they need at most.",
        "Stranded: free GPUs on nodes where no waiting job fits, of all that are free while jobs wait.",
        "Fragmented: free GPUs times the share of all work that does not fit where they are.",
    ];
    if report
        .configurations
        .iter()
        .all(|configuration| configuration.outcomes.iter().all(|one| one.outcome.policy != "Squall"))
    {
        notes.truncate(1);
    }
    let _ = writeln!(text);
    notes.into_iter().for_each(|note| {
        let _ = writeln!(text, "{note}");
    });
}

fn per_hour(outcome: &Outcome) -> String {
    outcome.cost_per_used_gpu_hour().map_or_else(|| "-".to_owned(), |cost| cost.to_string())
}

/// `12,345`.
fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

fn hours(hours: f64) -> String {
    if hours >= 100.0 { count(hours.round() as i64) } else { format!("{hours:.1}") }
}

/// Dollars without cents from a thousand on.
fn money(micro: i64) -> String {
    if micro >= 1_000_000_000 {
        format!("${}", count((micro + 500_000) / 1_000_000))
    } else {
        MicroUsd(micro).to_string()
    }
}

fn percent(part: f64, whole: f64) -> String {
    if whole > 0.0 { format!("{:.1} %", part / whole * 100.0) } else { "-".to_owned() }
}

/// In the unit that leaves two or three figures.
fn time(ms: i64) -> String {
    let seconds = ms as f64 / 1_000.0;
    match seconds {
        _ if seconds < 0.0 => format!("-{}", time(-ms)),
        _ if seconds < 100.0 => format!("{seconds:.2} s"),
        _ if seconds < 6_000.0 => format!("{:.1} min", seconds / 60.0),
        _ if seconds < 360_000.0 => format!("{:.1} h", seconds / 3_600.0),
        _ => format!("{:.1} d", seconds / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_people_read_them() {
        assert_eq!(
            (count(82_247), count(999), count(-1_000_000)),
            ("82,247".into(), "999".into(), "-1,000,000".into())
        );
        let times = [20, 99_990, 120_000, 7_200_000, 432_000_000].map(time);
        assert_eq!(times, ["0.02 s", "99.99 s", "2.0 min", "2.0 h", "5.0 d"]);
        assert_eq!((money(1_234_567_890), money(999_000_000)), ("$1,235".to_owned(), "$999.00".to_owned()));
    }
}
