//! A job of a trace as it is played: scaled, and as a submission.

use crate::trace::{TraceJob, TraceState};
use squall_types::api::SubmitRequest;
use squall_types::{
    Ask, CpuAsk, EndState, ExitStatus, GpuAsk, JobSpec, MemoryAsk, NodeCount, PartitionName, Span, SubmitToken,
};

/// Beyond a job's own time, before its limit ends it: a busy machine runs late by fractions of a second.
const LIMIT_SLACK: Span = Span::from_secs(10);
/// Where the trace knows no limit.
const NO_LIMIT_SLACK: Span = Span::from_mins(10);
/// How long a job that is to exceed its limit goes on beyond it.
const OVERRUN: Span = Span::from_mins(5);
/// So that a limit can be seen to be exceeded.
const SHORTEST_LIMIT: Span = Span::from_secs(1);

/// Runs on the first node. The arguments are how long, and with which code it ends.
pub const ALONE: &str = "#!/bin/sh\nsleep \"$1\"\nexit \"$2\"\n";
/// Runs a task on every node of a gang.
pub const GANG: &str = "#!/bin/sh\nunset SQUALL_CONTROLLER\nsrun sleep \"$1\" || exit 99\nexit \"$2\"\n";

/// How fast a trace is played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Time between submissions is divided by this.
    pub speed: f64,
    /// Run times and limits are divided by this.
    pub durations: f64,
}

/// One job of the replay.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub trace: TraceJob,
    /// After the first submission.
    pub submit_after: Span,
    /// How long it runs, or would if nothing ended it.
    pub runs_for: Span,
    pub limit: Span,
    /// It is cancelled when it has run for so long.
    pub cancel_after: Option<Span>,
    pub expected: (EndState, ExitStatus),
}

/// What of a submission the trace does not say.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    pub partition: Option<PartitionName>,
    pub work_dir: String,
    pub environment: Vec<u8>,
    /// Jobs name the accounts of the trace.
    pub accounts: bool,
    /// Makes the submission tokens of one replay its own.
    pub run: String,
}

fn scaled(span: Span, by: f64) -> Span {
    Span((span.0 as f64 / by).round() as i64)
}

impl Part {
    /// Every job of a trace, the first at 0.
    pub fn all(jobs: Vec<TraceJob>, scale: Scale) -> Vec<Part> {
        let first = jobs.first().map_or(Span::ZERO, |job| job.submit);
        jobs.into_iter().map(|job| Part::of(job, first, scale)).collect()
    }

    fn of(trace: TraceJob, first: Span, scale: Scale) -> Part {
        let duration = scaled(trace.duration, scale.durations);
        let exit = |code| ExitStatus { code, signal: 0 };
        let kept = trace.time_limit.map(|limit| scaled(limit, scale.durations));
        let (mut runs_for, mut cancel_after, mut expected) = (duration, None, (EndState::Completed, exit(0)));
        let mut limit = match kept {
            // A trace may say that a job ran beyond its limit and completed.
            Some(limit) => limit.max(duration) + LIMIT_SLACK,
            None => duration + NO_LIMIT_SLACK,
        };
        match trace.state {
            TraceState::Completed | TraceState::Interrupted => {}
            TraceState::Failed => expected = (EndState::Failed, exit(1)),
            TraceState::Cancelled => {
                cancel_after = Some(duration);
                runs_for = duration + OVERRUN;
                limit = limit + OVERRUN;
                expected = (EndState::Cancelled, exit(0));
            }
            TraceState::Timeout => {
                limit = duration.max(SHORTEST_LIMIT);
                runs_for = limit + OVERRUN;
                expected = (EndState::Timeout, exit(0));
            }
        }
        let submit_after = scaled(trace.submit - first, scale.speed);
        Part { trace, submit_after, runs_for, limit, cancel_after, expected }
    }

    pub fn is_gang(&self) -> bool {
        self.trace.nodes > 1
    }

    /// GPUs on each node: a shared one is taken whole.
    pub fn gpus(&self) -> u16 {
        self.trace.gpus_per_node.ceil() as u16
    }

    pub fn request(&self, setting: &Setting) -> SubmitRequest {
        let TraceJob { id, account, nodes, cpus, mem_mib, .. } = &self.trace;
        let ask = Ask {
            nodes: Some(NodeCount { min: *nodes, max: *nodes }),
            tasks: Some(*nodes),
            tasks_per_node: Some(1),
            cpus: cpus.map_or(CpuAsk::Share, |cpus| CpuAsk::PerTask(cpus.div_ceil(*nodes).max(1))),
            memory: mem_mib.map_or(MemoryAsk::Share, |mib| MemoryAsk::PerNode(mib.max(1))),
            gpus: if self.gpus() > 0 { GpuAsk::PerNode(self.gpus(), None) } else { GpuAsk::None },
            ..Ask::default()
        };
        let spec = JobSpec {
            name: id.clone(),
            account: account.as_deref().filter(|_| setting.accounts).unwrap_or_default().into(),
            partitions: setting.partition.iter().cloned().collect(),
            arguments: vec![plain_seconds(self.runs_for), self.script_code().to_string()],
            work_dir: setting.work_dir.clone(),
            stdout: Some("/dev/null".to_owned()),
            umask: 0o022,
            ask,
            time_limit: Some(self.limit),
            comment: "squall replay".to_owned(),
            submit_line: "squall replay".to_owned(),
            command: "replay".to_owned(),
            ..JobSpec::default()
        };
        SubmitRequest {
            spec: spec.into(),
            script: Some(if self.is_gang() { GANG } else { ALONE }.as_bytes().to_vec()),
            environment: setting.environment.clone(),
            token: SubmitToken::new(format!("replay-{}-{id}", setting.run)),
            test_only: false,
            more: Vec::new(),
            step: None,
        }
    }

    fn script_code(&self) -> i32 {
        if self.expected.0 == EndState::Failed { 1 } else { 0 }
    }

    /// Whether it ended so. The exit code of what was ended from outside is not the job's word.
    pub fn is_as_expected(&self, state: EndState, exit: ExitStatus) -> bool {
        let by_itself = matches!(self.expected.0, EndState::Completed | EndState::Failed);
        state == self.expected.0 && (!by_itself || exit == self.expected.1)
    }
}

/// `12.345`, as `sleep` takes it.
fn plain_seconds(span: Span) -> String {
    let millis = span.0.max(0);
    format!("{}.{:03}", millis / 1_000, millis % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(submit: i64, duration: i64, state: TraceState) -> TraceJob {
        TraceJob {
            id: format!("j{submit}"),
            user: None,
            account: Some("vc".to_owned()),
            submit: Span::from_secs(submit),
            duration: Span::from_secs(duration),
            nodes: 2,
            gpus_per_node: 0.5,
            cpus: Some(5),
            mem_mib: None,
            time_limit: Some(Span::from_secs(duration * 2)),
            state,
        }
    }

    #[test]
    fn times_are_scaled_from_the_first_job_on() {
        let scale = Scale { speed: 1_000.0, durations: 100.0 };
        let parts = Part::all(vec![job(500, 10, TraceState::Completed), job(2_500, 10, TraceState::Failed)], scale);
        assert_eq!((parts[0].submit_after, parts[1].submit_after), (Span::ZERO, Span::from_secs(2)));
        assert_eq!((parts[0].runs_for, parts[0].limit), (Span(100), Span(10_200)));
        let request = parts[1].request(&Setting { run: "r".to_owned(), ..Setting::default() });
        assert_eq!(request.spec.arguments, ["0.100", "1"]);
        assert_eq!(request.spec.ask.gpus, GpuAsk::PerNode(1, None), "a shared GPU is taken whole");
        assert_eq!(request.spec.ask.cpus, CpuAsk::PerTask(3), "over all nodes, rounded up");
        assert_eq!(request.spec.account.as_str(), "", "accounts are the trace's only where that is wanted");
        assert_eq!(request.token.as_str(), "replay-r-j2500");
    }

    #[test]
    fn a_job_that_timed_out_runs_into_its_limit_and_a_cancelled_one_is_cancelled() {
        let scale = Scale { speed: 1.0, durations: 10.0 };
        let part = |state| Part::of(job(0, 600, state), Span::ZERO, scale);
        let timeout = part(TraceState::Timeout);
        assert_eq!(timeout.limit, Span::from_secs(60));
        assert!(timeout.runs_for > timeout.limit);
        assert!(timeout.is_as_expected(EndState::Timeout, ExitStatus { code: 0, signal: 15 }));
        let cancelled = part(TraceState::Cancelled);
        assert_eq!(cancelled.cancel_after, Some(Span::from_secs(60)));
        assert!(cancelled.runs_for < cancelled.limit);
        let failed = part(TraceState::Failed);
        assert!(failed.is_as_expected(EndState::Failed, ExitStatus { code: 1, signal: 0 }));
        assert!(!failed.is_as_expected(EndState::Failed, ExitStatus { code: 99, signal: 0 }), "the gang did not start");
        assert!(!part(TraceState::Completed).is_as_expected(EndState::Failed, ExitStatus { code: 1, signal: 0 }));
    }
}
