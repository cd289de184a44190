//! Levels over time: integrals over everything, and means over stretches of equal length for charts.

use serde::Serialize;
use squall_types::{Span, Timestamp};

/// What is measured at every moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gauge {
    QueuedJobs,
    QueuedGpus,
    RunningJobs,
    UsedGpus,
    BootingNodes,
    BusyNodes,
    IdleNodes,
    EndingNodes,
    BootingGpus,
    BusyGpus,
    IdleGpus,
    EndingGpus,
    /// Micro-dollars an hour.
    Rate,
}

const GAUGES: usize = Gauge::Rate as usize + 1;
/// Stretches are joined in pairs when there are more.
const MAX_STRETCHES: usize = 1_000;

type Levels = [i64; GAUGES];
type Sums = [i128; GAUGES];

/// Takes levels and integrates them, in units of a millisecond.
#[derive(Clone, Debug)]
pub struct Meter {
    start: Timestamp,
    at: Timestamp,
    levels: Levels,
    sums: Sums,
    peaks: Levels,
    peak_nodes: i64,
    width: Span,
    stretches: Vec<Sums>,
}

impl Meter {
    /// `width` is a first guess at the length of a stretch.
    pub fn new(start: Timestamp, width: Span) -> Meter {
        Meter {
            start,
            at: start,
            levels: [0; GAUGES],
            sums: [0; GAUGES],
            peaks: [0; GAUGES],
            peak_nodes: 0,
            width: width.max(Span::from_secs(1)),
            stretches: Vec::new(),
        }
    }

    pub fn add(&mut self, now: Timestamp, gauge: Gauge, change: i64) {
        self.advance(now);
        let level = &mut self.levels[gauge as usize];
        *level += change;
        self.peaks[gauge as usize] = self.peaks[gauge as usize].max(*level);
        self.peak_nodes = self.peak_nodes.max(self.nodes());
    }

    pub fn advance(&mut self, now: Timestamp) {
        while self.at < now {
            let number = (self.at.since(self.start).0 / self.width.0) as usize;
            if number >= MAX_STRETCHES {
                self.widen();
                continue;
            }
            self.stretches.resize(self.stretches.len().max(number + 1), [0; GAUGES]);
            let until = now.min(self.start + self.width.times(number as i64 + 1));
            let elapsed = i128::from(until.since(self.at).0);
            for (gauge, level) in self.levels.iter().enumerate().filter(|(_, level)| **level != 0) {
                self.stretches[number][gauge] += i128::from(*level) * elapsed;
                self.sums[gauge] += i128::from(*level) * elapsed;
            }
            self.at = until;
        }
    }

    fn widen(&mut self) {
        let pair = |pair: &[Sums]| std::array::from_fn(|gauge| pair.iter().map(|sums| sums[gauge]).sum());
        self.stretches = self.stretches.chunks(2).map(pair).collect();
        self.width = self.width.times(2);
    }

    pub fn level(&self, gauge: Gauge) -> i64 {
        self.levels[gauge as usize]
    }

    pub fn peak(&self, gauge: Gauge) -> i64 {
        self.peaks[gauge as usize]
    }

    pub fn sum(&self, gauge: Gauge) -> i128 {
        self.sums[gauge as usize]
    }

    pub fn nodes(&self) -> i64 {
        use Gauge::{BootingNodes, BusyNodes, EndingNodes, IdleNodes};
        [BootingNodes, BusyNodes, IdleNodes, EndingNodes].iter().map(|gauge| self.level(*gauge)).sum()
    }

    /// Most nodes that existed at once.
    pub fn peak_nodes(&self) -> i64 {
        self.peak_nodes
    }

    pub fn elapsed(&self) -> Span {
        self.at.since(self.start)
    }

    pub fn series(&self) -> Series {
        let last = self.at.since(self.start).0;
        let length = |number: usize| (last - number as i64 * self.width.0).clamp(1, self.width.0);
        let mean = |gauge: Gauge| -> Vec<f64> {
            let stretches = self.stretches.iter().enumerate();
            let mean = |(number, sums): (usize, &Sums)| sums[gauge as usize] as f64 / length(number) as f64;
            stretches.map(mean).map(|mean| (mean * 100.0).round() / 100.0).collect()
        };
        let mut spent = 0;
        let spend = self.stretches.iter().map(|sums| {
            spent += sums[Gauge::Rate as usize] / 3_600_000;
            spent as i64
        });
        Series {
            width_ms: self.width.0,
            end_ms: last,
            queued_jobs: mean(Gauge::QueuedJobs),
            queued_gpus: mean(Gauge::QueuedGpus),
            used_gpus: mean(Gauge::UsedGpus),
            booting: mean(Gauge::BootingNodes),
            busy: mean(Gauge::BusyNodes),
            idle: mean(Gauge::IdleNodes),
            ending: mean(Gauge::EndingNodes),
            spent_micro_usd: spend.collect(),
        }
    }
}

/// Means over stretches of equal length (the last may be shorter); what was spent is the sum at their ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Series {
    pub width_ms: i64,
    pub end_ms: i64,
    pub queued_jobs: Vec<f64>,
    pub queued_gpus: Vec<f64>,
    pub used_gpus: Vec<f64>,
    /// Nodes by state.
    pub booting: Vec<f64>,
    pub busy: Vec<f64>,
    pub idle: Vec<f64>,
    pub ending: Vec<f64>,
    pub spent_micro_usd: Vec<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_integrated_exactly_however_often_stretches_are_joined() {
        let start = Timestamp::from_secs(7);
        let mut meter = Meter::new(start, Span::from_secs(1));
        meter.add(start, Gauge::BusyNodes, 2);
        meter.add(start + Span(1_500), Gauge::BusyNodes, -1);
        meter.add(start + Span(2_000), Gauge::BusyNodes, -1);
        meter.add(start + Span(2_000), Gauge::IdleNodes, 1);
        meter.advance(start + Span(4_000_500));
        assert_eq!(meter.sum(Gauge::BusyNodes), 3_500);
        assert_eq!(meter.sum(Gauge::IdleNodes), 3_998_500);
        assert_eq!((meter.peak(Gauge::BusyNodes), meter.peak_nodes()), (2, 2));
        let series = meter.series();
        assert_eq!(series.width_ms, 8_000, "a thousand stretches of 4 s would not have been enough");
        assert_eq!((series.busy[0], series.idle[0]), (0.44, 0.75));
        assert_eq!(series.idle.last(), Some(&1.0), "the last stretch is shorter");
    }

    #[test]
    fn spend_is_the_integral_of_the_rate() {
        let mut meter = Meter::new(Timestamp::ZERO, Span::from_hours(1));
        meter.add(Timestamp::ZERO, Gauge::Rate, 10_000_000);
        meter.advance(Timestamp::ZERO + Span::from_mins(90));
        assert_eq!(meter.series().spent_micro_usd, [10_000_000, 15_000_000]);
    }
}
