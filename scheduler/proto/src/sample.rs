//! Any value of any type of the wire, made from random bytes. The macros of `wire` derive it from the same lists of
//! fields as the conversions, so that no field and no variant is left out of a test.

use crate::convert::provisioner::OfferList;
use crate::limits::MAX_CONSTRAINT_DEPTH;
use squall_types::api::{JobState, JobUpdate};
use squall_types::offer::{LaunchFailure, Launched, Listing};
use squall_types::*;
use std::collections::{BTreeMap, BTreeSet};

/// Random bytes; zeros when they are used up, so that every value ends.
pub(crate) struct Source<'a>(pub &'a [u8]);

impl Source<'_> {
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Numbers of all magnitudes, zero and the largest among them.
    fn number(&mut self) -> u64 {
        match self.byte() % 4 {
            0 => 0,
            1 => self.byte().into(),
            2 => u64::MAX,
            _ => (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte())),
        }
    }

    pub fn one_of<T>(&mut self, makers: &[fn(&mut Self) -> T]) -> T {
        let chosen = usize::from(self.byte()) % makers.len();
        makers[chosen](self)
    }
}

pub(crate) trait Sample: Sized {
    fn sample(source: &mut Source<'_>) -> Self;
}

macro_rules! numbers {
    ($($type:ty),*) => { $(
        impl Sample for $type {
            fn sample(source: &mut Source<'_>) -> $type {
                source.number() as $type
            }
        }
    )* };
}
numbers!(u8, u16, u32, u64, i32, i64);

macro_rules! wrapped {
    ($($type:ident),* $(,)?) => { $(
        impl Sample for $type {
            fn sample(source: &mut Source<'_>) -> $type {
                $type(Sample::sample(source))
            }
        }
    )* };
}
wrapped!(
    JobId,
    Attempt,
    StepId,
    NodeId,
    OrderId,
    Epoch,
    Generation,
    Uid,
    Gid,
    Timestamp,
    Span,
    MicroUsd,
    HourlyPrice,
    PartitionName,
    PoolName,
    NodeName,
    AccountName,
    QosName,
    SwitchName,
    InstanceId,
    OfferName,
    GpuModel,
    LaunchToken,
    Gpus,
);

impl Sample for SubmitToken {
    fn sample(source: &mut Source<'_>) -> SubmitToken {
        SubmitToken::new(String::sample(source))
    }
}

impl Sample for () {
    fn sample(_: &mut Source<'_>) {}
}

impl Sample for bool {
    fn sample(source: &mut Source<'_>) -> bool {
        source.byte() % 2 == 1
    }
}

impl Sample for String {
    fn sample(source: &mut Source<'_>) -> String {
        source.one_of(&[|_| String::new(), |source| format!("gpu-{}", source.byte()), |_| "hä\n\0☃ 'x'".to_owned()])
    }
}

impl Sample for BlobDigest {
    fn sample(source: &mut Source<'_>) -> BlobDigest {
        BlobDigest([(); 32].map(|()| source.byte()))
    }
}

impl<T: Sample> Sample for Option<T> {
    fn sample(source: &mut Source<'_>) -> Option<T> {
        bool::sample(source).then(|| T::sample(source))
    }
}

impl<T: Sample> Sample for Vec<T> {
    fn sample(source: &mut Source<'_>) -> Vec<T> {
        (0..source.byte() % 4).map(|_| T::sample(source)).collect()
    }
}

impl<T: Sample> Sample for Box<T> {
    fn sample(source: &mut Source<'_>) -> Box<T> {
        Box::new(T::sample(source))
    }
}

impl<A: Sample, B: Sample> Sample for (A, B) {
    fn sample(source: &mut Source<'_>) -> (A, B) {
        (A::sample(source), B::sample(source))
    }
}

impl Sample for BTreeSet<String> {
    fn sample(source: &mut Source<'_>) -> Self {
        Vec::sample(source).into_iter().collect()
    }
}

impl Sample for BTreeMap<String, String> {
    fn sample(source: &mut Source<'_>) -> Self {
        Vec::sample(source).into_iter().collect()
    }
}

impl Sample for IndexSet {
    fn sample(source: &mut Source<'_>) -> IndexSet {
        Vec::sample(source).into_iter().collect()
    }
}

impl Sample for GpuAsk {
    fn sample(source: &mut Source<'_>) -> GpuAsk {
        source.one_of(&[
            |_| GpuAsk::None,
            |source| GpuAsk::PerNode(Sample::sample(source), Sample::sample(source)),
            |source| GpuAsk::PerTask(Sample::sample(source), Sample::sample(source)),
            |source| GpuAsk::Total(Sample::sample(source), Sample::sample(source)),
        ])
    }
}

impl Sample for Constraint {
    fn sample(source: &mut Source<'_>) -> Constraint {
        constraint(source, MAX_CONSTRAINT_DEPTH)
    }
}

fn constraint(source: &mut Source<'_>, depth: usize) -> Constraint {
    let kind = if depth > 1 { source.byte() % 5 } else { 0 };
    let mut parts = || (0..source.byte() % 3).map(|_| constraint(source, depth - 1)).collect();
    match kind {
        1 => Constraint::All(parts()),
        2 => Constraint::Any(parts()),
        3 => Constraint::Same(parts()),
        4 => Constraint::Counted(Sample::sample(source)),
        _ => Constraint::Feature(Sample::sample(source)),
    }
}

impl Sample for JobState {
    fn sample(source: &mut Source<'_>) -> JobState {
        let ended = [
            EndState::Completed,
            EndState::Failed,
            EndState::Cancelled,
            EndState::Timeout,
            EndState::NodeFail,
            EndState::OutOfMemory,
            EndState::Preempted,
            EndState::BootFail,
            EndState::Deadline,
        ];
        let live =
            [JobState::Pending, JobState::Configuring, JobState::Running, JobState::Completing, JobState::Suspended];
        let all: Vec<JobState> = live.into_iter().chain(ended.map(JobState::Ended)).collect();
        all[usize::from(source.byte()) % all.len()]
    }
}

impl Sample for JobUpdate {
    fn sample(source: &mut Source<'_>) -> JobUpdate {
        JobUpdate {
            time_limit: Sample::sample(source),
            name: Sample::sample(source),
            partition: Sample::sample(source),
            account: Sample::sample(source),
            qos: Sample::sample(source),
            priority: Sample::sample(source),
            nice: Sample::sample(source),
            begin_at: Sample::sample(source),
            comment: Sample::sample(source),
            dependency: Sample::sample(source),
            constraint: Sample::sample(source),
            prefer: Sample::sample(source),
            requeue: Sample::sample(source),
            array_limit: Sample::sample(source),
            nodes: Sample::sample(source),
            exclude: Sample::sample(source),
            node_list: Sample::sample(source),
            end_by: Sample::sample(source),
        }
    }
}

macro_rules! outcomes {
    ($($done:ty),*) => { $(
        impl Sample for Result<$done, LaunchFailure> {
            fn sample(source: &mut Source<'_>) -> Self {
                if bool::sample(source) { Ok(Sample::sample(source)) } else { Err(Sample::sample(source)) }
            }
        }
    )* };
}
outcomes!(OfferList, Launched, (), Listing);
