//! A node without a controller: real folders, shims and processes.
#![allow(dead_code, clippy::unwrap_used)]

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use squall_types::agent::{ArrayPlace, AssignedPhase, Assignment, AssignmentDetail, AttemptEnd, PeerNode, StopWhy};
use squall_types::ids::Run;
use squall_types::{Allocation, Attempt, BlobDigest, Gid, JobId, JobSpec, NodeId, NodeName, Span, Timestamp, Uid};
use squalld::cell::{Containment, Ground};
use squalld::duty::{DutyInput, Found, Now, Record, Remains, Stage};
use squalld::hands::{Blobs, Hands};
use squalld::launch::SelfCommand;
use squalld::ledger::Ledger;
use squalld::measure::Machine;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Nothing here may take longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Blobs by digest, made up here: the first byte tells them apart.
#[derive(Default)]
struct Shelf(Mutex<BTreeMap<BlobDigest, Vec<u8>>>);

impl Blobs for Shelf {
    fn at_hand(&self, digest: BlobDigest) -> Option<Arc<Vec<u8>>> {
        self.0.lock().unwrap().get(&digest).cloned().map(Arc::new)
    }

    fn fetch(&self, digest: BlobDigest, _: Run) -> BoxFuture<'_, Result<Arc<Vec<u8>>, String>> {
        let found = self.at_hand(digest);
        async move { found.ok_or_else(|| format!("no blob {digest}")) }.boxed()
    }
}

pub struct Bench {
    pub dir: tempfile::TempDir,
    pub hands: Arc<Hands>,
    ledger: Ledger,
    shelf: Arc<Shelf>,
    inputs: mpsc::Receiver<DutyInput>,
    containment: Containment,
    next: u32,
}

/// The same for every means of containment that this machine has.
pub fn containments() -> Vec<Containment> {
    let mut all = vec![Containment::Bare];
    let ground = Ground::detect(Containment::Auto, "squall-probe");
    if ground != Ground::default() {
        all.push(Containment::Auto);
    }
    ground.remove();
    all
}

impl Bench {
    pub fn new(containment: Containment) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        // Jobs of other users must be able to pass.
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let shelf = Arc::new(Shelf::default());
        let (hands, inputs, ledger) = hands(dir.path(), &shelf, containment);
        Bench { dir, hands, ledger, shelf, inputs, containment, next: 1 }
    }

    /// The agent is replaced by a new one that knows only the folder.
    pub fn restart(&mut self) {
        (self.hands, self.inputs, self.ledger) = hands(self.dir.path(), &self.shelf, self.containment);
    }

    /// Where the jobs of this bench work and write: anybody may.
    pub fn work(&self) -> PathBuf {
        let work = self.dir.path().join("work");
        if !work.exists() {
            std::fs::create_dir(&work).unwrap();
            std::fs::set_permissions(&work, std::os::unix::fs::PermissionsExt::from_mode(0o1777)).unwrap();
        }
        work
    }

    pub fn output(&self, name: &str) -> String {
        std::fs::read_to_string(self.work().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn keep(&self, content: &[u8]) -> BlobDigest {
        let mut shelf = self.shelf.0.lock().unwrap();
        let mut digest = BlobDigest([0; 32]);
        digest.0[..8].copy_from_slice(&(shelf.len() as u64 + 1).to_le_bytes());
        shelf.insert(digest, content.to_vec());
        digest
    }

    /// A job of this very user with one task on this node.
    pub fn job(&mut self, script: &str) -> Assignment {
        self.job_with(script, &["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"])
    }

    pub fn job_with(&mut self, script: &str, environment: &[&str]) -> Assignment {
        let run = Run { job: JobId(self.next), attempt: Attempt(1) };
        self.next += 1;
        let environment: Vec<u8> = environment.iter().flat_map(|entry| [entry.as_bytes(), b"\0"].concat()).collect();
        let spec = JobSpec {
            name: "bench".into(),
            uid: Uid(nix::unistd::geteuid().as_raw()),
            gid: Gid(nix::unistd::getegid().as_raw()),
            user: "someone".into(),
            script: Some(self.keep(script.as_bytes())),
            environment: Some(self.keep(&environment)),
            work_dir: self.work().to_string_lossy().into_owned(),
            umask: 0o022,
            ..JobSpec::default()
        };
        Assignment {
            run,
            allocation: Allocation { node: NodeId(1), cpus: 1, memory_mib: 256, gpus: vec![], tasks: 1 },
            phase: AssignedPhase::Run { started_at: Timestamp::from_secs(1_700_000_000), suspended: false },
            detail: AssignmentDetail {
                spec,
                nodes: vec![PeerNode {
                    name: "n1".into(),
                    address: String::new(),
                    cpus: 1,
                    tasks: 1,
                    gpus: 0,
                    switches: vec![],
                }],
                rank: 0,
                time_limit: Span::from_secs(3600),
                array: None,
                restarts: 0,
                partition: "main".into(),
                cluster: "squall".into(),
                kill_wait: Span::from_secs(5),
                components: Vec::new(),
            },
            credential: vec![],
        }
    }

    pub async fn next(&mut self) -> DutyInput {
        tokio::time::timeout(PATIENCE, self.inputs.recv()).await.expect("something happens in time").unwrap()
    }

    pub async fn prepare(&mut self, assignment: &Assignment) {
        let run = assignment.run;
        let stage = Box::new(Stage::Accepted(assignment.clone()));
        self.ledger.write(vec![Record::Run { run, stage }]).unwrap();
        self.hands.prepare(Arc::new(assignment.clone()));
        assert_eq!(self.next().await, DutyInput::Prepared { run });
    }

    /// Takes a job to the point where it runs.
    pub async fn start(&mut self, assignment: &Assignment) -> Now {
        self.prepare(assignment).await;
        self.let_loose(assignment, 1);
        match self.next().await {
            DutyInput::ShimStarted { began, .. } => began,
            other => panic!("{other:?}"),
        }
    }

    pub fn let_loose(&self, assignment: &Assignment, launch: u32) {
        let (hands, assignment) = (self.hands.clone(), assignment.clone());
        tokio::spawn(async move { hands.start(&assignment, launch).await });
    }

    pub async fn end(&mut self) -> AttemptEnd {
        match self.next().await {
            DutyInput::ShimEnded { end, .. } => end,
            other => panic!("{other:?}"),
        }
    }

    pub async fn run(&mut self, assignment: &Assignment) -> AttemptEnd {
        self.start(assignment).await;
        self.end().await
    }

    pub async fn fails(&mut self, assignment: &Assignment) -> String {
        let run = assignment.run;
        self.hands.prepare(Arc::new(assignment.clone()));
        match self.next().await {
            DutyInput::PrepareFailed { detail, .. } => return detail,
            other => assert_eq!(other, DutyInput::Prepared { run }),
        }
        self.let_loose(assignment, 1);
        match self.next().await {
            DutyInput::ShimFailed { detail, .. } => detail,
            DutyInput::ShimEnded { end, .. } => end.detail,
            other => panic!("{other:?}"),
        }
    }

    pub async fn found(&self, assignment: &Assignment) -> Found {
        tokio::time::timeout(PATIENCE, self.hands.examine(assignment.run, Remains::Launched(1))).await.unwrap()
    }

    pub fn stop(&self, assignment: &Assignment, why: StopWhy) {
        self.hands.stop(Some(&Arc::new(assignment.clone())), assignment.run, why);
    }
}

fn hands(dir: &Path, shelf: &Arc<Shelf>, containment: Containment) -> (Arc<Hands>, mpsc::Receiver<DutyInput>, Ledger) {
    let (ledger, _) = Ledger::open(&dir.join("state")).unwrap();
    let (tell, inputs) = mpsc::channel(64);
    let mark = format!("bench-{}", dir.file_name().unwrap().to_string_lossy().trim_start_matches('.'));
    let ground = Ground::detect(containment, &mark);
    let again = SelfCommand { program: env!("CARGO_BIN_EXE_squalld").into(), prefix: vec![] };
    let machine = Machine { devices: vec!["0".into(), "1".into(), "2".into()], ..Machine::default() };
    let hands = Hands::new(
        NodeName::from("n1"),
        "host1".into(),
        ledger.places().clone(),
        ground,
        again,
        machine,
        shelf.clone(),
        mark,
        tell,
    );
    (Arc::new(hands), inputs, ledger)
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.hands.ground.remove();
    }
}

pub fn element(array: u32, index: u32) -> ArrayPlace {
    ArrayPlace { array: JobId(array), index, first: 0, last: 7, step: 1, count: 8 }
}

/// Looks until it is so.
pub async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A process that a script wrote the number of.
pub fn alive(pid_file: &Path) -> bool {
    let pid = std::fs::read_to_string(pid_file).ok().and_then(|text| text.trim().parse().ok());
    pid.and_then(squalld::cell::Process::find).is_some_and(squalld::cell::Process::is_alive)
}
