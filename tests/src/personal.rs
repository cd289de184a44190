//! `squall up` and `squall down`: a cluster of one's own, from the line that it prints to its last process.

use crate::stage::{Process, Said, Stage};

/// An empty folder: the cluster that is tested makes its own.
fn set() -> Stage {
    Stage::set(|_| String::new())
}

/// What a person types after the lines that `squall up` printed.
fn shell(stage: &Stage, lines: &str, then: &str) -> Said {
    let mut shell = stage.command("/bin/sh");
    shell.env_remove("SQUALL_CONTROLLER").args(["-c", &format!("{lines}\n{then}")]);
    // Nothing but what was printed leads to the commands.
    shell.env("PATH", std::env::var("PATH").unwrap_or_default());
    shell.output().expect("there is a shell").into()
}

fn up(stage: &Stage) -> String {
    let said = stage.call(&["squall", "up", "--detach", "--dir", "own"]).good();
    let exports: Vec<&str> = said.lines().map(str::trim).filter(|line| line.starts_with("export ")).collect();
    assert_eq!(exports.len(), 2, "{said}");
    // Behind the line stands what it does.
    exports.iter().map(|line| line.split("   ").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

fn is_daemon(process: &Process) -> bool {
    let role = process.words.get(1).map(String::as_str);
    process.is_agent() || matches!(role, Some("up" | "ctld"))
}

#[test]
fn a_cluster_of_ones_own_comes_up_stays_up_and_goes_down() {
    let stage = set();
    let lines = up(&stage);
    // The squall that answers is the one of the printed folder.
    let found = shell(&stage, &lines, "command -v sbatch && command -v squall").good();
    assert!(
        found.lines().all(|path| path.starts_with(stage.path("work/own/bin").to_str().expect("a path"))),
        "{found}"
    );
    assert_eq!(shell(&stage, &lines, "squeue --noheader").good(), "");
    assert!(shell(&stage, &lines, "sinfo").good().contains("idle~"), "the pool is empty, and could be more");

    // A job runs on a node that was not there.
    let script = "sbatch --wait --gpus=1 --output=first.out --wrap 'echo on $SLURMD_NODENAME with $CUDA_VISIBLE_DEVICES; exit 4'";
    let first = shell(&stage, &lines, script);
    assert_eq!(first.code, Some(4), "{first:?}");
    assert!(stage.read("first.out").starts_with("on gpu-"), "{:?}", stage.read("first.out"));

    // Another up changes nothing.
    let pids = |role: &str| {
        let processes = stage.processes();
        let found = processes.iter().filter(|process| process.words.get(1).is_some_and(|word| word == role));
        found.map(|process| process.pid).collect::<Vec<_>>()
    };
    let before = (pids("ctld"), pids("up"));
    assert_eq!((before.0.len(), before.1.len()), (1, 1));
    assert_eq!(up(&stage), lines);
    assert_eq!((pids("ctld"), pids("up")), before);

    // A controller that dies comes back by itself.
    shell(&stage, &lines, "sbatch --output=second.out --wrap 'until [ -e go ]; do sleep 0.2; done; echo went'").good();
    stage.eventually("the second job runs", || {
        shell(&stage, &lines, "squeue --noheader --states=running").out.contains("wrap").then_some(())
    });
    let killed = before.0[0];
    assert!(stage.processes().iter().any(|process| process.pid == killed && process.kill()));
    stage.eventually("another controller answers", || {
        (shell(&stage, &lines, "squeue --noheader").code == Some(0) && !pids("ctld").contains(&killed)).then_some(())
    });

    // Everything but the job dies, and another up goes on with it.
    stage.eventually("no daemon is left", || {
        let left: Vec<_> = stage.processes().into_iter().filter(is_daemon).collect();
        left.iter().for_each(|process| _ = process.kill());
        left.is_empty().then_some(())
    });
    assert_eq!(up(&stage), lines);
    assert!(shell(&stage, &lines, "squeue --noheader --states=running").good().contains("wrap"), "it was adopted");
    let accounted = shell(&stage, &lines, "sacct -X -n -P --format=JobID,State,ExitCode").good();
    assert!(accounted.contains("1|FAILED|4:0"), "{accounted}");

    // Nobody's job is ended without being asked.
    let refused = shell(&stage, &lines, "squall down --dir own");
    assert!(refused.code == Some(1) && refused.err.contains("1 job has not ended"), "{refused:?}");
    std::fs::write(stage.path("work/go"), "").expect("a word");
    stage.eventually("the second job ends", || stage.read("second.out").contains("went").then_some(()));
    shell(&stage, &lines, "sbatch --wrap 'sleep 600'").good();
    let down = shell(&stage, &lines, "squall down --yes --dir own").good();
    assert!(down.contains("no process is left"), "{down}");
    assert_eq!(stage.processes(), []);
    let again = shell(&stage, &lines, "squall down --yes --dir own").good();
    assert!(again.contains("your cluster is down"), "{again}");
}
