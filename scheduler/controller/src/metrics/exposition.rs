//! The text format of Prometheus.

use super::families::{Distribution, Families, Labels, Points};
use std::fmt::Write;

/// All families in the order in which they were gathered.
pub fn text(families: &Families) -> String {
    let mut text = String::new();
    for family in &families.0 {
        let (name, help) = (family.name, family.help);
        let kind = match family.points {
            Points::Gauges(_) => "gauge",
            Points::Counters(_) | Points::Lasting(_) => "counter",
            Points::Histograms(_) => "histogram",
        };
        line(&mut text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
        match &family.points {
            Points::Gauges(samples) | Points::Counters(samples) | Points::Lasting(samples) => samples
                .iter()
                .for_each(|sample| line(&mut text, format_args!("{name}{} {}", braced(&sample.labels), sample.value))),
            Points::Histograms(all) => all.iter().for_each(|one| histogram(&mut text, name, one)),
        }
    }
    text
}

fn histogram(text: &mut String, name: &str, one: &Distribution) {
    let bounds = one.bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
    let mut below = 0;
    for (bound, count) in bounds.zip(&one.counts) {
        below += count;
        let labels = [one.labels.clone(), vec![("le", bound)]].concat();
        line(text, format_args!("{name}_bucket{} {below}", braced(&labels)));
    }
    line(text, format_args!("{name}_sum{} {}", braced(&one.labels), one.sum));
    line(text, format_args!("{name}_count{} {}", braced(&one.labels), one.count()));
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to memory cannot fail");
}

fn braced(labels: &Labels) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{{}}}", labels.join(","))
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::super::families::Kind;
    use super::*;

    #[test]
    fn what_a_user_named_cannot_break_a_line() {
        let mut families = Families::default();
        let mut family = families.family(Kind::Gauge, "squall_jobs", "Jobs.");
        family.sample(&[("partition", "a\"b\\c\nd"), ("state", "pending")], 3.0);
        family.sample(&[], 0.5);
        assert_eq!(
            text(&families),
            "# HELP squall_jobs Jobs.\n# TYPE squall_jobs gauge\n\
             squall_jobs{partition=\"a\\\"b\\\\c\\nd\",state=\"pending\"} 3\nsquall_jobs 0.5\n"
        );
    }

    #[test]
    fn buckets_are_told_as_what_lies_below_them() {
        let mut families = Families::default();
        let (labels, bounds) = (vec![("verb", "list".to_owned())], vec![0.01, 1.0]);
        families.histograms(
            "squall_x_seconds",
            "X.",
            vec![Distribution { labels, bounds, counts: vec![2, 0, 1], sum: 5.5 }],
        );
        assert_eq!(
            text(&families),
            "# HELP squall_x_seconds X.\n# TYPE squall_x_seconds histogram\n\
             squall_x_seconds_bucket{verb=\"list\",le=\"0.01\"} 2\nsquall_x_seconds_bucket{verb=\"list\",le=\"1\"} 2\n\
             squall_x_seconds_bucket{verb=\"list\",le=\"+Inf\"} 3\nsquall_x_seconds_sum{verb=\"list\"} 5.5\n\
             squall_x_seconds_count{verb=\"list\"} 3\n"
        );
    }
}
