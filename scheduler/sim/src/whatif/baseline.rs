//! The classics on machines that are always on: strict FIFO, EASY backfill and shortest job first.
//!
//! Whole machines are packed as in the engine's world: each part of a job goes to the machine on which the fewest GPUs
//! stay free. Machines come into being when they are first needed, up to what the configuration allows, and are then
//! billed from the beginning to the end, so the fleet is as large as its peak. Nothing takes time but the jobs.

use super::asks::Asks;
use super::figures::{Fate, Ledger, Outcome};
use super::fleet::Fleet;
use super::fragments::Fragments;
use super::meter::{Gauge, Meter};
use super::shadow::{Shadow, lesser, shadow};
use super::work::{Progress, START, Work};
use super::world::{sample_every, stretch};
use squall_types::{MicroUsd, Resources, Span, Timestamp};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// Waiting jobs that one backfill pass looks at.
const EASY_WINDOW: usize = 2_000;
/// Between two reports of progress, in jobs that end.
const TELL_EVERY: usize = 2_000;

/// Who goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discipline {
    /// In order of submission; nobody passes the first.
    Fifo,
    /// In order of submission; others pass the first where that does not delay it, as far as time limits tell
    /// (Lifka, "The ANL/IBM SP Scheduling System", JSSPP 1995).
    Easy,
    /// The shortest run time first, as if it were known; nobody passes the first, nobody is preempted.
    Shortest,
}

impl Discipline {
    pub fn word(self) -> &'static str {
        match self {
            Discipline::Fifo => "FIFO",
            Discipline::Easy => "EASY",
            Discipline::Shortest => "SJF",
        }
    }
}

/// One machine of the fleet.
pub(super) struct Host {
    pub template: usize,
    pub free: Resources,
}

/// A job that runs, by when it may run for at most.
pub(super) type Bounded = BTreeSet<(Timestamp, usize)>;

/// Plays all jobs.
pub fn baseline(
    name: &str,
    fleet: &Fleet,
    work: &[Work],
    discipline: Discipline,
    watch: &mut dyn FnMut(&Progress),
) -> Outcome {
    let asks = Asks::of(work);
    let mut yard = Yard {
        fleet,
        work,
        needs: fleet.needs(&asks),
        fragments: Fragments::new(&asks),
        waiting: vec![0; asks.asks.len()],
        asks,
        discipline,
        hosts: Vec::new(),
        queue: BTreeSet::new(),
        ends: BinaryHeap::new(),
        bounded: BTreeSet::new(),
        held: vec![Vec::new(); work.len()],
        ledger: Ledger::new(work),
        meter: Meter::new(START, stretch(work)),
        sampled_at: START,
    };
    yard.run(watch);
    yard.outcome(name)
}

struct Yard<'a> {
    fleet: &'a Fleet,
    work: &'a [Work],
    asks: Asks,
    /// By kind of machine and by size.
    needs: Vec<Vec<Option<Resources>>>,
    discipline: Discipline,
    hosts: Vec<Host>,
    /// By what goes first: the run time where that counts, then the position.
    queue: BTreeSet<(Span, usize)>,
    ends: BinaryHeap<Reverse<(Timestamp, usize)>>,
    bounded: Bounded,
    /// Where each job runs.
    held: Vec<Vec<usize>>,
    ledger: Ledger,
    meter: Meter,
    fragments: Fragments,
    /// By size.
    waiting: Vec<u32>,
    sampled_at: Timestamp,
}

impl Yard<'_> {
    fn run(&mut self, watch: &mut dyn FnMut(&Progress)) {
        let (mut next, mut ended, every) = (0, 0, sample_every(self.work));
        loop {
            let arrival = self.work.get(next).map(Work::submit_at);
            let end = self.ends.peek().map(|Reverse((at, _))| *at);
            let Some(now) = [arrival, end].into_iter().flatten().min() else { break };
            while self.sampled_at + every <= now {
                self.sample(every);
            }
            while let Some(Reverse((_, job))) = self.ends.peek().copied().filter(|Reverse((at, _))| *at == now) {
                self.ends.pop();
                self.end(now, job);
                ended += 1;
                if ended % TELL_EVERY == 0 {
                    let (queued, nodes) = (self.queue.len(), self.hosts.len());
                    let (after, jobs) = (now.since(START), self.work.len());
                    watch(&Progress { after, jobs, submitted: next, ended, queued, nodes });
                }
            }
            while self.work.get(next).is_some_and(|job| job.submit_at() == now) {
                self.submit(now, next);
                next += 1;
            }
            self.schedule(now);
        }
    }

    fn submit(&mut self, now: Timestamp, job: usize) {
        let size = self.asks.of_work[job];
        let room: u64 = (self.fleet.templates.iter().zip(&self.needs))
            .filter(|(_, needs)| needs[size].is_some())
            .map(|(template, _)| u64::from(template.most))
            .sum();
        if room < u64::from(self.work[job].demand.nodes) {
            return self.ledger.fates[job] = Fate::Refused;
        }
        self.queue.insert((self.rank(job), job));
        self.waiting[size] += 1;
        self.meter.add(now, Gauge::QueuedJobs, 1);
        self.meter.add(now, Gauge::QueuedGpus, self.work[job].demand.gpus() as i64);
    }

    fn rank(&self, job: usize) -> Span {
        if self.discipline == Discipline::Shortest { self.work[job].runs_for } else { Span::ZERO }
    }

    fn limit(&self, job: usize) -> Span {
        self.work[job].limit.unwrap_or(self.fleet.default_limit)
    }

    fn schedule(&mut self, now: Timestamp) {
        let head = loop {
            let Some((_, head)) = self.queue.first().copied() else { return };
            let free = |_: usize, host: &Host| host.free;
            let Some(hosts) = self.place(head, free).or_else(|| self.grow(head)) else { break head };
            self.start(now, head, hosts);
        };
        if self.discipline == Discipline::Easy {
            self.backfill(now, head);
        }
    }

    /// Those behind the first start where they end before it could, or use what it will leave.
    fn backfill(&mut self, now: Timestamp, head: usize) {
        let size = self.asks.of_work[head];
        let need = |host: &Host| self.needs[host.template][size];
        let give_back = |job: usize| {
            let size = self.asks.of_work[job];
            self.held[job].iter().map(move |host| (*host, size))
        };
        let part = |host: usize, size: usize| self.needs[self.hosts[host].template][size].unwrap_or_default();
        let releases = self
            .bounded
            .iter()
            .map(|(at, job)| (*at, give_back(*job).map(|(host, size)| (host, part(host, size))).collect::<Vec<_>>()));
        let Shadow { at, mut extra } = shadow(&self.hosts, releases, self.work[head].demand.nodes as usize, need);
        // What is free only shrinks in a pass: what failed for a size fails for it again.
        let (mut no_room, mut no_extra) = (vec![false; self.waiting.len()], vec![false; self.waiting.len()]);
        let others: Vec<usize> = self.queue.iter().skip(1).take(EASY_WINDOW).map(|(_, job)| *job).collect();
        for job in others {
            let size = self.asks.of_work[job];
            let in_time = now + self.limit(job) <= at;
            if no_room[size] || (!in_time && no_extra[size]) {
                continue;
            }
            let found = if in_time {
                self.place(job, |_, host| host.free)
            } else {
                self.place(job, |at, host| lesser(host.free, extra[at]))
            };
            match found {
                None if in_time => no_room[size] = true,
                None => no_extra[size] = true,
                Some(hosts) => {
                    for host in hosts.iter().copied().filter(|_| !in_time) {
                        let need = self.needs[self.hosts[host].template][size].unwrap_or_default();
                        extra[host] = extra[host].checked_sub(&need).expect("it was placed within what is left");
                    }
                    self.start(now, job, hosts);
                }
            }
        }
    }

    /// Best fit: where the fewest GPUs, then CPUs, stay free. All parts on different machines, or none.
    fn place(&self, job: usize, room: impl Fn(usize, &Host) -> Resources) -> Option<Vec<usize>> {
        let (size, nodes) = (self.asks.of_work[job], self.work[job].demand.nodes as usize);
        let left = |(at, host): (usize, &Host)| {
            let left = room(at, host).checked_sub(&self.needs[host.template][size]?)?;
            Some((left.gpus, left.cpus, at))
        };
        let fitting = self.hosts.iter().enumerate().filter_map(left);
        if nodes == 1 {
            return fitting.min().map(|(.., at)| vec![at]);
        }
        let mut fitting: Vec<_> = fitting.collect();
        if fitting.len() < nodes {
            return None;
        }
        fitting.sort_unstable();
        Some(fitting.into_iter().take(nodes).map(|(.., at)| at).collect())
    }

    /// Brings what is missing into being, where the configuration allows it.
    fn grow(&mut self, job: usize) -> Option<Vec<usize>> {
        let (size, nodes) = (self.asks.of_work[job], self.work[job].demand.nodes as usize);
        let fits = |host: &Host| self.needs[host.template][size].is_some_and(|need| need.fits_in(&host.free));
        let mut missing = nodes.saturating_sub(self.hosts.iter().filter(|host| fits(host)).count());
        let mut fresh = Vec::new();
        for (number, template) in self.fleet.templates.iter().enumerate() {
            if self.needs[number][size].is_none() {
                continue;
            }
            let there = self.hosts.iter().filter(|host| host.template == number).count();
            let count = missing.min((template.most as usize).saturating_sub(there));
            fresh.extend(std::iter::repeat_n(number, count));
            missing -= count;
        }
        if missing > 0 {
            return None;
        }
        let host = |template: usize| Host { template, free: self.fleet.templates[template].shape.resources() };
        self.hosts.extend(fresh.into_iter().map(host));
        self.place(job, |_, host| host.free)
    }

    fn start(&mut self, now: Timestamp, job: usize, hosts: Vec<usize>) {
        let (size, gpus) = (self.asks.of_work[job], self.work[job].demand.gpus() as i64);
        for host in &hosts {
            let host = &mut self.hosts[*host];
            let need = self.needs[host.template][size].unwrap_or_default();
            host.free = host.free.checked_sub(&need).expect("it was placed where it fits");
        }
        self.held[job] = hosts;
        self.queue.remove(&(self.rank(job), job));
        self.waiting[size] -= 1;
        self.ledger.began(job, now);
        let (runs_for, limit) = (self.work[job].runs_for, self.limit(job));
        self.ends.push(Reverse((now + runs_for.min(limit), job)));
        self.bounded.insert((now + limit, job));
        self.meter.add(now, Gauge::QueuedJobs, -1);
        self.meter.add(now, Gauge::QueuedGpus, -gpus);
        self.meter.add(now, Gauge::RunningJobs, 1);
        self.meter.add(now, Gauge::UsedGpus, gpus);
    }

    fn end(&mut self, now: Timestamp, job: usize) {
        let (size, gpus) = (self.asks.of_work[job], self.work[job].demand.gpus() as i64);
        for host in std::mem::take(&mut self.held[job]) {
            let host = &mut self.hosts[host];
            host.free = host.free.plus(&self.needs[host.template][size].unwrap_or_default());
        }
        let limit = self.limit(job);
        let began_at = self.ledger.began_at[job].expect("what ends has begun");
        self.bounded.remove(&(began_at + limit, job));
        let fate = if self.work[job].runs_for > limit { Fate::TimedOut } else { Fate::Completed };
        self.ledger.ended(job, now, fate);
        self.meter.add(now, Gauge::RunningJobs, -1);
        self.meter.add(now, Gauge::UsedGpus, -gpus);
    }

    fn sample(&mut self, every: Span) {
        self.sampled_at += every;
        let nodes = self.hosts.iter().map(|host| (&self.fleet.templates[host.template].shape, host.free));
        self.fragments.sample(every, &self.asks, &self.waiting, nodes);
    }

    fn outcome(self, name: &str) -> Outcome {
        let shape = |host: &Host| &self.fleet.templates[host.template];
        let gpus: i128 = self.hosts.iter().map(|host| i128::from(shape(host).shape.gpus.count())).sum();
        let elapsed = self.meter.elapsed();
        let cost: MicroUsd = self.hosts.iter().map(|host| shape(host).price.cost_of(elapsed)).sum();
        let policy = self.discipline.word();
        let mut outcome = Outcome::of(name, policy, self.work, &self.ledger, &self.meter, &self.fragments);
        outcome.always_on(self.hosts.len(), gpus * i128::from(elapsed.0), cost, elapsed);
        outcome
    }
}

#[cfg(test)]
mod tests;
