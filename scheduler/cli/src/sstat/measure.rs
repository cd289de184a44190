//! What the tasks of a step use, over all of its nodes.

use squall_types::visit::LiveTask;
use squall_types::{NodeName, Span, size, span_text};

/// One line of `sstat`.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub id: String,
    pub nodes: Vec<NodeName>,
    /// Each with its node.
    pub tasks: Vec<(NodeName, LiveTask)>,
}

/// One thing that is measured of a task, and how its numbers are written.
#[derive(Clone, Copy)]
pub struct Measure {
    /// As TRES call it.
    pub name: &'static str,
    of: fn(&LiveTask) -> u64,
    /// Of the largest ever, where that is known.
    peak: fn(&LiveTask) -> u64,
    write: fn(u64) -> String,
}

pub const CPU: Measure = Measure { name: "cpu", of: cpu, peak: cpu, write: time };
pub const READ: Measure =
    Measure { name: "fs/disk", of: |task| task.read_bytes, peak: |task| task.read_bytes, write: bytes };
pub const WRITTEN: Measure =
    Measure { name: "fs/disk", of: |task| task.written_bytes, peak: |task| task.written_bytes, write: bytes };
pub const RSS: Measure =
    Measure { name: "mem", of: |task| task.rss_kib, peak: |task| task.max_rss_kib, write: size::kib };
pub const PAGES: Measure =
    Measure { name: "pages", of: |task| task.pages, peak: |task| task.pages, write: |count| count.to_string() };
pub const VM: Measure = Measure { name: "vmem", of: |task| task.vm_kib, peak: |task| task.vm_kib, write: size::kib };

/// In the order in which TRES are listed: by name.
pub const IN: [Measure; 5] = [CPU, READ, RSS, PAGES, VM];
pub const OUT: [Measure; 1] = [WRITTEN];

fn cpu(task: &LiveTask) -> u64 {
    u64::try_from((task.user_cpu + task.system_cpu).as_millis()).unwrap_or(0)
}

fn time(millis: u64) -> String {
    span_text::clock(Span::from_millis(i64::try_from(millis).unwrap_or(i64::MAX)))
}

/// `5304`, `5.18K`, `2.11M`.
fn bytes(count: u64) -> String {
    let (mut amount, mut unit) = (count as f64, "");
    for larger in ["K", "M", "G", "T", "P"] {
        if amount < 1024.0 {
            break;
        }
        (amount, unit) = (amount / 1024.0, larger);
    }
    if unit.is_empty() || amount.fract() == 0.0 { format!("{amount:.0}{unit}") } else { format!("{amount:.2}{unit}") }
}

impl Measure {
    pub fn average(self, row: &Row) -> String {
        (self.write)(self.sum(row) / (row.tasks.len() as u64).max(1))
    }

    fn sum(self, row: &Row) -> u64 {
        row.tasks.iter().map(|(_, task)| (self.of)(task)).sum()
    }

    pub fn total(self, row: &Row) -> String {
        (self.write)(self.sum(row))
    }

    /// The task that uses most. Of equals the first.
    fn most(self, row: &Row) -> Option<&(NodeName, LiveTask)> {
        row.tasks.iter().rev().max_by_key(|(_, task)| (self.peak)(task))
    }

    fn least(self, row: &Row) -> Option<&(NodeName, LiveTask)> {
        row.tasks.iter().min_by_key(|(_, task)| (self.of)(task))
    }

    pub fn max(self, row: &Row) -> String {
        self.most(row).map_or_else(String::new, |(_, task)| (self.write)((self.peak)(task)))
    }

    pub fn max_node(self, row: &Row) -> String {
        self.most(row).map_or_else(String::new, |(node, _)| node.to_string())
    }

    pub fn max_task(self, row: &Row) -> String {
        self.most(row).map_or_else(String::new, |(_, task)| task.rank.to_string())
    }

    pub fn min(self, row: &Row) -> String {
        self.least(row).map_or_else(String::new, |(_, task)| (self.write)((self.of)(task)))
    }

    pub fn min_node(self, row: &Row) -> String {
        self.least(row).map_or_else(String::new, |(node, _)| node.to_string())
    }

    pub fn min_task(self, row: &Row) -> String {
        self.least(row).map_or_else(String::new, |(_, task)| task.rank.to_string())
    }
}

/// `cpu=00:00:01,fs/disk=0,…`: one of the sayings above for each measure.
pub fn tres(measures: &[Measure], row: &Row, say: fn(Measure, &Row) -> String) -> String {
    measures.iter().map(|measure| format!("{}={}", measure.name, say(*measure, row))).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_and_extremes_say_where_they_were_found() {
        let task = |rank, rss_kib, seconds| LiveTask {
            rank,
            rss_kib,
            max_rss_kib: rss_kib * 2,
            user_cpu: Span::from_secs(seconds),
            read_bytes: 5304,
            ..LiveTask::default()
        };
        let tasks =
            vec![("n1".into(), task(0, 1000, 5)), ("n2".into(), task(1, 3000, 1)), ("n2".into(), task(2, 3000, 9))];
        let row = Row { id: "7.0".to_owned(), nodes: vec!["n1".into(), "n2".into()], tasks };
        assert_eq!((RSS.average(&row), RSS.max(&row)), ("2333K".to_owned(), "6000K".to_owned()));
        assert_eq!((RSS.max_node(&row), RSS.max_task(&row)), ("n2".to_owned(), "1".to_owned()), "of equals the first");
        assert_eq!((CPU.average(&row), CPU.min(&row)), ("00:00:05".to_owned(), "00:00:01".to_owned()));
        assert_eq!((CPU.min_node(&row), CPU.min_task(&row)), ("n2".to_owned(), "1".to_owned()));
        assert_eq!(READ.total(&row), "15.54K");
        assert_eq!(tres(&IN, &row, Measure::max_task), "cpu=2,fs/disk=0,mem=1,pages=0,vmem=0");
    }

    #[test]
    fn amounts_of_bytes_read_as_in_slurm() {
        assert_eq!([0, 1023, 1024, 5304, 1 << 21].map(bytes), ["0", "1023", "1K", "5.18K", "2M"]);
    }
}
