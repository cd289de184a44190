//! What the demo's jobs wrote into their output files, read back as evidence.

use std::collections::BTreeMap;

/// One task of the array, as it tells of itself in one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskReport {
    pub job: String,
    pub element: String,
    pub node: String,
    pub host: String,
    /// `CUDA_VISIBLE_DEVICES`.
    pub gpus: String,
    /// What the driver calls it; empty where GPUs are declared.
    pub device: String,
    pub began_ms: i64,
    pub ended_ms: i64,
    pub terms: u64,
    pub pi: String,
}

/// One rank of the gang, as it tells of itself in one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RankReport {
    pub rank: u32,
    pub node: String,
    pub peer: u32,
    pub peer_node: String,
    pub bytes: u64,
    /// SHA-256 of what went out and of what came in.
    pub sent: String,
    pub received: String,
    pub began_ms: i64,
}

const TASK: &str = "task";
const RANK: &str = "rank";

impl TaskReport {
    pub fn line(&self) -> String {
        let fields = [
            ("job", self.job.clone()),
            ("element", self.element.clone()),
            ("node", self.node.clone()),
            ("host", self.host.clone()),
            ("gpus", self.gpus.clone()),
            ("device", self.device.clone()),
            ("began_ms", self.began_ms.to_string()),
            ("ended_ms", self.ended_ms.to_string()),
            ("terms", self.terms.to_string()),
            ("pi", self.pi.clone()),
        ];
        write_line(TASK, &fields)
    }

    fn read(line: &str) -> Option<TaskReport> {
        let fields = read_line(TASK, line)?;
        let text = |name: &str| fields.get(name).map(|value| (*value).to_owned());
        Some(TaskReport {
            job: text("job")?,
            element: text("element")?,
            node: text("node")?,
            host: text("host")?,
            gpus: text("gpus")?,
            device: text("device")?,
            began_ms: fields.get("began_ms")?.parse().ok()?,
            ended_ms: fields.get("ended_ms")?.parse().ok()?,
            terms: fields.get("terms")?.parse().ok()?,
            pi: text("pi")?,
        })
    }
}

impl RankReport {
    pub fn line(&self) -> String {
        let fields = [
            ("rank", self.rank.to_string()),
            ("node", self.node.clone()),
            ("peer", self.peer.to_string()),
            ("peer_node", self.peer_node.clone()),
            ("bytes", self.bytes.to_string()),
            ("sent", self.sent.clone()),
            ("received", self.received.clone()),
            ("began_ms", self.began_ms.to_string()),
        ];
        write_line(RANK, &fields)
    }

    fn read(line: &str) -> Option<RankReport> {
        let fields = read_line(RANK, line)?;
        let text = |name: &str| fields.get(name).map(|value| (*value).to_owned());
        Some(RankReport {
            rank: fields.get("rank")?.parse().ok()?,
            node: text("node")?,
            peer: fields.get("peer")?.parse().ok()?,
            peer_node: text("peer_node")?,
            bytes: fields.get("bytes")?.parse().ok()?,
            sent: text("sent")?,
            received: text("received")?,
            began_ms: fields.get("began_ms")?.parse().ok()?,
        })
    }
}

/// Every task that a text tells of; other lines are passed over.
pub fn read_reports(text: &str) -> Vec<TaskReport> {
    text.lines().filter_map(TaskReport::read).collect()
}

pub fn read_ranks(text: &str) -> Vec<RankReport> {
    text.lines().filter_map(RankReport::read).collect()
}

/// `KIND<tab>name=value<tab>…`: values have no tabs.
fn write_line(kind: &str, fields: &[(&str, String)]) -> String {
    let fields = fields.iter().map(|(name, value)| format!("\t{name}={value}"));
    format!("{kind}{}", fields.collect::<String>())
}

fn read_line<'a>(kind: &str, line: &'a str) -> Option<BTreeMap<&'a str, &'a str>> {
    let rest = line.strip_prefix(kind)?.strip_prefix('\t')?;
    rest.split('\t').map(|field| field.split_once('=')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_task_writes_is_read_back() {
        let task = TaskReport {
            element: "7".to_owned(),
            node: "gpu-1".to_owned(),
            gpus: "3".to_owned(),
            device: "GPU-1, NVIDIA H100".to_owned(),
            began_ms: 5,
            ended_ms: 9,
            ..TaskReport::default()
        };
        assert_eq!(read_reports(&format!("noise\n{}\ntask\tbroken\n", task.line())), [task]);
        let rank = RankReport { rank: 1, node: "gpu-2".to_owned(), bytes: 8, ..RankReport::default() };
        assert_eq!(read_ranks(&rank.line()), [rank]);
    }
}
