//! How jobs end: nothing of them is left, and how it was is kept over the death of agents and shims.

#![allow(clippy::unwrap_used)]

mod bench;

use bench::{Bench, alive, containments, until};
use squall_types::agent::{AssignedPhase, Assignment, EndCause, ExitStatus, SignalTarget, StopWhy};
use squall_types::{Span, StepId, Timestamp};
use squalld::cell::{Cell, Containment, Groups, Kind, Process, SCRIPT};
use squalld::duty::{DutyInput, Found, Remains};
use squalld::shim::records::Folder;
use std::process::{Child, Command};

/// Leaves a daemon: two forks, a session of its own, files closed, and deaf to SIGTERM.
const DAEMON: &str = "#!/bin/sh\n\
    setsid sh -c 'trap \"\" TERM HUP; (sh -c \"trap \\\"\\\" TERM HUP; echo \\$\\$ > daemon.pid; while :; do sleep 1; done\" \
    </dev/null >/dev/null 2>&1 &)' </dev/null >/dev/null 2>&1 &\n\
    while [ ! -s daemon.pid ]; do sleep 0.05; done\n";

#[tokio::test]
async fn what_a_script_leaves_behind_is_dead_before_its_end_is_told() {
    for containment in containments() {
        let mut bench = Bench::new(containment);
        let job = bench.job(&format!("{DAEMON}exit 3\n"));
        bench.start(&job).await;
        let pid_file = bench.work().join("daemon.pid");
        until("the daemon runs", || alive(&pid_file)).await;
        let end = bench.end().await;
        assert_eq!((end.cause, end.exit), (EndCause::Exited, ExitStatus { code: 3, signal: 0 }));
        assert!(!alive(&pid_file), "{containment:?}");
    }
}

#[tokio::test]
async fn a_daemon_without_its_mark_is_found_as_well() {
    for containment in containments() {
        let mut bench = Bench::new(containment);
        let daemon = DAEMON.replace("setsid sh", "setsid env -i sh");
        let job = bench.job(&format!("{daemon}exit 0\n"));
        bench.start(&job).await;
        bench.end().await;
        assert!(!alive(&bench.work().join("daemon.pid")), "{containment:?}");
    }
}

#[tokio::test]
async fn a_stop_terminates_and_a_kill_kills() {
    for containment in containments() {
        let mut bench = Bench::new(containment);
        let job = bench.job(&format!("{DAEMON}trap 'echo asked' TERM; touch ready\nwhile :; do sleep 0.1; done\n"));
        bench.start(&job).await;
        let pid_file = bench.work().join("daemon.pid");
        let ready = bench.work().join("ready");
        until("the script listens", || ready.exists()).await;
        assert!(alive(&pid_file));
        bench.stop(&job, StopWhy::Cancelled);
        let out = bench.work().join("slurm-1.out");
        until(&format!("the script is asked: {containment:?}"), || {
            std::fs::read_to_string(&out).is_ok_and(|text| text.contains("asked"))
        })
        .await;
        bench.hands.kill(job.run);
        let end = bench.end().await;
        assert_eq!(end.exit, ExitStatus { code: 0, signal: 9 });
        assert!(!alive(&pid_file), "{containment:?}");
        let text = bench.output("slurm-1.out");
        assert!(text.starts_with("slurmstepd: error: *** JOB 1 ON n1 CANCELLED AT 2"), "{text}");
    }
}

/// Counts in a process of its own, which no signal but those that nobody can refuse would stop.
const COUNTS: &str = "#!/bin/sh\n\
    (trap '' TSTP TTIN TTOU; count=0; while :; do count=$((count + 1)); echo $count > count; sleep 0.01; done) &\n\
    wait\n";

/// Counts at the pace of the job, outside of it: the clock by which the job stands still, however busy the machine is.
struct Pace {
    counting: Child,
    folder: tempfile::TempDir,
}

impl Pace {
    fn start() -> Pace {
        let folder = tempfile::tempdir().unwrap();
        let script = "while :; do echo >> count; sleep 0.01; done";
        let counting = Command::new("sh").arg("-c").arg(script).current_dir(&folder).spawn().unwrap();
        Pace { counting, folder }
    }

    fn count(&self) -> u64 {
        std::fs::metadata(self.folder.path().join("count")).map_or(0, |file| file.len())
    }

    /// Until the file is the same for as long as this takes to count to 20.
    async fn stands_still(&self, file: &std::path::Path) {
        loop {
            let (before, from) = (std::fs::read(file).unwrap_or_default(), self.count());
            until("this one goes on", || self.count() >= from + 20).await;
            if std::fs::read(file).unwrap_or_default() == before {
                return;
            }
        }
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        let _ = self.counting.kill();
        let _ = self.counting.wait();
    }
}

#[tokio::test]
async fn what_is_frozen_stands_still_and_goes_on_where_it_was() {
    let pace = Pace::start();
    for containment in containments() {
        let mut bench = Bench::new(containment);
        let job = bench.job(COUNTS);
        bench.start(&job).await;
        let count = bench.work().join("count");
        until("it counts", || count.exists()).await;
        for _ in 0..2 {
            bench.hands.freeze(job.run);
            pace.stands_still(&count).await;
            let cell = Folder(bench.hands.places.run(job.run)).record().plan().unwrap().cell.clone();
            let part = match cell.kind {
                Kind::Bare => cell.part_named(SCRIPT),
                Kind::Groups(_) => cell.part("step-0").unwrap(),
            };
            until(&format!("its parts know: {containment:?}"), || part.is_frozen()).await;
            let before = std::fs::read(&count).unwrap();
            bench.hands.thaw(job.run);
            until(&format!("it goes on: {containment:?}"), || std::fs::read(&count).unwrap() != before).await;
        }
        // The last order holds, however fast they come.
        for _ in 0..20 {
            bench.hands.freeze(job.run);
            bench.hands.thaw(job.run);
        }
        bench.hands.freeze(job.run);
        pace.stands_still(&count).await;
        // What an agent leaves frozen, the next one finds, and can end.
        bench.restart();
        assert!(matches!(bench.found(&job).await, Found::Running(_)), "{containment:?}");
        pace.stands_still(&count).await;
        bench.hands.freeze(job.run);
        bench.stop(&job, StopWhy::Cancelled);
        let end = bench.end().await;
        assert_eq!(end.exit, ExitStatus { code: 0, signal: 15 }, "{containment:?}");
    }
}

#[tokio::test]
async fn what_is_frozen_can_be_killed() {
    let pace = Pace::start();
    for containment in containments() {
        let mut bench = Bench::new(containment);
        let job = bench.job(COUNTS);
        bench.start(&job).await;
        let count = bench.work().join("count");
        until("it counts", || count.exists()).await;
        bench.hands.freeze(job.run);
        pace.stands_still(&count).await;
        bench.hands.kill(job.run);
        assert_eq!(bench.end().await.exit, ExitStatus { code: 0, signal: 9 }, "{containment:?}");
    }
}

#[tokio::test]
async fn the_time_limit_is_named_in_the_jobs_error_output() {
    let mut bench = Bench::new(Containment::Auto);
    let mut job = bench.job("#!/bin/sh\nsleep 600\n");
    job.detail.spec.stderr = Some("err".into());
    bench.start(&job).await;
    bench.stop(&job, StopWhy::TimeLimit);
    let end = bench.end().await;
    assert_eq!(end.exit, ExitStatus { code: 0, signal: 15 });
    let text = bench.output("err");
    assert!(
        text.contains("slurmstepd: error: *** JOB 1 ON n1 CANCELLED AT ") && text.ends_with(" DUE TO TIME LIMIT ***\n")
    );
}

#[tokio::test]
async fn a_signal_for_the_batch_shell_reaches_only_the_shell() {
    for containment in containments() {
        let mut bench = Bench::new(containment);
        let job = bench.job("#!/bin/sh\ntrap 'echo shell' USR1; (trap 'echo child' USR1; touch up; sleep 2) & while ! wait; do :; done\n");
        bench.start(&job).await;
        let up = bench.work().join("up");
        until("the child is up", || up.exists()).await;
        bench.hands.signal(job.run, SignalTarget::Steps, libc::SIGUSR1);
        bench.hands.signal(job.run, SignalTarget::BatchShell, libc::SIGUSR1);
        bench.end().await;
        assert_eq!(bench.output("slurm-1.out"), "shell\n");
    }
}

fn cell_of(bench: &Bench, job: &Assignment) -> Cell {
    Folder(bench.hands.places.run(job.run)).record().plan().unwrap().cell.clone()
}

/// Says when it hears USR1, and lives on.
const LISTENS: &str = "trap 'echo step >> step' USR1; touch step-up; while :; do sleep 0.05; done";

/// What a step of the job is: with a mark, and a group where there are groups, of its own.
fn step(bench: &Bench, job: &Assignment) -> Child {
    let cell = cell_of(bench, job);
    let part = cell.part("step-0").unwrap();
    let join = match &part.kind {
        Kind::Groups(Groups { unified: Some(group), .. }) => format!("echo $$ > {group}/cgroup.procs; "),
        Kind::Groups(Groups { v1, .. }) => v1.iter().map(|(_, g)| format!("echo $$ > {g}/cgroup.procs; ")).collect(),
        Kind::Bare => String::new(),
    };
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{join}{LISTENS}")).current_dir(bench.work());
    command.envs([&cell.marker, &part.marker].map(|mark| mark.split_once('=').unwrap()));
    command.spawn().unwrap()
}

/// The script and a process that it has started say when they hear USR1; then both end.
const BOTH_LISTEN: &str = "#!/bin/sh\n\
    trap 'echo shell' USR1; (trap 'echo child; exit' USR1; touch up; while :; do sleep 0.05; done) &\n\
    while ! wait; do :; done\n";

#[tokio::test]
async fn a_signal_for_the_batch_step_reaches_the_script_and_what_it_started_but_no_other_step() {
    for containment in containments() {
        let mut bench = Bench::new(containment);
        let job = bench.job(BOTH_LISTEN);
        bench.start(&job).await;
        let mut step = step(&bench, &job);
        let (up, step_up) = (bench.work().join("up"), bench.work().join("step-up"));
        until("all are up", || up.exists() && step_up.exists()).await;
        bench.hands.signal(job.run, SignalTarget::Step(StepId::BATCH), libc::SIGUSR1);
        let end = bench.end().await;
        assert_eq!(end.exit, ExitStatus::default());
        let text = bench.output("slurm-1.out");
        // The shell has a word for what else the signal has ended.
        let mut lines: Vec<&str> = text.lines().filter(|line| ["child", "shell"].contains(line)).collect();
        lines.sort_unstable();
        assert_eq!(lines, ["child", "shell"], "{containment:?}");
        assert!(!bench.work().join("step").exists(), "{containment:?}");
        // It is over with the job.
        step.wait().unwrap();
    }
}

#[tokio::test]
async fn a_script_that_an_agent_before_put_into_a_group_of_its_own_is_signalled_and_cleared_away() {
    if !containments().contains(&Containment::Auto) {
        return;
    }
    let mut bench = Bench::new(Containment::Auto);
    let job = bench.job(BOTH_LISTEN);
    bench.start(&job).await;
    let up = bench.work().join("up");
    until("both are up", || up.exists()).await;
    let cell = cell_of(&bench, &job);
    let part = cell.part(SCRIPT).unwrap();
    let folder = |cell: &Cell| match &cell.kind {
        Kind::Groups(groups) => groups.unified.clone().or_else(|| groups.v1.first().map(|(_, group)| group.clone())),
        Kind::Bare => None,
    };
    let (whole, own) = (folder(&cell).unwrap(), folder(&part).unwrap());
    for process in cell.members() {
        // A `sleep` may be over.
        let _ = std::fs::write(format!("{own}/cgroup.procs"), process.pid.to_string());
    }
    assert!(std::fs::metadata(&own).is_ok() && part.members().len() >= 2);
    bench.restart();
    assert!(matches!(bench.found(&job).await, Found::Running(_)));
    bench.hands.signal(job.run, SignalTarget::Step(StepId::BATCH), libc::SIGUSR1);
    assert_eq!(bench.end().await.exit, ExitStatus::default());
    assert!(bench.output("slurm-1.out").contains("child") && bench.output("slurm-1.out").contains("shell"));
    assert!(std::fs::metadata(&whole).is_err(), "nothing is left of its groups");
}

#[tokio::test]
async fn the_exit_code_is_kept_while_no_agent_lives() {
    for containment in containments() {
        let mut bench = Bench::new(containment);
        let job = bench.job("#!/bin/sh\nsleep 0.3\nexit 9\n");
        bench.start(&job).await;
        let folder = Folder(bench.hands.places.run(job.run));
        until("the shim is done", || folder.record().clean().is_some()).await;
        bench.restart();
        match bench.found(&job).await {
            Found::Ended(end) => assert_eq!((end.cause, end.exit.code), (EndCause::Exited, 9)),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_running_job_is_adopted_with_its_start_and_watched_to_its_end() {
    for containment in containments() {
        let mut bench = Bench::new(containment);
        let job = bench.job("#!/bin/sh\nwhile [ ! -e go ]; do sleep 0.05; done; exit 4\n");
        let began = bench.start(&job).await;
        bench.restart();
        assert_eq!(bench.found(&job).await, Found::Running(began));
        std::fs::write(bench.work().join("go"), "").unwrap();
        assert_eq!(bench.end().await.exit.code, 4);
    }
}

#[tokio::test]
async fn a_killed_shim_means_lost_and_nothing_of_the_job_lives() {
    for containment in containments() {
        let mut bench = Bench::new(containment);
        let job = bench.job("#!/bin/sh\necho $$ > shell.pid; sleep 600\n");
        bench.start(&job).await;
        let pid_file = bench.work().join("shell.pid");
        until("the script runs", || alive(&pid_file)).await;
        let claim = Folder(bench.hands.places.run(job.run)).record().claim(1).cloned().unwrap();
        claim.shim.unwrap().signal(libc::SIGKILL);
        assert_eq!(bench.end().await.cause, EndCause::Lost);
        assert!(!alive(&pid_file), "{containment:?}");
    }
}

#[tokio::test]
async fn a_launch_that_never_began_is_proved_and_can_never_begin_later() {
    let at_once = AssignedPhase::Run { started_at: Timestamp(0), suspended: false };
    for (phase, found) in [(AssignedPhase::Prepare, Found::Prepared), (at_once, Found::NeverBegan)] {
        let mut bench = Bench::new(Containment::Auto);
        let job = Assignment { phase, ..bench.job("#!/bin/sh\ntouch ran\n") };
        bench.prepare(&job).await;
        bench.restart();
        assert_eq!(bench.found(&job).await, found);
        if found == Found::NeverBegan {
            // What nobody else waits for is prepared anew.
            bench.prepare(&job).await;
        }
        // A shim of the dead agent comes late.
        bench.let_loose(&job, 1);
        assert!(matches!(bench.next().await, DutyInput::ShimFailed { .. }));
        assert!(!bench.work().join("ran").exists());
        // The next launch does run.
        bench.let_loose(&job, 2);
        assert!(matches!(bench.next().await, DutyInput::ShimStarted { .. }));
        bench.end().await;
        assert!(bench.work().join("ran").exists());
    }
}

#[tokio::test]
async fn a_damaged_record_ends_its_run() {
    let mut bench = Bench::new(Containment::Auto);
    let job = bench.job("#!/bin/sh\necho $$ > shell.pid; sleep 600\n");
    bench.start(&job).await;
    let pid_file = bench.work().join("shell.pid");
    until("the script runs", || alive(&pid_file)).await;
    bench.restart();
    assert!(matches!(bench.hands.examine(job.run, Remains::Damaged).await, Found::Lost { .. }));
    assert!(!alive(&pid_file));
}

#[tokio::test]
async fn a_node_without_a_script_waits_until_it_is_stopped() {
    for containment in containments() {
        let mut bench = Bench::new(containment);
        let mut job = bench.job("#!/bin/sh\nexit 1\n");
        job.detail.rank = 1;
        bench.start(&job).await;
        bench.stop(&job, StopWhy::Ended);
        let end = bench.end().await;
        assert_eq!((end.cause, end.exit), (EndCause::Exited, ExitStatus::default()));
    }
}

#[tokio::test]
async fn too_much_memory_is_named_as_the_cause() {
    let mut bench = Bench::new(Containment::Auto);
    let limited = bench.hands.ground.unified_limits || !bench.hands.ground.v1.is_empty();
    if !limited {
        eprintln!("skipped: memory cannot be limited here");
        return;
    }
    let mut job = bench.job("#!/bin/sh\nexec python3 -c 'x = bytearray(300 << 20); print(len(x))'\n");
    job.allocation.memory_mib = 64;
    let end = bench.run(&job).await;
    assert_eq!((end.cause, end.exit.signal), (EndCause::OutOfMemory, 9));
}

#[tokio::test]
async fn cpu_time_is_counted_with_children() {
    for containment in containments() {
        let mut bench = Bench::new(containment);
        let job = bench.job("#!/bin/sh\n(i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done)\nexit 0\n");
        let end = bench.run(&job).await;
        let used = end.usage.user_cpu + end.usage.system_cpu;
        assert!(used >= Span::from_millis(50), "{containment:?} {:?}", end.usage);
        assert!(end.usage.max_rss_kib > 0);
    }
}

#[tokio::test]
async fn a_fork_bomb_of_short_lived_children_is_ended() {
    for containment in containments() {
        let mut bench = Bench::new(containment);
        let job =
            bench.job("#!/bin/sh\ntrap '' TERM\nf() { while :; do (sleep 0.01) & done; }\nf & f & touch up; wait\n");
        bench.start(&job).await;
        let up = bench.work().join("up");
        until("it forks", || up.exists()).await;
        bench.hands.kill(job.run);
        assert_eq!(bench.end().await.exit.signal, 9);
        let marker = format!("SQUALL_CELL={}/{}", bench.hands.mark, job.run);
        let left = squalld::cell::process::all();
        let left: Vec<Process> = left
            .values()
            .filter(|stat| !stat.zombie && squalld::cell::process::bears(stat.process.pid, &marker))
            .map(|stat| stat.process)
            .collect();
        assert_eq!(left, []);
    }
}
