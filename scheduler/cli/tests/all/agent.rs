//! An agent that serves steps as real ones do: over TLS, with a process for each task.
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use async_trait::async_trait;
use futures_util::StreamExt;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use squall_proto::connect::{Identity, node_server_name};
use squall_proto::server::{
    Channel, Failure, Incoming, Outgoing, ServerTls, StepApi, accept_tls, builder, step_service,
};
use squall_types::agent::ExitStatus;
use squall_types::api::{StepGrant, StepNode, VisitGrant};
use squall_types::step::*;
use squall_types::visit::*;
use squall_types::{NodeName, Span, StepId};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Agents on threads of their own, until the test is over.
pub struct Agents {
    pub grant: StepGrant,
    /// What each was told first.
    pub starts: Arc<Mutex<Vec<StepStart>>>,
}

impl Agents {
    /// One agent for each list of ranks.
    pub fn with(ranks: &[&[u32]]) -> Agents {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let ca_pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let starts = Arc::new(Mutex::new(Vec::new()));
        let nodes = ranks.iter().enumerate().map(|(at, ranks)| {
            let name = NodeName::new(format!("n{}", at + 1));
            let identity = certified(&issuer, &ca_pem, &name);
            let agent = Agent { ranks: ranks.to_vec(), starts: starts.clone() };
            let address = serve(agent, ServerTls::new(&identity, &ca_pem).unwrap());
            StepNode { name, address, ranks: ranks.to_vec(), cpus: 1, gpus: Vec::new() }
        });
        let nodes: Vec<StepNode> = nodes.collect();
        let tasks = nodes.iter().map(|node| node.ranks.len() as u32).sum();
        let grant =
            StepGrant { step: StepId(0), nodes, tasks, credential: b"signed".to_vec(), ca_pem, ..StepGrant::default() };
        Agents { grant, starts }
    }

    /// The way to all of them.
    pub fn visit(&self) -> VisitGrant {
        let StepGrant { run, nodes, ca_pem, .. } = self.grant.clone();
        VisitGrant { run, nodes, credential: b"visitor".to_vec(), ca_pem }
    }
}

/// What a step that runs says to a visitor who types a line.
async fn accompany(
    ranks: Vec<u32>,
    mut commands: Incoming<StepCommand>,
    news: mpsc::Sender<Result<StepNews, Failure>>,
) {
    let tasks = ranks.iter().map(|rank| StartedTask { rank: *rank, pid: 100 + rank }).collect();
    let mut told = vec![StepNews::Started { tasks }];
    for rank in ranks {
        for (stream, text) in [(OutputStream::Stdout, "out"), (OutputStream::Stderr, "err")] {
            told.push(StepNews::Output { rank, stream, bytes: format!("{text} {rank}\n").into_bytes() });
        }
        told.push(StepNews::TaskExit { rank, exit: ExitStatus { code: rank as i32, signal: 0 } });
    }
    told.push(StepNews::Finished);
    for item in told {
        let _ = news.send(Ok(item)).await;
    }
    while let Some(Ok(_)) = commands.next().await {}
}

fn certified(issuer: &Issuer<'_, KeyPair>, ca_pem: &str, name: &NodeName) -> Identity {
    let mut params = CertificateParams::new(vec![node_server_name(name)]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    Identity { chain_pem: format!("{}{ca_pem}", certificate.pem()), key_pem: key.serialize_pem() }
}

fn serve(agent: Agent, tls: ServerTls) -> String {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap().to_string()).unwrap();
            let router = builder().add_service(step_service(Arc::new(agent)));
            router.serve_with_incoming(accept_tls(listener, tls)).await.unwrap();
        });
    });
    told.recv().unwrap()
}

struct Agent {
    ranks: Vec<u32>,
    starts: Arc<Mutex<Vec<StepStart>>>,
}

#[async_trait]
impl StepApi for Agent {
    async fn run_step(&self, _: Channel, mut commands: Incoming<StepCommand>) -> Result<Outgoing<StepNews>, Failure> {
        let start = match commands.next().await {
            Some(Ok(StepCommand::Start(start))) => start,
            Some(Ok(StepCommand::Attach(attach))) if attach.credential == b"visitor" => {
                let (news, told) = mpsc::channel(64);
                tokio::spawn(accompany(self.ranks.clone(), commands, news));
                return Ok(ReceiverStream::new(told).boxed());
            }
            _ => return Err(Failure::Denied("a step begins with its start".into())),
        };
        if start.credential != b"signed" {
            return Err(Failure::Denied("the credential is not the controller's".into()));
        }
        self.starts.lock().unwrap().push((*start).clone());
        let (news, told) = mpsc::channel(64);
        if start.command[0] == "cannot-run" {
            news.send(Ok(StepNews::Failed { text: "execve(): cannot-run: No such file".into() })).await.unwrap();
            return Ok(ReceiverStream::new(told).boxed());
        }
        if start.command[0] == "breaks" {
            let output = |text: &str| StepNews::Output { rank: 0, stream: OutputStream::Stdout, bytes: text.into() };
            let told_now = match start.resume_after {
                None => vec![StepNews::Started { tasks: Vec::new() }, output("before\n")],
                Some(2) => {
                    let exit = ExitStatus { code: 4, signal: 0 };
                    vec![output("after\n"), StepNews::TaskExit { rank: 0, exit }, StepNews::Finished]
                }
                Some(other) => panic!("resumed after {other}"),
            };
            return Ok(futures_util::stream::iter(told_now.into_iter().map(Ok)).boxed());
        }
        let mut children = Vec::new();
        for rank in &self.ranks {
            children.push((*rank, spawn(&start, *rank)));
        }
        let started =
            children.iter().map(|(rank, child)| StartedTask { rank: *rank, pid: child.id().unwrap() }).collect();
        news.send(Ok(StepNews::Started { tasks: started })).await.unwrap();
        tokio::spawn(run(children, commands, news));
        Ok(ReceiverStream::new(told).boxed())
    }

    async fn live_steps(&self, _: Channel, _: Vec<u8>) -> Result<Vec<LiveStep>, Failure> {
        let task = |rank: &u32| LiveTask {
            rank: *rank,
            pids: vec![100 + rank, 200 + rank],
            user_cpu: Span::from_secs(60 * i64::from(*rank)),
            system_cpu: Span::from_secs(2),
            rss_kib: 1000,
            max_rss_kib: 1500 + u64::from(*rank),
            vm_kib: 4096,
            pages: 3,
            read_bytes: 5304,
            written_bytes: 0,
        };
        let tasks: Vec<LiveTask> = self.ranks.iter().map(task).collect();
        let batch = LiveStep { step: StepId::BATCH, tasks: tasks.iter().take(1).cloned().collect() };
        Ok(vec![batch, LiveStep { step: StepId(0), tasks }])
    }

    /// Puts the name of nobody's node behind the file's, so that nodes that share a folder do not meet.
    async fn store_file(&self, _: Channel, mut parts: Incoming<FilePart>) -> Result<Outgoing<FileStored>, Failure> {
        let Some(Ok(FilePart::Begin(begin))) = parts.next().await else {
            return Err(Failure::Denied("a file begins with what it is to become".into()));
        };
        let path = format!("{}.{}", begin.path, self.ranks[0]);
        let stored = async move {
            let mut content = Vec::new();
            while let Some(Ok(FilePart::Bytes(bytes))) = parts.next().await {
                content.extend(bytes);
            }
            let there = std::path::Path::new(&path).exists() && !begin.force;
            if there || content.len() as u64 != begin.size {
                return Ok(FileStored { errno: 17, text: "File exists".into() });
            }
            // What is replaced in any case may be there once for all.
            for path in [Some(path), begin.force.then_some(begin.path)].into_iter().flatten() {
                if std::fs::write(&path, &content).is_err() {
                    return Ok(FileStored { errno: 2, text: "No such file or directory".into() });
                }
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(begin.mode)).unwrap();
            }
            Ok(FileStored::default())
        };
        Ok(futures_util::stream::once(stored).boxed())
    }
}

fn spawn(start: &StepStart, rank: u32) -> Child {
    let mut command = Command::new(&start.command[0]);
    command.args(&start.command[1..]).env_clear();
    for entry in start.environment.split(|byte| *byte == 0).filter_map(|entry| std::str::from_utf8(entry).ok()) {
        if let Some((name, value)) = entry.split_once('=') {
            command.env(name, value);
        }
    }
    command.env("SLURM_PROCID", rank.to_string()).current_dir(&start.work_dir);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().expect("a program to run")
}

async fn run(
    mut children: Vec<(u32, Child)>,
    mut commands: Incoming<StepCommand>,
    news: mpsc::Sender<Result<StepNews, Failure>>,
) {
    let mut inputs: Vec<_> = children.iter_mut().map(|(_, child)| child.stdin.take()).collect();
    let pids: Vec<u32> = children.iter().filter_map(|(_, child)| child.id()).collect();
    let tasks = children.into_iter().map(|(rank, mut child)| {
        let news = news.clone();
        tokio::spawn(async move {
            let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
            tokio::join!(
                pump(out, rank, OutputStream::Stdout, news.clone()),
                pump(err, rank, OutputStream::Stderr, news.clone())
            );
            let status = child.wait().await.unwrap();
            let exit = ExitStatus { code: status.code().unwrap_or(0), signal: status.signal().unwrap_or(0) };
            let _ = news.send(Ok(StepNews::TaskExit { rank, exit })).await;
        })
    });
    let mut all = Box::pin(futures_util::future::join_all(tasks));
    loop {
        tokio::select! {
            _ = &mut all => break,
            Some(command) = commands.next() => match command {
                Ok(StepCommand::Stdin { bytes, end, .. }) => for input in &mut inputs {
                    if let Some(pipe) = input {
                        let _ = pipe.write_all(&bytes).await;
                    }
                    if end {
                        *input = None;
                    }
                },
                Ok(StepCommand::Signal { signal }) => for pid in &pids {
                    let signal = nix::sys::signal::Signal::try_from(signal).unwrap();
                    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid as i32), signal);
                },
                _ => {}
            },
        }
    }
    let _ = news.send(Ok(StepNews::Finished)).await;
}

async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    rank: u32,
    stream: OutputStream,
    news: mpsc::Sender<Result<StepNews, Failure>>,
) {
    let mut buffer = vec![0; 4096];
    while let Ok(count) = from.read(&mut buffer).await {
        if count == 0
            || news.send(Ok(StepNews::Output { rank, stream, bytes: buffer[..count].to_vec() })).await.is_err()
        {
            break;
        }
    }
}
