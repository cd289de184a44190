//! Batch scripts on a real node: exit codes, files, environment, identity.

#![allow(clippy::unwrap_used)]

mod bench;

use bench::{Bench, containments, element, until};
use squall_types::agent::{Assignment, EndCause, ExitStatus, StopWhy};
use squall_types::{Gid, OpenMode, Uid};
use squalld::cell::process::{Stat, all};
use squalld::cell::{Containment, Process};
use squalld::duty::Found;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

fn code(code: i32) -> ExitStatus {
    ExitStatus { code, signal: 0 }
}

#[tokio::test]
async fn a_script_runs_and_its_exit_code_is_kept() {
    for containment in containments() {
        let mut bench = Bench::new(containment);
        let job = bench.job("#!/bin/sh\necho out; echo err >&2; exit 7\n");
        let end = bench.run(&job).await;
        assert_eq!((end.cause, end.exit), (EndCause::Exited, code(7)));
        assert_eq!(bench.output("slurm-1.out"), "out\nerr\n");
    }
}

/// Processes of this one that wait to be copied.
fn nurseries() -> Vec<Process> {
    let mine = |stat: &&Stat| stat.parent == std::process::id() && !stat.zombie;
    let waits = |process: &Process| {
        std::fs::read(format!("/proc/{}/cmdline", process.pid))
            .is_ok_and(|words| words.split(|byte| *byte == 0).any(|word| word == b"nursery"))
    };
    all().values().filter(mine).map(|stat| stat.process).filter(waits).collect()
}

#[tokio::test]
async fn a_nursery_that_is_killed_holds_no_job_up_and_is_replaced() {
    // Without control groups each process bears a mark of its own, and none is a copy.
    if !containments().contains(&Containment::Auto) {
        return;
    }
    let mut bench = Bench::new(Containment::Auto);
    let job = bench.job("#!/bin/sh\nexit 0\n");
    assert_eq!(bench.run(&job).await.exit, code(0));
    // Those of tests beside this one as well: for them it is the same.
    let killed = nurseries();
    assert!(!killed.is_empty());
    killed.iter().for_each(|nursery| nursery.signal(9));
    until("they are gone", || killed.iter().all(|nursery| !nursery.is_alive())).await;
    for _ in 0..2 {
        let job = bench.job("#!/bin/sh\nexit 3\n");
        assert_eq!(bench.run(&job).await.exit, code(3));
    }
    assert!(!nurseries().is_empty());
}

#[tokio::test]
async fn a_nursery_that_is_stopped_is_given_up() {
    if !containments().contains(&Containment::Auto) {
        return;
    }
    let mut bench = Bench::new(Containment::Auto);
    let job = bench.job("#!/bin/sh\nexit 0\n");
    assert_eq!(bench.run(&job).await.exit, code(0));
    let stopped = nurseries();
    stopped.iter().for_each(|nursery| nursery.signal(19));
    let job = bench.job("#!/bin/sh\necho once >>log; exit 3\n");
    assert_eq!(bench.run(&job).await.exit, code(3));
    assert!(stopped.iter().any(|nursery| nursery.is_alive()));
    stopped.iter().for_each(|nursery| nursery.signal(18));
    // What it was asked for comes late, and finds it done.
    until("it is gone", || stopped.iter().any(|nursery| !nursery.is_alive())).await;
    assert_eq!(bench.output("log"), "once\n");
}

/// As when its end was acknowledged.
fn forget(bench: &Bench, job: &Assignment) {
    bench.hands.discard(job.run);
    bench.hands.leftovers.push(job.run, 1);
}

#[tokio::test]
async fn the_folder_of_a_job_that_is_over_is_the_next_ones() {
    if !containments().contains(&Containment::Auto) {
        return;
    }
    let mut bench = Bench::new(Containment::Auto);
    let inode = |path: PathBuf| std::fs::metadata(path).unwrap().ino();
    let first = bench.job("#!/bin/sh\n# A script that is longer than the next.\necho first; exit 7\n");
    let end = bench.run(&first).await;
    assert_eq!((end.cause, end.exit), (EndCause::Exited, code(7)));
    let was = bench.hands.places.run(first.run);
    let (folder, script) = (inode(was.clone()), inode(was.join("slurm_script")));
    forget(&bench, &first);
    let next = bench.job("#!/bin/sh\ntouch up; while [ ! -e go ]; do sleep 0.05; done; echo next; exit 3\n");
    bench.start(&next).await;
    let is = bench.hands.places.run(next.run);
    assert_eq!((folder, script), (inode(is.clone()), inode(is.join("slurm_script"))));
    assert!(!was.exists());
    // Also for an agent that knows nothing but what is written down.
    bench.restart();
    assert!(matches!(bench.found(&next).await, Found::Running(_)));
    std::fs::write(bench.work().join("go"), "").unwrap();
    let end = bench.end().await;
    assert_eq!((end.cause, end.exit), (EndCause::Exited, code(3)));
    assert_eq!((bench.output("slurm-1.out"), bench.output("slurm-2.out")), ("first\n".into(), "next\n".into()));
}

#[tokio::test]
async fn what_a_user_has_kept_of_a_script_stays_as_it_is() {
    if !containments().contains(&Containment::Auto) {
        return;
    }
    let mut bench = Bench::new(Containment::Auto);
    let first = bench.job("#!/bin/sh\nln \"$0\" kept\n");
    assert_eq!(bench.run(&first).await.exit, code(0));
    forget(&bench, &first);
    let next = bench.job("#!/bin/sh\nexit 3\n");
    assert_eq!(bench.run(&next).await.exit, code(3));
    assert_eq!(bench.output("kept"), "#!/bin/sh\nln \"$0\" kept\n");
}

#[tokio::test]
async fn a_folder_of_which_others_were_told_is_nobody_elses() {
    if !containments().contains(&Containment::Auto) {
        return;
    }
    let mut bench = Bench::new(Containment::Auto);
    let first = bench.job("#!/bin/sh\nsleep 600\n");
    bench.start(&first).await;
    // A notice is written there.
    bench.stop(&first, StopWhy::Cancelled);
    bench.end().await;
    forget(&bench, &first);
    let next = bench.job("#!/bin/sh\nexit 3\n");
    assert_eq!(bench.run(&next).await.exit, code(3));
    assert!(bench.hands.places.run(first.run).exists());
}

#[tokio::test]
async fn a_signal_is_told_apart_from_an_exit_code() {
    let mut bench = Bench::new(Containment::Auto);
    let job = bench.job("#!/bin/sh\nkill -SEGV $$\n");
    let end = bench.run(&job).await;
    assert_eq!((end.cause, end.exit), (EndCause::Exited, ExitStatus { code: 0, signal: 11 }));
}

#[tokio::test]
async fn files_follow_slurms_patterns_and_open_modes() {
    let mut bench = Bench::new(Containment::Auto);
    let mut job = bench.job("#!/bin/sh\ncat; echo out; echo err >&2\n");
    job.detail.array = Some(element(40, 3));
    job.detail.spec.stdout = Some("%x-%A_%a-%N-%t.out".into());
    job.detail.spec.stderr = Some("err-%j".into());
    job.detail.spec.stdin = Some("input".into());
    std::fs::write(bench.work().join("input"), "in\n").unwrap();
    std::fs::write(bench.work().join("err-1"), "before\n").unwrap();
    bench.run(&job).await;
    assert_eq!(bench.output("bench-40_3-n1-0.out"), "in\nout\n");
    assert_eq!(bench.output("err-1"), "err\n", "truncated unless told otherwise");

    let mut job = bench.job("#!/bin/sh\necho again\n");
    job.detail.spec.stdout = Some("err-1".into());
    job.detail.spec.open_mode = OpenMode::Append;
    bench.run(&job).await;
    assert_eq!(bench.output("err-1"), "err\nagain\n");

    let mut job = bench.job("#!/bin/sh\necho element\n");
    job.detail.array = Some(element(41, 5));
    bench.run(&job).await;
    assert_eq!(bench.output("slurm-41_5.out"), "element\n");
}

#[tokio::test]
async fn output_to_nowhere_and_to_an_unread_pipe_do_not_hang() {
    let mut bench = Bench::new(Containment::Auto);
    let mut job = bench.job("#!/bin/sh\necho lost\n");
    job.detail.spec.stdout = Some("/dev/null".into());
    assert_eq!(bench.run(&job).await.exit, code(0));

    let fifo = bench.work().join("pipe");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut job = bench.job("#!/bin/sh\necho never\n");
    job.detail.spec.stdout = Some("pipe".into());
    let text = bench.fails(&job).await;
    assert!(text.contains("could not open") && text.contains("pipe"), "{text}");
}

#[tokio::test]
async fn what_cannot_be_executed_is_said_with_the_reason() {
    let cases: &[(&str, &[&str])] = &[
        ("#!/no/such/interpreter\n", &["No such file", "/no/such/interpreter"]),
        ("#!/bin/sh\r\necho hello\r\n", &["No such file", "DOS line ends"]),
        ("\x7fELF but not really", &["Exec format error"]),
    ];
    for (script, words) in cases {
        let mut bench = Bench::new(Containment::Auto);
        let job = bench.job(script);
        let text = bench.fails(&job).await;
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }
    let mut bench = Bench::new(Containment::Auto);
    let mut job = bench.job("#!/bin/sh\n");
    job.detail.spec.stdout = Some("no/such/folder/out".into());
    let text = bench.fails(&job).await;
    assert!(text.contains("no/such/folder/out") && text.contains("No such file"), "{text}");
}

#[tokio::test]
async fn a_missing_working_directory_is_said_in_the_output() {
    let mut bench = Bench::new(Containment::Auto);
    let mut job = bench.job("#!/bin/sh\npwd\n");
    let out = bench.work().join("out");
    job.detail.spec.work_dir = "/no/such/place".into();
    job.detail.spec.stdout = Some(out.to_string_lossy().into_owned());
    bench.run(&job).await;
    let text = bench.output("out");
    assert!(text.contains("couldn't chdir to `/no/such/place'") && text.ends_with("/tmp\n"), "{text}");
}

#[tokio::test]
async fn the_environment_is_exactly_what_slurm_promises_and_what_was_submitted() {
    let mut bench = Bench::new(Containment::Auto);
    let submitted = [
        "PATH=/usr/bin:/bin",
        "HOME=/somewhere",
        "MINE=a b\nc",
        "SLURM_JOB_ID=999",
        "SLURM_ARRAY_TASK_ID=4",
        "SLURM_EXPORT_ENV=ALL",
        "LD_PRELOAD=/no/such/library.so",
        "BASH_ENV=/no/such/file",
        "CUDA_VISIBLE_DEVICES=7",
    ];
    let mut job = bench.job_with("#!/bin/sh\nunset LD_PRELOAD; env\n", &submitted);
    job.allocation.gpus = vec![0, 2];
    job.allocation.cpus = 4;
    job.detail.nodes = ["n1", "n2", "n3"]
        .iter()
        .map(|name| squall_types::agent::PeerNode {
            name: (*name).into(),
            address: String::new(),
            cpus: if *name == "n3" { 1 } else { 4 },
            tasks: 2,
            gpus: 2,
            switches: vec!["leaf".into(), "spine".into()],
        })
        .collect();
    job.detail.spec.ask.tasks_per_node = Some(2);
    job.detail.spec.trace_parent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
    job.detail.restarts = 2;
    assert_eq!(bench.run(&job).await.exit, code(0));
    let text = bench.output("slurm-1.out");
    for line in [
        "SLURM_JOB_ID=1",
        "SLURM_JOBID=1",
        "SLURM_JOB_NAME=bench",
        "SLURM_JOB_NODELIST=n[1-3]",
        "SLURM_NODELIST=n[1-3]",
        "SLURM_NNODES=3",
        "SLURM_JOB_NUM_NODES=3",
        "SLURM_NTASKS=6",
        "SLURM_NTASKS_PER_NODE=2",
        "SLURM_TASKS_PER_NODE=2(x3)",
        "SLURM_JOB_CPUS_PER_NODE=4(x2),1",
        "SLURM_CPUS_ON_NODE=4",
        "SLURM_MEM_PER_NODE=256",
        "SLURM_PROCID=0",
        "SLURM_LOCALID=0",
        "SLURM_NODEID=0",
        "SLURM_GPUS_ON_NODE=2",
        "SLURM_JOB_GPUS=0,2",
        "CUDA_VISIBLE_DEVICES=0,2",
        "SLURM_RESTART_COUNT=2",
        "SLURMD_NODENAME=n1",
        "SLURM_TOPOLOGY_ADDR=spine.leaf.n1",
        "SLURM_TOPOLOGY_ADDR_PATTERN=switch.switch.node",
        "SLURM_JOB_PARTITION=main",
        "SLURM_CLUSTER_NAME=squall",
        "SLURM_EXPORT_ENV=ALL",
        "TMPDIR=/tmp",
        "TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "HOME=/somewhere",
        "MINE=a b",
        "BASH_ENV=/no/such/file",
    ] {
        assert!(text.lines().any(|seen| seen == line), "{line} is missing in\n{text}");
    }
    assert!(text.contains(&format!("SLURM_SUBMIT_DIR={}\n", bench.work().display())));
    for absent in ["SLURM_ARRAY_", "SLURM_CPUS_PER_TASK", "CARGO"] {
        assert!(!text.contains(absent), "{absent} is there in\n{text}");
    }
}

#[tokio::test]
async fn an_element_knows_its_array() {
    let mut bench = Bench::new(Containment::Auto);
    let mut job = bench.job("#!/bin/sh\nenv | grep ^SLURM_ARRAY_ | sort\n");
    job.detail.array = Some(element(40, 3));
    bench.run(&job).await;
    let expected = "SLURM_ARRAY_JOB_ID=40\nSLURM_ARRAY_TASK_COUNT=8\nSLURM_ARRAY_TASK_ID=3\nSLURM_ARRAY_TASK_MAX=7\n\
                    SLURM_ARRAY_TASK_MIN=0\nSLURM_ARRAY_TASK_STEP=1\n";
    assert_eq!(bench.output("slurm-40_3.out"), expected);
}

#[tokio::test]
async fn a_job_has_its_umask_its_session_and_nothing_of_the_agents() {
    let mut bench = Bench::new(Containment::Auto);
    let script = "#!/bin/sh\numask; [ $(ps -o sid= -p $$) = $$ ] && echo leader; ls /proc/self/fd | tr '\\n' ' '; \
                  grep NoNewPrivs /proc/self/status; kill -PIPE $$; echo deaf\n";
    let mut job = bench.job(script);
    job.detail.spec.umask = 0o027;
    assert_eq!(bench.run(&job).await.exit.signal, libc::SIGPIPE);
    let text = bench.output("slurm-1.out");
    assert!(text.contains("0027\nleader\n0 1 2 3 "), "{text}");
    assert!(text.ends_with("NoNewPrivs:\t1\n"), "{text}");
}

#[tokio::test]
async fn a_job_of_another_user_runs_as_that_user_and_cannot_come_back() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can run jobs of others");
        return;
    }
    let nobody = nix::unistd::User::from_name("nobody").unwrap().expect("a user `nobody`");
    for containment in containments() {
        let mut bench = Bench::new(containment);
        let script = "#!/bin/sh\nid -u; id -g; id -G; grep -E '^Cap(Prm|Eff|Amb)|NoNewPrivs' /proc/self/status\n\
                      touch /root/x 2>/dev/null && echo root; cat $0 >/dev/null && echo readable\nstat -c %u out\n";
        let mut job = bench.job(script);
        job.detail.spec.uid = Uid(nobody.uid.as_raw());
        job.detail.spec.gid = Gid(nobody.gid.as_raw());
        job.detail.spec.stdout = Some("out".into());
        assert_eq!(bench.run(&job).await.exit, code(0));
        let (uid, gid) = (nobody.uid, nobody.gid);
        let none = "0000000000000000";
        let expected = format!(
            "{uid}\n{gid}\n{gid}\nCapPrm:\t{none}\nCapEff:\t{none}\nCapAmb:\t{none}\nNoNewPrivs:\t1\nreadable\n{uid}\n"
        );
        assert_eq!(bench.output("out"), expected);
    }
}

#[tokio::test]
async fn output_is_opened_with_the_rights_of_the_user() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can run jobs of others");
        return;
    }
    let nobody = nix::unistd::User::from_name("nobody").unwrap().expect("a user `nobody`");
    let mut bench = Bench::new(Containment::Auto);
    let secret = bench.dir.path().join("secret");
    std::fs::write(&secret, "keep").unwrap();
    std::os::unix::fs::symlink(&secret, bench.work().join("link")).unwrap();
    for target in ["link", "/etc/squall-test"] {
        let mut job = bench.job("#!/bin/sh\necho overwritten\n");
        job.detail.spec.uid = Uid(nobody.uid.as_raw());
        job.detail.spec.gid = Gid(nobody.gid.as_raw());
        job.detail.spec.stdout = Some(target.into());
        let text = bench.fails(&job).await;
        assert!(text.contains("Permission denied"), "{text}");
    }
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "keep");
}

#[tokio::test]
async fn an_agent_that_is_not_root_says_whose_jobs_it_runs() {
    if nix::unistd::geteuid().is_root() {
        return;
    }
    let mut bench = Bench::new(Containment::Auto);
    let mut job = bench.job("#!/bin/sh\n");
    job.detail.spec.uid = Uid(job.detail.spec.uid.0 + 1);
    assert!(bench.fails(&job).await.contains("is not root"));
}
