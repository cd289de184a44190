//! Several simulations at once, one thread for each, with progress.

use super::cases::Case;
use crate::terminal::escaped;
use squall_sim::whatif::{self, Discipline, Outcome, Progress, Work};
use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Between two lines about how it goes.
const TELL: Duration = Duration::from_secs(2);

/// One simulation.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    pub case: &'a Case,
    /// `None` is the engine itself.
    pub discipline: Option<Discipline>,
}

impl Task<'_> {
    fn name(&self) -> String {
        let policy = self.discipline.map_or("Squall", Discipline::word);
        format!("{policy}, {}", escaped(&self.case.setup.name))
    }

    fn run(&self, work: &[Work], watch: &mut dyn FnMut(&Progress)) -> Result<Outcome, String> {
        match self.discipline {
            None => whatif::simulate(&self.case.setup, work, watch),
            Some(discipline) => Ok(whatif::baseline(&self.case.setup.name, &self.case.fleet, work, discipline, watch)),
        }
    }
}

/// For each case the engine, then the baselines.
pub fn tasks<'a>(cases: &'a [Case], disciplines: &[Discipline], baselines_alone: bool) -> Vec<Task<'a>> {
    let engine = (!baselines_alone).then_some(None);
    let policies: Vec<Option<Discipline>> = engine.into_iter().chain(disciplines.iter().copied().map(Some)).collect();
    cases
        .iter()
        .flat_map(|case| policies.iter().map(move |discipline| Task { case, discipline: *discipline }))
        .collect()
}

enum News {
    Progress(usize, Progress),
    Done(usize, Box<Result<Outcome, String>>),
}

/// Plays all tasks, as many at a time as there are processors, and tells how it goes.
///
/// # Errors
/// The first task that cannot be played.
pub fn play(tasks: &[Task<'_>], work: &[Work], tell: &mut dyn Write) -> Result<Vec<Outcome>, String> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(tasks.len());
    let left = Mutex::new((0..tasks.len()).collect::<VecDeque<usize>>());
    let (send, receive) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..threads {
            let (left, send) = (&left, send.clone());
            scope.spawn(move || {
                while let Some(number) = left.lock().expect("nobody panics with it").pop_front() {
                    let mut watch = |progress: &Progress| {
                        // Whoever listened may have gone; nobody will hear of the end either.
                        let _ = send.send(News::Progress(number, *progress));
                    };
                    let outcome = tasks[number].run(work, &mut watch);
                    let _ = send.send(News::Done(number, Box::new(outcome)));
                }
            });
        }
        drop(send);
        let gathered = gather(tasks, receive, tell);
        // What has not begun need not any more.
        left.lock().expect("nobody panics with it").clear();
        gathered
    })
}

fn gather(tasks: &[Task<'_>], news: mpsc::Receiver<News>, tell: &mut dyn Write) -> Result<Vec<Outcome>, String> {
    let began = Instant::now();
    let mut outcomes: Vec<Option<Outcome>> = vec![None; tasks.len()];
    let mut told: Vec<Option<Instant>> = vec![None; tasks.len()];
    for news in news {
        match news {
            News::Progress(number, progress) => {
                let first = *told[number].get_or_insert_with(Instant::now);
                if first.elapsed() >= TELL {
                    told[number] = Some(Instant::now());
                    // A terminal that is gone ends nothing.
                    let _ = writeln!(tell, "{}: {}", tasks[number].name(), line(&progress));
                }
            }
            News::Done(number, outcome) => {
                let outcome = outcome.map_err(|why| format!("{}: {why}", tasks[number].name()))?;
                let took = began.elapsed().as_secs_f64();
                let _ = writeln!(tell, "{}: done, {took:.1} s after the start", tasks[number].name());
                outcomes[number] = Some(outcome);
            }
        }
    }
    outcomes.into_iter().collect::<Option<Vec<_>>>().ok_or_else(|| "a simulation ended without an outcome".to_owned())
}

fn line(progress: &Progress) -> String {
    let Progress { after, jobs, ended, queued, nodes, .. } = progress;
    let days = after.0 as f64 / 86_400_000.0;
    format!("day {days:.1}, {ended} of {jobs} jobs ended, {queued} queued, {nodes} nodes")
}
