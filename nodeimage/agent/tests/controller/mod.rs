//! A controller for one agent: real TLS, real certificates, real messages; what to order is said by the test.
#![allow(dead_code, clippy::unwrap_used)]

use async_trait::async_trait;
use futures_util::StreamExt;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, SanType,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use squall_proto::connect::{CONTROLLER_NAME, Identity, node_server_name};
use squall_proto::credential::{Action, Credential, SigningKey};
use squall_proto::server::{
    Channel, Failure, Incoming, NodeApi, Outgoing, ServerTls, accept_tls, builder, client_service, node_service,
};
use squall_types::agent::*;
use squall_types::api::StepNode;
use squall_types::ids::Run;
use squall_types::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;

mod client;

pub const CLUSTER: &str = "squall";
pub const NODE: &str = "n1";
const PATIENCE: Duration = Duration::from_secs(30);

type Orders = mpsc::UnboundedSender<Result<AgentOrder, Failure>>;

struct Inner {
    ca: Issuer<'static, KeyPair>,
    ca_pem: String,
    signing: SigningKey,
    blobs: Mutex<BTreeMap<BlobDigest, Vec<u8>>>,
    joins: Mutex<Vec<JoinRequest>>,
    orders: Mutex<Option<Orders>>,
    reports: mpsc::UnboundedSender<AgentReport>,
}

pub struct Controller {
    inner: Arc<Inner>,
    reports: mpsc::UnboundedReceiver<AgentReport>,
    server: Option<JoinHandle<()>>,
    identity: Identity,
    pub port: u16,
    pub epoch: u64,
    generation: u64,
    wanted: BTreeMap<Run, Assignment>,
    next: u32,
}

#[async_trait]
impl NodeApi for Inner {
    async fn join(&self, _: Channel, request: JoinRequest) -> Result<JoinReply, Failure> {
        if request.secret != "secret" {
            return Err(Failure::Denied("wrong secret".into()));
        }
        self.joins.lock().unwrap().push(request.clone());
        Ok(self.certify(&request.csr_pem))
    }

    async fn renew(&self, channel: Channel, csr_pem: String) -> Result<JoinReply, Failure> {
        channel.cert_der.ok_or_else(|| Failure::Denied("no certificate".into()))?;
        Ok(self.certify(&csr_pem))
    }

    async fn attach(
        &self,
        channel: Channel,
        mut reports: Incoming<AgentReport>,
    ) -> Result<Outgoing<AgentOrder>, Failure> {
        channel.cert_der.ok_or_else(|| Failure::Denied("no certificate".into()))?;
        let (orders, queue) = mpsc::unbounded_channel();
        *self.orders.lock().unwrap() = Some(orders);
        let tell = self.reports.clone();
        tokio::spawn(async move {
            while let Some(Ok(report)) = reports.next().await {
                let _ = tell.send(report);
            }
        });
        Ok(UnboundedReceiverStream::new(queue).boxed())
    }

    async fn fetch_blob(&self, channel: Channel, digest: BlobDigest, _: Run) -> Result<Vec<u8>, Failure> {
        channel.cert_der.ok_or_else(|| Failure::Denied("no certificate".into()))?;
        self.blobs.lock().unwrap().get(&digest).cloned().ok_or_else(|| Failure::Denied("no such blob".into()))
    }
}

impl Inner {
    fn certify(&self, csr_pem: &str) -> JoinReply {
        let mut request = CertificateSigningRequestParams::from_pem(csr_pem).unwrap();
        request.params = CertificateParams::default();
        request.params.subject_alt_names = vec![SanType::DnsName(node_server_name(&NODE.into()).try_into().unwrap())];
        request.params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = request.signed_by(&self.ca).unwrap();
        JoinReply {
            chain_pem: format!("{}{}", certificate.pem(), self.ca_pem),
            ca_pem: self.ca_pem.clone(),
            name: NODE.into(),
            credential_key: self.signing.public(),
            heartbeat: Span::from_secs(1),
        }
    }
}

impl Controller {
    pub async fn start() -> Controller {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_pem = params.self_signed(&key).unwrap().pem();
        let ca = Issuer::from_ca_cert_pem(&ca_pem, key).unwrap();
        let own = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![CONTROLLER_NAME.to_owned()]).unwrap();
        let certificate = params.signed_by(&own, &ca).unwrap();
        let identity = Identity { chain_pem: format!("{}{ca_pem}", certificate.pem()), key_pem: own.serialize_pem() };
        let (tell, reports) = mpsc::unbounded_channel();
        let inner = Arc::new(Inner {
            ca,
            ca_pem,
            signing: SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap(),
            blobs: Mutex::default(),
            joins: Mutex::default(),
            orders: Mutex::default(),
            reports: tell,
        });
        let mut controller = Controller {
            inner,
            reports,
            server: None,
            identity,
            port: 0,
            epoch: 1,
            generation: 0,
            wanted: BTreeMap::new(),
            next: 1,
        };
        controller.up().await;
        controller
    }

    /// Serves, on the same port as before.
    pub async fn up(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        self.port = listener.local_addr().unwrap().port();
        let tls = ServerTls::new(&self.identity, &self.inner.ca_pem).unwrap();
        let router =
            builder().add_service(node_service(self.inner.clone())).add_service(client_service(self.inner.clone()));
        let incoming = accept_tls(listener, tls);
        self.server = Some(tokio::spawn(async move { router.serve_with_incoming(incoming).await.unwrap() }));
    }

    /// Gone as if killed: connections and all.
    pub async fn down(&mut self) {
        *self.inner.orders.lock().unwrap() = None;
        if let Some(server) = self.server.take() {
            server.abort();
            let _ = server.await;
        }
    }

    pub fn address(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    pub fn ca_pem(&self) -> &str {
        &self.inner.ca_pem
    }

    pub fn pin(&self) -> String {
        hex::encode(Sha256::digest(CertificateDer::from_pem_slice(self.inner.ca_pem.as_bytes()).unwrap()))
    }

    pub fn joins(&self) -> Vec<JoinRequest> {
        self.inner.joins.lock().unwrap().clone()
    }

    pub fn keep(&self, content: &[u8]) -> BlobDigest {
        let digest = BlobDigest(Sha256::digest(content).into());
        self.inner.blobs.lock().unwrap().insert(digest, content.to_vec());
        digest
    }

    pub fn drop_blobs(&self) {
        self.inner.blobs.lock().unwrap().clear();
    }

    /// A batch job of this user on this node.
    pub fn job(&mut self, script: &str, work_dir: &Path) -> Assignment {
        let run = Run { job: JobId(self.next), attempt: Attempt(1) };
        self.next += 1;
        let spec = JobSpec {
            name: "test".into(),
            uid: Uid(nix::unistd::geteuid().as_raw()),
            gid: Gid(nix::unistd::getegid().as_raw()),
            user: "someone".into(),
            script: Some(self.keep(script.as_bytes())),
            work_dir: work_dir.to_string_lossy().into_owned(),
            umask: 0o022,
            ..JobSpec::default()
        };
        Assignment {
            run,
            allocation: Allocation { node: NodeId(1), cpus: 1, memory_mib: 256, gpus: vec![], tasks: 1 },
            phase: AssignedPhase::Run { started_at: Timestamp(0), suspended: false },
            detail: AssignmentDetail {
                spec,
                nodes: vec![PeerNode {
                    name: NODE.into(),
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
                cluster: CLUSTER.into(),
                kill_wait: Span::from_secs(2),
                components: Vec::new(),
            },
            credential: vec![],
        }
    }

    /// A credential for a step of a run with so many tasks on this node.
    pub fn step(&self, run: Run, step: u32, tasks: u32) -> Vec<u8> {
        let node =
            StepNode { name: NODE.into(), address: String::new(), ranks: (0..tasks).collect(), cpus: 1, gpus: vec![] };
        self.step_on(run, step, vec![node])
    }

    pub fn step_on(&self, run: Run, step: u32, nodes: Vec<StepNode>) -> Vec<u8> {
        let tasks = nodes.iter().map(|node| node.ranks.len() as u32).sum();
        self.sign(run, Action::RunStep { step: StepId(step), tasks, nodes })
    }

    /// A credential for visits of a run on this node.
    pub fn visit(&self, run: Run) -> Vec<u8> {
        let node = StepNode { name: NODE.into(), ..StepNode::default() };
        self.sign(run, Action::Visit { nodes: vec![node] })
    }

    pub fn sign(&self, run: Run, action: Action) -> Vec<u8> {
        let now = squalld::clock::now().wall;
        let credential = Credential {
            issuer: CLUSTER.into(),
            uid: Uid(nix::unistd::geteuid().as_raw()),
            gid: Gid(nix::unistd::getegid().as_raw()),
            run,
            action,
            issued_at: now,
            expires_at: now + Span::from_mins(5),
            nonce: [7; 16],
        };
        self.inner.signing.sign(&credential).unwrap()
    }

    pub async fn report(&mut self) -> AgentReport {
        tokio::time::timeout(PATIENCE, self.reports.recv()).await.expect("the agent says something in time").unwrap()
    }

    /// The next greeting; the full set is the answer.
    pub async fn hello(&mut self) -> (MeasuredNode, Vec<(Run, AttemptState)>) {
        loop {
            if let AgentReport::Hello { measured, attempts, .. } = self.report().await {
                self.full_set();
                return (measured, attempts);
            }
        }
    }

    fn order(&self, order: AgentOrder) {
        if let Some(orders) = &*self.inner.orders.lock().unwrap() {
            let _ = orders.send(Ok(order));
        }
    }

    pub fn full_set(&mut self) {
        self.generation += 1;
        self.order(AgentOrder::FullSet {
            epoch: Epoch(self.epoch),
            generation: Generation(self.generation),
            assignments: self.wanted.values().cloned().collect(),
            die_at: None,
            keep_unknown: false,
        });
    }

    pub fn want(&mut self, assignment: &Assignment) {
        self.wanted.insert(assignment.run, assignment.clone());
        self.full_set();
    }

    /// The next news of a run; heartbeats and other runs are passed over.
    pub async fn news(&mut self, wanted: Run) -> AttemptState {
        loop {
            if let AgentReport::Attempt { run, state } = self.report().await
                && run == wanted
            {
                return state;
            }
        }
    }

    /// The end of the next step.
    pub async fn step_end(&mut self) -> StepEnd {
        loop {
            if let AgentReport::Step(end) = self.report().await {
                return end;
            }
        }
    }

    /// The end of a run, acknowledged.
    pub async fn end(&mut self, run: Run) -> AttemptEnd {
        loop {
            if let AttemptState::Ended(end) = self.news(run).await {
                self.acknowledge(run);
                return end;
            }
        }
    }

    pub fn acknowledge(&mut self, run: Run) {
        self.wanted.remove(&run);
        self.order(AgentOrder::Acknowledged { runs: vec![run], steps: vec![] });
        self.full_set();
    }

    pub async fn running(&mut self, run: Run) {
        loop {
            match self.news(run).await {
                AttemptState::Running { .. } => return,
                AttemptState::Prepared => {}
                AttemptState::Ended(end) => panic!("{run} does not run: {end:?}"),
            }
        }
    }
}

/// The agent's real binary with a folder of its own.
pub struct Agent {
    pub dir: tempfile::TempDir,
    child: Option<Child>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Agent {
    pub fn new(controller: &Controller, extra: &[&str]) -> Agent {
        Agent::with_environment(controller, extra, &[])
    }

    pub fn with_environment(controller: &Controller, extra: &[&str], environment: &[(&str, &str)]) -> Agent {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("work")).unwrap();
        let secret = dir.path().join("secret");
        std::fs::write(&secret, "secret\n").unwrap();
        let state = dir.path().join("state");
        let mut arguments: Vec<String> = [
            "run",
            "--node",
            NODE,
            "--state-dir",
            &state.to_string_lossy(),
            "--controller",
            &controller.address(),
            "--ca-pin",
            &controller.pin(),
            "--join-secret-file",
            &secret.to_string_lossy(),
            "--runtime-dir",
            &dir.path().join("run").to_string_lossy(),
        ]
        .map(str::to_owned)
        .to_vec();
        arguments.extend(extra.iter().map(|text| (*text).to_owned()));
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut agent = Agent { dir, child: None, arguments, environment: environment.collect() };
        agent.start();
        agent
    }

    pub fn start(&mut self) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.dir.path().join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_squalld"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(&self.arguments).env("SQUALL_LOG", "info,squalld=debug").stdin(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Asks it to end, and returns its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        let child = self.child.as_ref()?;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::Signal::SIGTERM)
            .unwrap();
        self.wait()
    }

    pub fn wait(&mut self) -> Option<i32> {
        self.child.take()?.wait().unwrap().code()
    }

    /// A second process on the same folder.
    pub fn twin(&self) -> Option<i32> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_squalld"));
        command.args(&self.arguments).stderr(Stdio::null()).status().unwrap().code()
    }

    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub fn output(&self, name: &str) -> String {
        std::fs::read_to_string(self.work().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the agent's log:\n{}", self.log());
        }
        self.kill();
        // Whatever jobs a failed test left: they bear this agent's mark.
        let state = self.state();
        let (ledger, _) = match squalld::ledger::Ledger::open(&state) {
            Ok(opened) => opened,
            Err(_) => return,
        };
        let runs = std::fs::read_dir(state.join("runs")).into_iter().flatten().flatten();
        for run in runs.filter_map(|entry| squalld::ledger::parse_run(entry.file_name().to_str()?)) {
            for shim in squalld::shim::records::shims(&ledger.places().run(run)) {
                shim.signal(libc::SIGKILL);
            }
            let record = squalld::shim::records::Folder(ledger.places().run(run)).record();
            if let Some(plan) = record.plan() {
                plan.cell.clear(Duration::from_secs(5));
                plan.cell.remove();
            }
        }
        for folder in std::fs::read_to_string(state.join("cgroup")).unwrap_or_default().lines() {
            let _ = std::fs::remove_dir(folder);
        }
    }
}
