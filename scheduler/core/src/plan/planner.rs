//! Plans one after another: what is known from the last one is kept up with the state rather than built again.

use super::claims::claims;
use super::market::Market;
use super::memory::Memory;
use super::pass::{Pass, Planner, reasons};
use super::shrink::shrink;
use super::step::{Notes, Plan, Step};
use super::view::View;
use crate::cluster::Cluster;
use squall_types::Timestamp;

/// The planner with its memory. Forgetting it changes no answer: [`super::plan`] is the same pass without any memory.
#[derive(Debug, Default)]
pub struct IncrementalPlanner {
    view: Option<View>,
    memory: Memory,
    pass: Option<Pass>,
}

/// What a pass, or a part of one, came to.
#[derive(Debug)]
pub enum Progress {
    /// Steps for the first jobs of the queue; the rest is still to be tried.
    Cut { steps: Vec<Step> },
    /// What followed on the steps of the parts before, with the notes of the whole pass.
    Done(Plan),
}

impl IncrementalPlanner {
    /// Begins a pass over a state; what was left of the one before is given up.
    pub fn begin(&mut self, cluster: &Cluster, now: Timestamp) {
        let now = now.max(cluster.counters.at);
        self.give_up();
        match &mut self.view {
            Some(view) => {
                if !view.follow(cluster, now) {
                    self.memory = Memory::default();
                }
            }
            None => self.view = Some(View::new(cluster, now)),
        }
        if let Some(view) = &mut self.view {
            self.memory.begin(view.fleet.moved());
            if cluster.accounts.is_limiting() {
                // What may start where depends on what others have: starts are sought anew.
                self.memory.grow();
            }
            let mut pass = Pass::new(view, now);
            claims(cluster, &mut pass);
            view.classes.next_timer().into_iter().for_each(|at| pass.wake(at));
            self.pass = Some(pass);
        }
    }

    /// Whether a pass was cut that can go on.
    pub fn is_cut(&self) -> bool {
        self.pass.is_some()
    }

    /// Goes on with the pass that was begun, for about so many looks at jobs, nodes and times.
    pub fn go_on(&mut self, looks: u64) -> Progress {
        let (Some(view), Some(mut pass)) = (&mut self.view, self.pass.take()) else {
            return Progress::Done(Plan::default());
        };
        let cluster = view.seen.clone();
        let market = Market::new(&cluster, pass.instant.now);
        let (memory, pass_so_far) = (&mut self.memory, &mut pass);
        let mut planner = Planner { cluster: &cluster, market: &market, view, memory, pass: pass_so_far };
        if !planner.queue(looks) {
            let steps = std::mem::take(&mut pass.steps);
            self.pass = Some(pass);
            return Progress::Cut { steps };
        }
        planner.minimum();
        shrink(&cluster, &view.fleet, &mut pass);
        view.fleet.restore();
        let notes = Notes {
            tried: pass.notes.into(),
            failed: reasons(&pass.standings),
            shut: view.classes.shut.clone(),
            class_of: view.classes.class_of.clone(),
        };
        Progress::Done(Plan { steps: pass.steps, notes, wake_at: pass.wake_at })
    }

    fn give_up(&mut self) {
        if self.pass.take().is_some()
            && let Some(view) = &mut self.view
        {
            view.fleet.restore();
        }
    }
}
