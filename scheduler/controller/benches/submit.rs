//! What a submission costs without a process for each: `sbatch` is left out, and everything from its call to the answer
//! is in it, the sync to disk too.
//!
//! `cargo bench -p squallctld --bench submit -- [JOBS]`: a controller in a process of its own, connections of one
//! client program, each with many submissions under way. CPU time is of both processes: on a machine with few cores,
//! what the client uses is missing to the controller.
#![allow(clippy::unwrap_used, reason = "a benchmark is a test")]

use futures_util::StreamExt;
use squall_proto::client::Client;
use squall_proto::connect::Target;
use squall_types::api::SubmitRequest;
use squall_types::{JobKind, JobSpec, SubmitToken};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 4;
const UNDER_WAY: usize = 64;
const ENVIRONMENT_BYTES: usize = 4_096;

/// What the submissions bring: the same script and variables each time, or of both something of their own.
#[derive(Clone, Copy)]
enum Load {
    Alike,
    Distinct,
}

fn main() {
    let jobs = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(50_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    println!("{jobs} held jobs over {CONNECTIONS} connections, {UNDER_WAY} at once on each; {}", machine());
    println!("{:24}{:>10}{:>22}{:>18}{:>14}", "", "jobs/s", "controller, us CPU", "client, us CPU", "memory, MiB");
    for (name, load) in [("alike", Load::Alike), ("4 KiB environment each", Load::Distinct)] {
        let stage = Stage::start(&runtime);
        let before = (cpu("self"), cpu(&stage.pid()));
        let begun = Instant::now();
        runtime.block_on(submit_all(&stage.clients, jobs, load));
        let took = begun.elapsed();
        let each = |used: Duration| used.as_secs_f64() * 1e6 / jobs as f64;
        let (client, controller) = (each(cpu("self") - before.0), each(cpu(&stage.pid()) - before.1));
        let rate = jobs as f64 / took.as_secs_f64();
        println!("{name:24}{rate:>10.0}{controller:>22.1}{client:>18.1}{:>14.0}", resident_mib(&stage.pid()));
    }
}

async fn submit_all(clients: &[Client], jobs: usize, load: Load) {
    let lanes = clients.iter().enumerate().map(|(lane, client)| {
        let client = client.clone();
        tokio::spawn(async move {
            let submissions = (lane..jobs).step_by(CONNECTIONS).map(|number| client.submit(request(number, load)));
            let answers: Vec<_> = futures_util::stream::iter(submissions).buffer_unordered(UNDER_WAY).collect().await;
            answers.into_iter().for_each(|answer| assert_ne!(answer.unwrap().job.0, 0));
        })
    });
    for lane in lanes.collect::<Vec<_>>() {
        lane.await.unwrap();
    }
}

fn request(number: usize, load: Load) -> SubmitRequest {
    let (script, environment) = match load {
        Load::Alike => ("#!/bin/sh\ntrue\n".to_owned(), b"HOME=/root\0PATH=/usr/bin:/bin\0".to_vec()),
        Load::Distinct => {
            let value = format!("{number:08}").repeat(ENVIRONMENT_BYTES / 8);
            (format!("#!/bin/sh\nsleep {number}\n"), format!("OF_ITS_OWN={value}\0").into_bytes())
        }
    };
    SubmitRequest {
        spec: JobSpec {
            name: format!("job-{number}"),
            kind: JobKind::Batch,
            work_dir: "/tmp".to_owned(),
            hold: true,
            ..JobSpec::default()
        }
        .into(),
        script: Some(script.into_bytes()),
        environment,
        token: SubmitToken::new(format!("t{number}")),
        test_only: false,
        more: Vec::new(),
        step: None,
    }
}

/// A controller in a folder of its own.
struct Stage {
    dir: tempfile::TempDir,
    controller: Child,
    clients: Vec<Client>,
}

impl Stage {
    fn start(runtime: &tokio::runtime::Runtime) -> Stage {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("squall.toml");
        std::fs::write(&file, configuration(dir.path())).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_squallctld"));
        command.args(["run", "--config"]).arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let controller = command.spawn().unwrap();
        let mut stage = Stage { dir, controller, clients: Vec::new() };
        let target = Target::unix(&stage.dir.path().join("ctld.sock")).unwrap();
        while stage.clients.len() < CONNECTIONS {
            match runtime.block_on(async { Client::connect(&target).await?.ping().await.map(|_| ()) }) {
                Ok(()) => stage.clients.push(runtime.block_on(Client::connect(&target)).unwrap()),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        stage
    }

    fn pid(&self) -> String {
        self.controller.id().to_string()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.controller.kill();
        let _ = self.controller.wait();
    }
}

fn configuration(dir: &Path) -> String {
    let (dir, user) = (dir.display(), nix::unistd::getuid());
    format!(
        r#"
cluster = "bench"
admins = ["{user}"]

[controller]
state_dir = "{dir}/state"
socket = "{dir}/ctld.sock"
listen = "127.0.0.1:0"
disk_reserve = "1M"

[partitions.rack]
pools = ["rack"]
default_time = "10m"

[pools.rack]
provisioner = "static"

[pools.rack.nodes."n[1-2]"]
cpus = 4
memory = "8G"
"#
    )
}

/// User and system time of a process so far, from `/proc`.
fn cpu(pid: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // What Linux counts in everywhere.
    Duration::from_millis(ticks * 10)
}

fn resident_mib(pid: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1_024.0
}

fn machine() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    let cores = std::thread::available_parallelism().unwrap();
    format!("{cores} cores, load {}", load.split_whitespace().next().unwrap())
}
