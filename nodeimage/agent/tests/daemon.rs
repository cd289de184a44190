//! The agent's real binary against a controller over TLS.
#![allow(clippy::unwrap_used)]

mod bench;
mod controller;

use bench::{alive, until};
use controller::{Agent, Controller};
use squall_proto::client::Client;
use squall_proto::connect::Target;
use squall_types::Span;
use squall_types::agent::{AgentReport, AssignedPhase, Assignment, AttemptState, EndCause, JoinAs, StopWhy};
use squalld::shim::records::Folder;
use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[tokio::test]
async fn an_agent_joins_says_what_it_measured_and_stays_in_touch() {
    let mut controller = Controller::start().await;
    let agent = Agent::new(&controller, &[]);
    let (measured, attempts) = controller.hello().await;
    assert!(measured.shape.cpus > 0 && measured.shape.memory_mib > 0 && !measured.boot_id.is_empty());
    assert!(attempts.is_empty());
    assert_eq!(controller.report().await, AgentReport::Health { fault: String::new() });
    assert_eq!(controller.report().await, AgentReport::Heartbeat);
    let joins = controller.joins();
    assert_eq!((joins.len(), &joins[0].join_as), (1, &JoinAs::StaticNode("n1".into())));
    for file in ["key.pem", "membership"] {
        assert_eq!(std::fs::metadata(agent.state().join(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
}

#[tokio::test]
async fn a_job_runs_from_order_to_acknowledged_end() {
    let mut controller = Controller::start().await;
    let agent = Agent::new(&controller, &[]);
    controller.hello().await;
    let job = controller.job("#!/bin/sh\necho hello from $SLURM_JOB_ID\nexit 5\n", &agent.work());
    controller.want(&job);
    assert!(matches!(controller.news(job.run).await, AttemptState::Running { .. }));
    let end = controller.end(job.run).await;
    assert_eq!((end.cause, end.exit.code), (EndCause::Exited, 5));
    assert_eq!(agent.output("slurm-1.out"), "hello from 1\n");
}

#[tokio::test]
async fn a_socket_to_which_nobody_came_is_the_next_jobs() {
    let mut controller = Controller::start().await;
    let agent = Agent::new(&controller, &[]);
    controller.hello().await;
    let folder = agent.dir.path().join("run");
    let found = |name: &str| {
        let mut paths = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        paths.find(|path| path.to_str().unwrap().contains(name))
    };
    let stop = AssignedPhase::Stop { why: StopWhy::Cancelled, grace: Span::from_secs(5) };
    let one = controller.job("#!/bin/sh\nsleep 600\n", &agent.work());
    controller.want(&one);
    controller.running(one.run).await;
    let first = found("/job-1.n1.").unwrap().metadata().unwrap().ino();
    controller.want(&Assignment { phase: stop, ..one.clone() });
    controller.end(one.run).await;
    until("it waits for another job", || found("/job-spare-").is_some()).await;
    let two = controller.job("#!/bin/sh\nsleep 600\n", &agent.work());
    controller.want(&two);
    controller.running(two.run).await;
    let socket = found("/job-2.n1.").unwrap();
    assert_eq!((socket.metadata().unwrap().ino(), found("/job-spare-")), (first, None));
    // It knows whose it is now.
    let client = Client::connect(&Target::unix(&socket).unwrap()).await.unwrap();
    let text = client.ping().await.unwrap_err().to_string();
    assert!(text.contains("this is the socket of job 2"), "{text}");
    controller.want(&Assignment { phase: stop, ..two.clone() });
    controller.end(two.run).await;
    until("one that was used goes with its job", || !socket.exists()).await;
    assert_eq!(found("/job-spare-"), None);
}

#[tokio::test]
async fn an_agent_that_is_told_to_end_leaves_nothing_of_jobs_that_are_over() {
    let mut controller = Controller::start().await;
    let mut agent = Agent::new(&controller, &[]);
    controller.hello().await;
    let jobs: Vec<_> = (0..5).map(|_| controller.job("#!/bin/sh\n# a secret\n", &agent.work())).collect();
    for job in &jobs {
        controller.want(job);
        controller.end(job.run).await;
    }
    let running = controller.job("#!/bin/sh\nwhile [ ! -e go ]; do sleep 0.05; done\n", &agent.work());
    controller.want(&running);
    controller.running(running.run).await;
    // That the last was forgotten is written down before what follows is.
    assert_eq!(agent.terminate(), Some(0));
    let left: Vec<_> = std::fs::read_dir(agent.state().join("runs")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, [running.run.to_string().as_str()], "and what runs goes on");
    agent.start();
    let (_, attempts) = controller.hello().await;
    assert!(matches!(&attempts[..], [(run, AttemptState::Running { .. })] if *run == running.run), "{attempts:?}");
    std::fs::write(agent.work().join("go"), "").unwrap();
    assert_eq!(controller.end(running.run).await.exit.code, 0);
}

#[tokio::test]
async fn a_gang_member_prepares_first() {
    let mut controller = Controller::start().await;
    let agent = Agent::new(&controller, &[]);
    controller.hello().await;
    let mut job = controller.job("#!/bin/sh\ntouch ran\n", &agent.work());
    job.phase = AssignedPhase::Prepare;
    controller.want(&job);
    assert_eq!(controller.news(job.run).await, AttemptState::Prepared);
    assert!(!agent.work().join("ran").exists());
    job.phase = AssignedPhase::Run { started_at: squall_types::Timestamp(1), suspended: false };
    controller.want(&job);
    assert_eq!(controller.end(job.run).await.exit.code, 0);
    assert!(agent.work().join("ran").exists());
}

#[tokio::test]
async fn exit_codes_are_kept_over_kill_9_of_the_agent() {
    let mut controller = Controller::start().await;
    let mut agent = Agent::new(&controller, &[]);
    controller.hello().await;
    let job = controller.job("#!/bin/sh\nwhile [ ! -e go ]; do sleep 0.05; done; exit 21\n", &agent.work());
    controller.want(&job);
    controller.running(job.run).await;
    agent.kill();
    std::fs::write(agent.work().join("go"), "").unwrap();
    let folder = Folder(agent.state().join("runs/1.1"));
    until("the job ends without an agent", || folder.record().clean().is_some()).await;
    agent.start();
    let (_, attempts) = controller.hello().await;
    match &attempts[..] {
        [(run, AttemptState::Ended(end))] => assert_eq!((*run, end.exit.code), (job.run, 21)),
        other => panic!("{other:?}"),
    }
    assert_eq!(controller.joins().len(), 1, "the certificate was kept");
}

#[tokio::test]
async fn a_running_job_is_adopted_after_kill_9_and_not_started_again() {
    let mut controller = Controller::start().await;
    let mut agent = Agent::new(&controller, &[]);
    controller.hello().await;
    let script = "#!/bin/sh\necho ran >> count; while [ ! -e go ]; do sleep 0.05; done; exit 3\n";
    let job = controller.job(script, &agent.work());
    controller.want(&job);
    controller.running(job.run).await;
    for _ in 0..3 {
        agent.kill();
        agent.start();
        let (_, attempts) = controller.hello().await;
        assert!(matches!(&attempts[..], [(run, AttemptState::Running { .. })] if *run == job.run), "{attempts:?}");
    }
    std::fs::write(agent.work().join("go"), "").unwrap();
    assert_eq!(controller.end(job.run).await.exit.code, 3);
    assert_eq!(agent.output("count"), "ran\n");
}

#[tokio::test]
async fn kill_9_at_any_moment_of_a_start_executes_once_or_not_at_all() {
    let mut controller = Controller::start().await;
    let mut agent = Agent::new(&controller, &[]);
    controller.hello().await;
    for round in 0..12u64 {
        let job = controller.job("#!/bin/sh\necho x >> count-$SLURM_JOB_ID; exit 6\n", &agent.work());
        controller.want(&job);
        tokio::time::sleep(Duration::from_millis(round * 3)).await;
        agent.kill();
        agent.start();
        let (_, attempts) = controller.hello().await;
        let said = attempts.iter().find_map(|(run, state)| match state {
            AttemptState::Ended(end) if *run == job.run => Some(end.clone()),
            _ => None,
        });
        let end = match said {
            Some(end) => {
                controller.acknowledge(job.run);
                end
            }
            None => controller.end(job.run).await,
        };
        assert_eq!((end.cause, end.exit.code), (EndCause::Exited, 6), "round {round}: {}", end.detail);
        assert_eq!(agent.output(&format!("count-{}", job.run.job)), "x\n", "round {round}");
    }
}

#[tokio::test]
async fn jobs_go_on_without_a_controller_and_end_at_their_limit() {
    let mut controller = Controller::start().await;
    let agent = Agent::new(&controller, &[]);
    controller.hello().await;
    let mut job =
        controller.job("#!/bin/sh\necho $$ > pid\ntrap '' TERM; while :; do sleep 0.1; done\n", &agent.work());
    job.detail.time_limit = Span::from_secs(3);
    job.detail.kill_wait = Span::from_secs(1);
    controller.want(&job);
    controller.running(job.run).await;
    let began = Instant::now();
    controller.down().await;
    let pid = agent.work().join("pid");
    until("it runs", || pid.exists()).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(alive(&pid), "silence ends no job");
    until("its time is over", || !alive(&pid)).await;
    assert!(began.elapsed() >= Duration::from_millis(3900), "{:?}", began.elapsed());
    controller.up().await;
    let (_, attempts) = controller.hello().await;
    assert!(
        matches!(&attempts[..], [(_, AttemptState::Ended(end))] if end.cause == EndCause::TimeLimit),
        "{attempts:?}"
    );
    assert!(agent.output("slurm-1.out").contains("DUE TO TIME LIMIT ***"));
}

#[tokio::test]
async fn a_stop_ends_a_job() {
    let mut controller = Controller::start().await;
    let agent = Agent::new(&controller, &[]);
    controller.hello().await;
    let mut job = controller.job("#!/bin/sh\nsleep 600\n", &agent.work());
    controller.want(&job);
    controller.running(job.run).await;
    job.phase = AssignedPhase::Stop { why: StopWhy::Cancelled, grace: Span::from_secs(5) };
    controller.want(&job);
    let end = controller.end(job.run).await;
    assert_eq!((end.cause, end.exit.signal), (EndCause::Stopped, 15));
}

#[tokio::test]
async fn the_agents_own_end_leaves_jobs_running() {
    let mut controller = Controller::start().await;
    let mut agent = Agent::new(&controller, &[]);
    controller.hello().await;
    let job =
        controller.job("#!/bin/sh\necho $$ > pid\nwhile [ ! -e go ]; do sleep 0.05; done; exit 2\n", &agent.work());
    controller.want(&job);
    controller.running(job.run).await;
    let pid = agent.work().join("pid");
    until("it runs", || alive(&pid)).await;
    assert_eq!(agent.terminate(), Some(0));
    assert!(alive(&pid));
    agent.start();
    controller.hello().await;
    std::fs::write(agent.work().join("go"), "").unwrap();
    assert_eq!(controller.end(job.run).await.exit.code, 2);
}

#[tokio::test]
async fn a_second_agent_on_the_same_folder_ends_with_17() {
    let mut controller = Controller::start().await;
    let agent = Agent::new(&controller, &[]);
    controller.hello().await;
    assert_eq!(agent.twin(), Some(17));
}

#[tokio::test]
async fn a_controller_that_was_replaced_is_not_obeyed() {
    let mut controller = Controller::start().await;
    let mut agent = Agent::new(&controller, &[]);
    controller.epoch = 5;
    controller.hello().await;
    let job = controller.job("#!/bin/sh\nexit 0\n", &agent.work());
    controller.want(&job);
    controller.end(job.run).await;
    agent.kill();
    controller.epoch = 4;
    agent.start();
    controller.hello().await;
    let late = controller.job("#!/bin/sh\ntouch obeyed\n", &agent.work());
    controller.want(&late);
    // The order has been read when the agent has beaten twice after it.
    for _ in 0..2 {
        while controller.report().await != AgentReport::Heartbeat {}
    }
    assert!(!agent.work().join("obeyed").exists());
    controller.epoch = 5;
    controller.full_set();
    assert_eq!(controller.end(late.run).await.exit.code, 0);
}

#[tokio::test]
async fn garbage_in_the_ledger_costs_that_run_alone() {
    let mut controller = Controller::start().await;
    let mut agent = Agent::new(&controller, &[]);
    controller.hello().await;
    let script = "#!/bin/sh\necho $$ > pid-$SLURM_JOB_ID\nwhile [ ! -e go ]; do sleep 0.05; done\n";
    let (hurt, well) = (controller.job(script, &agent.work()), controller.job(script, &agent.work()));
    controller.want(&hurt);
    controller.running(hurt.run).await;
    controller.want(&well);
    controller.running(well.run).await;
    let pid = agent.work().join("pid-1");
    until("it runs", || alive(&pid)).await;
    agent.kill();
    // Its acceptance and its start stand there first.
    let ledger = agent.state().join("ledger");
    let mut bytes = std::fs::read(&ledger).unwrap();
    let entries: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"SQA1")).collect();
    assert_eq!(entries.len(), 4);
    entries[..2].iter().for_each(|entry| bytes[entry + 40] ^= 1);
    std::fs::write(&ledger, bytes).unwrap();
    agent.start();
    let (_, attempts) = controller.hello().await;
    assert!(matches!(&attempts[0], (run, AttemptState::Ended(end)) if *run == hurt.run && end.cause == EndCause::Lost));
    assert!(matches!(&attempts[1], (run, AttemptState::Running { .. }) if *run == well.run));
    assert!(!alive(&pid), "what is lost runs no more");
    std::fs::write(agent.work().join("go"), "").unwrap();
    controller.end(well.run).await;
}

#[tokio::test]
async fn a_script_that_is_not_what_its_digest_says_is_not_run() {
    let mut controller = Controller::start().await;
    let agent = Agent::new(&controller, &[]);
    controller.hello().await;
    let mut job = controller.job("#!/bin/sh\ntouch ran\n", &agent.work());
    controller.drop_blobs();
    job.detail.time_limit = Span::from_secs(60);
    controller.want(&job);
    let end = controller.end(job.run).await;
    assert_eq!(end.cause, EndCause::LaunchFailed);
    assert!(end.detail.contains("not obtained"), "{}", end.detail);
    assert!(!agent.work().join("ran").exists());
}

#[tokio::test]
async fn a_bought_machine_past_its_bound_powers_itself_off() {
    let mut controller = Controller::start().await;
    let die_at = (squalld::clock::now().wall.0 + 2500).to_string();
    let mut agent = Agent::new(&controller, &["--order", "9", "--instance", "i-9", "--die-at", &die_at]);
    controller.hello().await;
    assert_eq!(controller.joins()[0].join_as, JoinAs::Order(squall_types::OrderId(9)));
    assert_eq!(agent.wait(), Some(0));
    assert!(agent.state().join("powered-off").exists());
}

/// A file system of its own in a folder, which can be made to hang as a disk does.
struct Disk {
    at: PathBuf,
    _image: tempfile::NamedTempFile,
}

impl Disk {
    /// `None` where this test may mount nothing.
    fn mounted(at: &Path) -> Option<Disk> {
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(32 << 20).unwrap();
        let made = run("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), image.path().as_os_str()]);
        let mounted = made && run("mount", &["-o".as_ref(), "loop".as_ref(), image.path().as_os_str(), at.as_os_str()]);
        mounted.then(|| Disk { at: at.to_owned(), _image: image })
    }

    fn hang(&self) {
        // Whatever becomes of the test: a process that waits for such a disk cannot be killed.
        let later = "(sleep 20; fsfreeze -u \"$0\") >/dev/null 2>&1 &";
        assert!(run("sh", &["-c".as_ref(), later.as_ref(), self.at.as_os_str()]));
        assert!(run("fsfreeze", &["-f".as_ref(), self.at.as_os_str()]));
    }

    fn go_on(&self) {
        run("fsfreeze", &["-u".as_ref(), self.at.as_os_str()]);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.go_on();
        run("umount", &["-l".as_ref(), self.at.as_os_str()]);
    }
}

fn run(program: &str, arguments: &[&OsStr]) -> bool {
    Command::new(program).args(arguments).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[tokio::test]
async fn a_node_whose_disk_hangs_falls_silent_and_goes_on_with_it() {
    let mut controller = Controller::start().await;
    let mut agent = Agent::new(&controller, &[]);
    controller.hello().await;
    agent.terminate();
    agent.wait();
    std::fs::remove_dir_all(agent.state()).unwrap();
    std::fs::create_dir(agent.state()).unwrap();
    let Some(disk) = Disk::mounted(&agent.state()) else {
        eprintln!("SKIPPED: no file system could be mounted");
        return;
    };
    agent.start();
    controller.hello().await;
    let first = controller.job("#!/bin/sh\nwhile [ ! -e go ]; do sleep 0.05; done\nexit 3\n", &agent.work());
    controller.want(&first);
    controller.running(first.run).await;
    disk.hang();
    let second = controller.job("#!/bin/sh\ntouch ran\n", &agent.work());
    controller.want(&second);
    // What was on its way may still come; then not even a heartbeat does.
    let silence = Duration::from_secs(3);
    let mut last = 0;
    while tokio::time::timeout(silence, controller.report()).await.is_ok() {
        last += 1;
        assert!(last < 10, "it does not fall silent");
    }
    assert!(!agent.work().join("ran").exists(), "nothing begins of which nothing is written down");
    disk.go_on();
    controller.running(second.run).await;
    assert_eq!(controller.end(second.run).await.cause, EndCause::Exited);
    std::fs::write(agent.work().join("go"), "").unwrap();
    assert_eq!(controller.end(first.run).await.exit.code, 3);
}
