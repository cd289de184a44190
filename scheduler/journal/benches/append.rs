//! What a commit costs: one transaction and one sync, with accounting, for 1 to 1,000 events.
//!
//! `SQUALL_BENCH_DIR` says where (a sync costs what the disk there costs); `/dev/shm` shows the work without the disk.
#![allow(clippy::unwrap_used, reason = "a benchmark is a test")]

#[path = "../tests/story/mod.rs"]
mod story;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use squall_journal::{Journal, Options, PreparedBlob};
use std::path::PathBuf;
use std::time::Duration;
use story::{Batch, Story};

/// A directory for benchmarks.
fn dir() -> tempfile::TempDir {
    let base = std::env::var_os("SQUALL_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    tempfile::tempdir_in(base).unwrap()
}

/// Cuts a story into commits of one size.
struct Cut<F> {
    next: F,
    rest: Batch,
}

impl<F: FnMut() -> Batch> Cut<F> {
    fn take(&mut self, events: usize) -> Batch {
        let mut batch = std::mem::take(&mut self.rest);
        while batch.events.len() < events {
            let more = (self.next)();
            batch.events.extend(more.events);
            batch.blobs.extend(more.blobs);
        }
        self.rest.events = batch.events.split_off(events);
        // A submission that was cut off finds its script stored.
        self.rest.blobs.clear();
        batch
    }
}

fn measure(criterion: &mut Criterion, name: &str, next: impl Fn(&mut Story) -> Batch + Copy) {
    let mut group = criterion.benchmark_group(name);
    group.measurement_time(Duration::from_secs(6));
    for events in [1, 10, 100, 1_000] {
        let dir = dir();
        let (mut journal, _) = Journal::open(dir.path(), Options::default()).unwrap();
        let mut story = Story::new(1);
        let first = story.begin();
        journal.append(journal.epoch(), &first.events).unwrap();
        let mut cut = Cut { next: move || next(&mut story), rest: Batch::default() };
        group.throughput(Throughput::Elements(events as u64));
        group.bench_function(BenchmarkId::from_parameter(events), |bencher| {
            bencher.iter_batched(
                || cut.take(events),
                |batch| journal.append_with_blobs(journal.epoch(), &batch.events, &batch.blobs).unwrap(),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn appends(criterion: &mut Criterion) {
    measure(criterion, "append a mix of events", Story::batch);
    measure(criterion, "append submissions", |story| {
        let mut batch = Batch::default();
        story.submit(&mut batch, None);
        batch
    });
}

fn blobs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("prepare a blob");
    let environment = b"SLURM_SUBMIT_DIR=/home/user/experiment\0CONDA_PREFIX=/opt/conda/envs/torch\0".repeat(60);
    group.throughput(Throughput::Bytes(environment.len() as u64));
    group.bench_function("environment of 4 KiB", |bencher| {
        bencher.iter_batched(
            || environment.clone(),
            |content| PreparedBlob::new(&content).unwrap(),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, appends, blobs);
criterion_main!(benches);
