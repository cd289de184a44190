//! The text format of Prometheus.

use std::fmt::Write;

/// Families of metrics, one after the other.
#[derive(Default)]
pub(super) struct Exposition {
    text: String,
}

/// How a family's values move.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Gauge,
    /// Its name ends in `_total`.
    Counter,
}

/// The samples of one family.
pub(super) struct Family<'a> {
    out: &'a mut Exposition,
    name: &'a str,
}

impl Exposition {
    pub fn family<'a>(&'a mut self, kind: Kind, name: &'a str, help: &str) -> Family<'a> {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
        Family { out: self, name }
    }

    /// A family with one sample and no label.
    pub fn one(&mut self, kind: Kind, name: &str, help: &str, value: f64) {
        self.family(kind, name, help).sample(&[], value);
    }

    pub fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").expect("writing to memory cannot fail");
    }

    pub fn finish(self) -> String {
        self.text
    }
}

impl Family<'_> {
    pub fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let name = self.name;
        match labels.is_empty() {
            true => self.out.line(format_args!("{name} {value}")),
            false => self.out.line(format_args!("{name}{{{}}} {value}", labels.join(","))),
        }
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_named_cannot_break_a_line() {
        let mut out = Exposition::default();
        let mut family = out.family(Kind::Gauge, "squall_jobs", "Jobs.");
        family.sample(&[("partition", "a\"b\\c\nd"), ("state", "pending")], 3.0);
        family.sample(&[], 0.5);
        assert_eq!(
            out.finish(),
            "# HELP squall_jobs Jobs.\n# TYPE squall_jobs gauge\n\
             squall_jobs{partition=\"a\\\"b\\\\c\\nd\",state=\"pending\"} 3\nsquall_jobs 0.5\n"
        );
    }
}
