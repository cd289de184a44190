//! When plans are made, and how much of one at a time.
//!
//! A pass begins whenever something happened, and goes on for a number of looks at jobs, nodes and times. What was
//! found until then is done at once; the rest follows in the next turn, unless something happened meanwhile: then the
//! pass begins anew, and may go twice as far before it is cut, so that it comes to an end in a busy cluster as well.

use crate::Engine;
use squall_core::plan::{IncrementalPlanner, Notes, Plan, Progress, Step, plan};
use squall_core::{Caller, Command};
use squall_types::{Span, Timestamp};

/// A plan whose steps were refused is made again at most so often before other inputs are heard.
const PLANS_PER_BATCH: u32 = 4;
/// … and then, where nothing else happens, after so long.
const PLAN_AGAIN: Span = Span::from_secs(1);
/// Looks that a pass may take before others have their turn: a few milliseconds.
const LOOKS: u64 = 20_000;

pub(crate) struct Planning {
    planner: IncrementalPlanner,
    /// Why jobs wait, as the last whole pass saw it.
    pub notes: Notes,
    /// Something happened since the last plan.
    pub unplanned: bool,
    plan_at: Option<Timestamp>,
    first_looks: u64,
    looks: u64,
    audit: Option<Audit>,
}

/// Compares what the planner comes to with plans from scratch.
#[derive(Default)]
struct Audit {
    scratch: Plan,
    steps: Vec<Step>,
    wrong: Option<String>,
}

impl Default for Planning {
    fn default() -> Self {
        Planning {
            planner: IncrementalPlanner::default(),
            notes: Notes::default(),
            unplanned: true,
            plan_at: None,
            first_looks: LOOKS,
            looks: LOOKS,
            audit: None,
        }
    }
}

impl Planning {
    /// `None` where nothing but an event is a reason to plan.
    pub fn next_at(&self, now: Timestamp) -> Option<Timestamp> {
        if self.planner.is_cut() { Some(now) } else { self.plan_at }
    }
}

impl Engine {
    /// From now on every plan is compared with one from scratch, and cut after so many looks. For the simulator: this
    /// costs a whole plan each time.
    pub fn audit_plans(&mut self, looks: u64) {
        self.planning.audit = Some(Audit::default());
        self.planning.first_looks = looks.max(1);
        self.planning.looks = looks.max(1);
    }

    /// How the planner's answer differed from that of a plan from scratch, where it did.
    pub fn plan_disagreement(&self) -> Option<&str> {
        self.planning.audit.as_ref().and_then(|audit| audit.wrong.as_deref())
    }

    pub(crate) fn make_plan(&mut self) {
        if self.planning.plan_at.is_some_and(|at| at <= self.now) {
            self.planning.plan_at = None;
            self.planning.unplanned = true;
        }
        for _ in 0..PLANS_PER_BATCH {
            let changed = std::mem::take(&mut self.planning.unplanned);
            if !changed && !self.planning.planner.is_cut() {
                return;
            }
            if changed {
                self.begin_pass();
            }
            let progress = self.planning.planner.go_on(self.planning.looks);
            if let Some(audit) = &mut self.planning.audit {
                audit.compare(&progress);
            }
            let (steps, whole) = match progress {
                Progress::Cut { steps } => (steps, None),
                Progress::Done(plan) => (plan.steps, Some((plan.notes, plan.wake_at))),
            };
            let again = self.perform_all(steps);
            self.planning.unplanned = again;
            let Some((notes, wake_at)) = whole else { return };
            (self.planning.notes, self.planning.plan_at) = (notes, wake_at);
            self.planning.looks = self.planning.first_looks;
            if !self.batches.has_room() {
                return;
            }
        }
        if self.planning.unplanned {
            self.planning.plan_at = Some(self.now + PLAN_AGAIN);
        }
    }

    fn begin_pass(&mut self) {
        if self.planning.planner.is_cut() {
            self.planning.looks = self.planning.looks.saturating_mul(2);
        }
        self.planning.planner.begin(&self.cluster, self.now);
        if let Some(audit) = &mut self.planning.audit {
            (audit.scratch, audit.steps) = (plan(&self.cluster, self.now), Vec::new());
        }
    }

    /// Whether the plan has to be made anew: a step was refused, or had no room in the batch, or lost a job its claim.
    /// What the steps changed beyond that was part of the plan.
    fn perform_all(&mut self, steps: Vec<Step>) -> bool {
        let mut again = false;
        for step in steps {
            // What a batch has no room for is planned again after it, in the same order.
            if !self.batches.has_room() {
                return true;
            }
            // A job that lost its claim is planned again at once, at its old priority.
            again |= matches!(step, Step::DropClaim { .. });
            // In priority order: what a refused step would have taken stays for its job, which is planned first again.
            again |= self.decide(&Caller::System, &Command::Perform { step }).is_err();
        }
        again
    }
}

impl Audit {
    fn compare(&mut self, progress: &Progress) {
        let (steps, whole) = match progress {
            Progress::Cut { steps } => (steps, None),
            Progress::Done(plan) => (&plan.steps, Some(plan)),
        };
        self.steps.extend(steps.iter().cloned());
        // Orders of single nodes are collected as far as a part of a pass goes, so they are left to the claims on them.
        let placed = |steps: &[Step]| -> Vec<Step> {
            steps.iter().filter(|step| !matches!(step, Step::Order(_))).cloned().collect()
        };
        let (mine, theirs) = (placed(&self.steps), placed(&self.scratch.steps));
        let agrees = match whole {
            None => theirs.starts_with(&mine),
            Some(plan) => mine == theirs && plan.notes == self.scratch.notes && plan.wake_at == self.scratch.wake_at,
        };
        if !agrees && self.wrong.is_none() {
            let notes =
                whole.map(|plan| (plan.notes.all(), self.scratch.notes.all(), plan.wake_at, self.scratch.wake_at));
            self.wrong = Some(format!("the planner says {mine:?}, from scratch it is {theirs:?}; {notes:?}"));
        }
    }
}
