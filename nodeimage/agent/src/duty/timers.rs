//! What happens by time alone: limits, warnings, kills, heartbeats, and a bought machine's own end.

use super::life::{Life, Live, Phase, Stopping};
use super::{Duty, DutyOutput, Now, PowerOffWhy};
use crate::canary;
use squall_types::Span;
use squall_types::agent::{AgentReport, AssignedPhase, SignalTarget, StopWhy};
use squall_types::ids::Run;
use std::sync::Arc;

/// Between two kills of something that does not die.
pub const KILL_AGAIN_AFTER: Span = Span::from_secs(10);

impl Live {
    /// When its time is up, on `uptime`, unless it is suspended: then time brings nothing.
    fn limit_at(&self, began: Now) -> Span {
        let pause = if canary::active(canary::PAUSE_COUNTS) { Span::ZERO } else { self.pause.before };
        began.uptime + self.assignment.detail.time_limit + pause
    }

    /// When it is to be warned, on `uptime`.
    fn warn_at(&self, began: Now) -> Option<Span> {
        let signal = self.assignment.detail.spec.signal.filter(|_| !self.warned)?;
        Some(self.limit_at(began) - signal.before)
    }
}

impl Duty {
    /// When `Tick` is due, on `uptime`, unless something else happens before.
    pub fn next_wake(&self) -> Option<Span> {
        let runs = self.lives.values().filter_map(|life| match life {
            Life::Live(live) => match live.phase {
                Phase::Running { stopping: Some(stopping), .. } => Some(stopping.kill_at),
                Phase::Running { stopping: None, .. } if live.pause.since.is_some() => None,
                Phase::Running { began, stopping: None } => {
                    let limit = live.limit_at(began);
                    Some(live.warn_at(began).map_or(limit, |warn| warn.min(limit)))
                }
                _ => None,
            },
            _ => None,
        });
        let heartbeat = self.link.greeted.then(|| self.said_at + self.config.heartbeat);
        runs.chain(heartbeat).chain(self.power_off_at().map(|(at, _)| at)).min()
    }

    pub(super) fn tick(&mut self, now: Now) {
        let running: Vec<Run> = self
            .lives
            .iter()
            .filter(|(_, life)| matches!(life, Life::Live(live) if matches!(live.phase, Phase::Running { .. })))
            .map(|(run, _)| *run)
            .collect();
        for run in running {
            self.tick_run(now, run);
        }
        if self.link.greeted && now.uptime >= self.said_at + self.config.heartbeat {
            self.report(now, AgentReport::Heartbeat);
        }
        if self.link.connected || (!self.idle() && !canary::active(canary::POWER_OFF_UNDER_JOBS)) {
            self.busy_at = now.uptime;
        }
        if let Some((at, why)) = self.power_off_at()
            && now.uptime >= at
        {
            self.over = true;
            self.out.push(DutyOutput::PowerOff { why });
        }
    }

    fn tick_run(&mut self, now: Now, run: Run) {
        let deaf = canary::active(canary::NO_LIMIT_WITHOUT_CONTACT) && !self.link.connected;
        let Some(live) = self.live_mut(run) else { return };
        let Phase::Running { began, stopping } = live.phase else { return };
        if let Some(stopping) = stopping {
            if now.uptime >= stopping.kill_at {
                let stopping = Some(Stopping { kill_at: now.uptime + KILL_AGAIN_AFTER });
                live.phase = Phase::Running { began, stopping };
                self.out.push(DutyOutput::Kill { run });
            }
            return;
        }
        if live.pause.since.is_some() {
            return;
        }
        if now.uptime >= live.limit_at(began) && !deaf {
            let grace = live.assignment.detail.kill_wait;
            Arc::make_mut(&mut live.assignment).phase = AssignedPhase::Stop { why: StopWhy::TimeLimit, grace };
            self.update_record(run);
            self.advance(now, run);
        } else if let Some(warn_at) = live.warn_at(began)
            && let Some(spec) = live.assignment.detail.spec.signal
            && now.uptime >= warn_at
        {
            live.warned = true;
            self.update_record(run);
            let target = if spec.batch_only { SignalTarget::BatchShell } else { SignalTarget::Steps };
            self.out.push(DutyOutput::Signal { run, target, signal: spec.signal });
        }
    }

    /// When a bought machine ends itself if nothing changes.
    fn power_off_at(&self) -> Option<(Span, PowerOffWhy)> {
        if !self.config.self_end || self.over {
            return None;
        }
        let bound = self.dies_at.map(|at| (at, PowerOffWhy::DieAt));
        let results = !self.lives.is_empty() || !self.steps.is_empty();
        let idle = self.idle() || canary::active(canary::POWER_OFF_UNDER_JOBS);
        let early = if !idle {
            None
        } else if self.retiring && !results {
            Some((self.busy_at, PowerOffWhy::Retired))
        } else if self.link.connected {
            None
        } else if results {
            Some((self.busy_at + self.config.results_kept, PowerOffWhy::Alone))
        } else {
            Some((self.busy_at + self.config.alone_after, PowerOffWhy::Alone))
        };
        bound.into_iter().chain(early).min_by_key(|(at, _)| *at)
    }
}
