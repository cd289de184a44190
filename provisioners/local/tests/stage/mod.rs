//! A folder with a stand-in for the agent: a script that keeps the agent's contract and then waits to be ended.
#![allow(dead_code)]

use squall_provisioner_local::{AgentCommand, LocalConfig, LocalProvisioner};
use squall_types::offer::JoinTicket;
use squall_types::{
    CapacityKind, GpuGroup, Gpus, HourlyPrice, InstanceId, LaunchOrder, LaunchToken, Launched, NodeName, Offer,
    OrderId, Shape, Span, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// Notes each start as `INSTANCE PID`, and in another file each that found its lock taken. `WITH_JOB=1` leaves a job behind that forked twice and has a session of its own.
const STAND_IN: &str = r#"#!/bin/sh
verb=$2
while [ $# -gt 0 ]; do
    case "$1" in
        --state-dir) state=$2; shift ;;
        --instance) instance=$2; shift ;;
    esac
    shift
done
[ "$verb" = run ] || exit 64
exec 9>"$state/agent.lock"
flock -n 9 || { echo "$instance $$" >> "$STARTS.refused"; exit 17; }
echo "$instance $$" >> "$STARTS"
if [ "$WITH_JOB" = 1 ]; then
    ( setsid sh -c 'echo $$ > "$0/job.pid"; exec sleep 1000' "$state" 9>&- & )
fi
echo "stand-in of $instance"
exec sleep 1000
"#;

pub struct Stage {
    pub folder: tempfile::TempDir,
    pub config: LocalConfig,
}

impl Stage {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let config = config_in(folder.path());
        let script = folder.path().join("agent");
        fs::write(&script, STAND_IN).expect("a script for the test");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("an executable script");
        Self { folder, config }
    }

    pub fn with_jobs() -> Self {
        let mut stage = Self::new();
        stage.config.agent.env.insert("WITH_JOB".to_owned(), "1".to_owned());
        stage
    }

    pub fn open(&self) -> LocalProvisioner {
        LocalProvisioner::open(self.config.clone()).expect("a usable folder")
    }

    pub fn node(&self, instance: &InstanceId) -> PathBuf {
        self.config.root.join("nodes").join(instance.as_str())
    }

    /// How often each instance's agent got as far as its lock.
    pub fn starts(&self) -> BTreeMap<String, usize> {
        let mut starts = BTreeMap::new();
        for line in fs::read_to_string(self.folder.path().join("starts")).unwrap_or_default().lines() {
            let instance = line.split(' ').next().expect("a line has words");
            *starts.entry(instance.to_owned()).or_default() += 1;
        }
        starts
    }

    /// Agents that found their lock taken.
    pub fn refusals(&self) -> usize {
        fs::read_to_string(self.folder.path().join("starts.refused")).unwrap_or_default().lines().count()
    }

    /// Waits until each of these has got as far as its lock.
    pub fn await_starts(&self, launched: &Launched) {
        await_that("every agent has started", || {
            let starts = self.starts();
            launched.instances.iter().all(|one| starts.contains_key(one.instance.as_str()))
        });
    }

    pub fn job_of(&self, instance: &InstanceId) -> u32 {
        let file = self.node(instance).join("state/job.pid");
        let mut pid = None;
        await_that("the job has started", || {
            pid = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
            pid.is_some()
        });
        pid.expect("just seen")
    }
}

/// Whatever a test that fails leaves running has this folder in its environment.
impl Drop for Stage {
    fn drop(&mut self) {
        let Ok(provisioner) = LocalProvisioner::open(self.config.clone()) else { return };
        let Ok(agents) = provisioner.agents() else { return };
        let instances: Vec<_> = agents.into_iter().map(|agent| agent.instance).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime to clean up");
        let retire = move || runtime.block_on(squall_provisioner::Provisioner::retire(&provisioner, &instances));
        std::thread::spawn(retire).join().expect("no panic while cleaning up").expect("everything can be retired");
    }
}

pub fn config_in(folder: &Path) -> LocalConfig {
    let mut agent = AgentCommand::new(folder.join("agent"), ["agent"]);
    agent.env.insert("STARTS".to_owned(), folder.join("starts").display().to_string());
    LocalConfig { stop_grace: Span::from_millis(500), ..LocalConfig::new(folder.join("local"), agent, vec![offer()]) }
}

pub fn offer() -> Offer {
    let gpus = Gpus(vec![GpuGroup { model: "h100".into(), count: 8, memory_mib: 81_559, declared: true }]);
    Offer {
        name: "h100x8/local/owned".into(),
        instance_type: "h100x8".into(),
        scope: "local".into(),
        kind: CapacityKind::Owned,
        price: HourlyPrice(98_320_000),
        shape: Shape {
            cpus: 96,
            cores: 48,
            memory_mib: 1_000_000,
            gpus,
            features: BTreeSet::from(["nvlink".to_owned()]),
        },
        minimum_billed: Span::from_secs(60),
        typical_boot: Span::from_secs(1),
        max_per_order: 16,
    }
}

pub fn ticket() -> JoinTicket {
    JoinTicket {
        controller: "unix:/run/squall/controller.sock".to_owned(),
        ca_pin: "a".repeat(64),
        secret: "canary-0123456789".to_owned(),
    }
}

pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock after 1970");
    Timestamp(i64::try_from(since.as_millis()).expect("a clock before the year 292277026"))
}

pub fn order(number: u64, nodes: u32) -> LaunchOrder {
    LaunchOrder {
        order: OrderId(number),
        pool: "h100".into(),
        token: LaunchToken::new(format!("token-{number}")),
        offer: offer(),
        names: (0..nodes).map(|node| NodeName::new(format!("h100-{number}-{node}"))).collect(),
        gang: false,
        die_at: Timestamp::from_secs(4_000_000_000),
        tags: BTreeMap::new(),
        join: Some(ticket()),
    }
}

pub fn ids(launched: &Launched) -> Vec<InstanceId> {
    launched.instances.iter().map(|one| one.instance.clone()).collect()
}

pub fn await_that(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "after 20 s it is not so that {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// It is there and no zombie.
pub fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

pub fn signal(pid: u32, signal: nix::sys::signal::Signal) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).expect("a pid"));
    nix::sys::signal::kill(pid, signal).expect("a process to signal");
}
