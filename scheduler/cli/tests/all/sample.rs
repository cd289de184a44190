//! Sample records, the same that the transcripts of real Slurm were taken of.

use crate::transcript::NOW;
use squall_types::agent::ExitStatus;
use squall_types::api::*;
use squall_types::*;

/// Seconds before now.
pub fn ago(seconds: i64) -> Timestamp {
    NOW - Span::from_secs(seconds)
}

pub fn job(id: u32, name: &str, state: JobState) -> JobView {
    JobView {
        job: JobId(id),
        array: None,
        attempt: Attempt(1),
        restarts: 0,
        name: name.to_owned(),
        uid: Uid(1000),
        gid: Gid(0),
        user: "ann".to_owned(),
        account: "research".into(),
        partition: "batch".to_owned(),
        qos: "normal".to_owned(),
        state,
        reason: Reason::None,
        priority: 11_009,
        nice: 0,
        submitted_at: ago(104),
        eligible_at: Some(ago(104)),
        start_at: None,
        end_at: None,
        time_limit: Some(Span::from_hours(1)),
        nodes: Vec::new(),
        node_count: 1,
        max_nodes: 1,
        cpus: 1,
        tasks: 1,
        memory_mib: 0,
        gpus: 0,
        tres: String::new(),
        tres_per_node: String::new(),
        exit: ExitStatus::default(),
        work_dir: "/home/ann".to_owned(),
        command: "/home/ann/job.sh".to_owned(),
        comment: String::new(),
        dependency: String::new(),
        constraint: String::new(),
        exclusive: false,
        cost: MicroUsd::ZERO,
    }
}

pub fn pending(id: u32, name: &str, reason: Reason) -> JobView {
    JobView { reason, ..job(id, name, JobState::Pending) }
}

pub fn running(id: u32, name: &str, nodes: &[&str], seconds: i64) -> JobView {
    JobView {
        start_at: Some(ago(seconds)),
        end_at: Some(ago(seconds) + Span::from_hours(1)),
        nodes: nodes.iter().map(|node| NodeName::from(*node)).collect(),
        node_count: nodes.len() as u32,
        ..job(id, name, JobState::Running)
    }
}

pub fn ended(id: u32, name: &str, end: EndState, reason: Reason, exit: (i32, i32)) -> JobView {
    JobView {
        state: JobState::Ended(end),
        reason,
        end_at: Some(ago(10)),
        exit: ExitStatus { code: exit.0, signal: exit.1 },
        ..running(id, name, &["n1"], 40)
    }
}

pub fn element(view: JobView, array: u32, index: u32) -> JobView {
    JobView { array: Some(ArrayView::Element { array: JobId(array), index }), ..view }
}

/// The queue of the transcript that was taken of Slurm 22.05.8.
pub fn queue() -> Vec<JobView> {
    let indices = (2..=9).collect();
    vec![
        pending(7, "later", Reason::BeginTime),
        JobView {
            array: Some(ArrayView::Pending { array: JobId(3), indices, limit: Some(2) }),
            ..pending(3, "arr", Reason::JobArrayTaskLimit)
        },
        JobView { dependency: "afterok:1(unfulfilled)".to_owned(), ..pending(4, "dep", Reason::Dependency) },
        pending(5, "held", Reason::JobHeldUser),
        JobView {
            priority: 11_014,
            time_limit: Some(Span::from_hours(26)),
            cpus: 4,
            tasks: 4,
            memory_mib: 2048,
            gpus: 2,
            tres_per_node: "gres/gpu:h100:2".to_owned(),
            comment: "hello world".to_owned(),
            ..running(1, "sleeper", &["n1"], 101)
        },
        element(running(8, "arr", &["n1"], 100), 3, 0),
        element(running(9, "arr", &["n1"], 100), 3, 1),
        ended(2, "fails", EndState::Failed, Reason::NonZeroExitCode, (3, 0)),
        JobView {
            nodes: vec!["n1".into(), "n2".into()],
            node_count: 2,
            cpus: 16,
            ..ended(6, "big", EndState::Completed, Reason::None, (0, 0))
        },
    ]
}
