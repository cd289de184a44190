//! More connections than the controller has file descriptors for.

use super::Scene;
use crate::stage::Process;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

/// File descriptors that the controller has for others.
const LEFT: usize = 8;
const COMPLAINTS: [&str; 2] = ["no connection can be taken on the socket", "no connection can be taken on the port"];

#[test]
fn a_crowd_that_says_nothing_keeps_others_waiting_and_costs_nothing_else() {
    let scene = Scene::set();
    let stage = &scene.stage;
    let controller = stage.processes().into_iter().find(Process::is_controller).expect("the controller runs");
    let open = std::fs::read_dir(format!("/proc/{}/fd", controller.pid)).expect("its descriptors").count();
    let pid = controller.pid.to_string();
    let limited =
        Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={}", open + LEFT)]).status().expect("prlimit");
    assert!(limited.success());

    let connect = || UnixStream::connect(stage.path("ctld.sock")).expect("the socket's queue has room");
    let crowd: Vec<UnixStream> = (0..LEFT + 4).map(|_| connect()).collect();
    let agent = stage.agents().into_iter().next().expect("the job has a node");
    let address = agent.option("--controller").and_then(|url| url.strip_prefix("https://")).expect("its controller");
    let told = || {
        let log = std::fs::read_to_string(stage.path("controller.log")).unwrap_or_default();
        COMPLAINTS.map(|complaint| log.matches(complaint).count())
    };
    stage.eventually("those at the socket are told of", || (told()[0] > 0).then_some(()));
    // Not before: it would have been given a descriptor itself.
    let from_afar = TcpStream::connect(address).expect("the port's queue has room");
    stage.eventually("who comes from afar is told of", || (told()[1] > 0).then_some(()));
    let before = cpu_millis(&pid);
    let waits = stage
        .command(stage.path("bin/squeue"))
        .arg("--noheader")
        .stdout(Stdio::null())
        .spawn()
        .expect("squeue can be executed");
    std::thread::sleep(Duration::from_secs(1));
    let took = cpu_millis(&pid) - before;
    assert!(took < 300, "the controller looked for descriptors for {took} of 1000 ms");
    assert_eq!(told(), [1, 1], "{}", stage.log());

    drop((crowd, from_afar));
    let status = waits.wait_with_output().expect("squeue ends").status;
    assert!(status.success(), "who waited is served: {status}");
    scene.nothing_was_lost();
}

/// What a process has used of processors.
fn cpu_millis(pid: &str) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("its name").split_ascii_whitespace().collect();
    [11, 12].map(|at| fields[at].parse::<u64>().expect("ticks") * 10).iter().sum()
}
