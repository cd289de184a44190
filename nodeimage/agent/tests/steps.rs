//! Steps on a real node: tasks, their input and output, who may start them, and what outlives what.
#![allow(clippy::unwrap_used)]

mod bench;
mod controller;

use bench::{alive, until};
use controller::{Agent, Controller, NODE};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use squall_proto::ClientError;
use squall_proto::client::Client;
use squall_proto::connect::{Target, node_socket_name};
use squall_proto::step_client::StepClient;
use squall_types::agent::{Assignment, ExitStatus, StopWhy};
use squall_types::api::StepNode;
use squall_types::step::{OutputStream, StepAttach, StepCommand, StepNews, StepStart, StepStdio, TerminalSize};
use squall_types::visit::{FileBegin, FilePart, FileStored};
use squall_types::{JobKind, Span, StepId, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(30);

/// A controller, an agent, and a job that runs until it is stopped.
struct Scene {
    controller: Controller,
    agent: Agent,
    job: Assignment,
    address: String,
    next: u32,
}

/// A step that was started.
struct Running {
    commands: mpsc::Sender<StepCommand>,
    news: BoxStream<'static, Result<StepNews, ClientError>>,
    heard: u64,
}

/// All that a step said.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    stdout: BTreeMap<u32, String>,
    stderr: BTreeMap<u32, String>,
    exits: BTreeMap<u32, ExitStatus>,
}

impl Scene {
    async fn new() -> Scene {
        Scene::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Assignment)) -> Scene {
        let mut controller = Controller::start().await;
        let agent = Agent::new(&controller, &[]);
        let (measured, _) = controller.hello().await;
        let mut job = controller.job("", &agent.work());
        job.detail.spec.kind = JobKind::Interactive;
        job.detail.spec.script = None;
        change(&mut job);
        controller.want(&job);
        controller.running(job.run).await;
        Scene { controller, agent, job, address: measured.address, next: 0 }
    }

    /// What a client says to start a step of so many tasks.
    fn start(&mut self, tasks: u32, command: &[&str]) -> StepStart {
        let step = self.next;
        self.next += 1;
        StepStart {
            credential: self.controller.step(self.job.run, step, tasks),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            environment: b"PATH=/usr/bin:/bin\0MINE=yes\0".to_vec(),
            work_dir: self.agent.work().to_string_lossy().into_owned(),
            umask: 0o022,
            stderr: Some(StepStdio::Client),
            ..StepStart::default()
        }
    }

    fn shell(&mut self, tasks: u32, script: &str) -> StepStart {
        self.start(tasks, &["sh", "-c", script])
    }

    async fn connect(&self) -> Result<StepClient, ClientError> {
        let target = Target::node(&self.address, &NODE.into(), self.controller.ca_pem()).unwrap();
        StepClient::connect(&target).await
    }

    async fn begin(&self, start: StepStart) -> Result<Running, ClientError> {
        let (commands, news) = self.connect().await?.run_step(start).await?;
        Ok(Running { commands, news, heard: 0 })
    }

    async fn run(&self, start: StepStart) -> Told {
        self.begin(start).await.unwrap().all().await
    }

    async fn attach(&self, step: u32) -> Running {
        let attach = StepAttach { credential: self.controller.visit(self.job.run), step: StepId(step) };
        let (commands, news) = self.connect().await.unwrap().attach(attach).await.unwrap();
        Running { commands, news, heard: 0 }
    }

    async fn store(&self, begin: FileBegin, content: &[&[u8]]) -> FileStored {
        let (parts, mut stored) = self.connect().await.unwrap().store_file(begin).await.unwrap();
        for part in content {
            // A node that has refused it takes nothing more.
            let _ = parts.send(FilePart::Bytes(part.to_vec())).await;
        }
        drop(parts);
        tokio::time::timeout(PATIENCE, stored.next()).await.expect("an answer in time").unwrap().unwrap()
    }

    async fn refused(&self, start: StepStart) -> String {
        match self.begin(start).await {
            Err(error) => error.to_string(),
            Ok(mut running) => match running.next().await {
                Ok(StepNews::Failed { text }) => text,
                other => panic!("{other:?}"),
            },
        }
    }
}

impl Running {
    async fn next(&mut self) -> Result<StepNews, ClientError> {
        let news = tokio::time::timeout(PATIENCE, self.news.next()).await.expect("news in time");
        self.heard += 1;
        news.unwrap_or_else(|| Err(ClientError::Other("the stream ended".into())))
    }

    /// Until the step says that it is over.
    async fn all(mut self) -> Told {
        let mut told = Told::default();
        while let Some(()) = self.take(&mut told).await.unwrap() {}
        told
    }

    async fn take(&mut self, told: &mut Told) -> Result<Option<()>, ClientError> {
        match self.next().await {
            Ok(StepNews::Started { .. }) => {}
            Ok(StepNews::Output { rank, stream, bytes }) => {
                let to = if stream == OutputStream::Stdout { &mut told.stdout } else { &mut told.stderr };
                to.entry(rank).or_default().push_str(&String::from_utf8_lossy(&bytes));
            }
            Ok(StepNews::TaskExit { rank, exit }) => assert_eq!(told.exits.insert(rank, exit), None),
            Ok(StepNews::Finished) => return Ok(None),
            Ok(StepNews::Failed { text }) => panic!("{text}"),
            Err(error) => {
                self.heard -= 1;
                return Err(error);
            }
        }
        Ok(Some(()))
    }

    async fn say(&self, command: StepCommand) {
        self.commands.send(command).await.unwrap();
    }
}

fn code(code: i32) -> ExitStatus {
    ExitStatus { code, signal: 0 }
}

#[tokio::test]
async fn each_task_knows_its_rank_and_its_exit_code_is_told() {
    let mut scene = Scene::new().await;
    let script = "echo $SLURM_PROCID $SLURM_LOCALID $SLURM_NODEID $SLURM_NTASKS $SLURM_STEP_ID $SLURM_STEP_NODELIST \
                  $SLURM_STEP_NUM_NODES $SLURM_STEP_TASKS_PER_NODE $SLURM_GTIDS $SLURM_JOB_ID $MINE $SLURMD_NODENAME; \
                  [ $SLURM_TASK_PID = $$ ] && echo pid; echo err $SLURM_PROCID >&2; exit $SLURM_PROCID";
    let start = scene.shell(3, script);
    let told = scene.run(start).await;
    for rank in 0..3 {
        assert_eq!(told.stdout[&rank], format!("{rank} {rank} 0 3 0 n1 1 3 0,1,2 1 yes n1\npid\n"));
        assert_eq!(told.stderr[&rank], format!("err {rank}\n"));
        assert_eq!(told.exits[&rank], code(rank as i32));
    }
    let end = scene.controller.step_end().await;
    assert_eq!((end.run, end.step.0, end.exit), (scene.job.run, 0, code(2)));
}

#[tokio::test]
async fn a_node_of_several_runs_its_own_ranks() {
    let mut scene = Scene::new().await;
    let mut start =
        scene.shell(0, "echo $SLURM_PROCID $SLURM_LOCALID $SLURM_NODEID $SLURM_STEP_NODELIST $SLURM_NTASKS");
    let node = |name: &str, ranks| StepNode { name: name.into(), address: String::new(), ranks, cpus: 1, gpus: vec![] };
    start.credential = scene.controller.step_on(scene.job.run, 7, vec![node("n0", vec![0, 2]), node(NODE, vec![1, 3])]);
    let told = scene.run(start).await;
    assert_eq!(told.stdout, BTreeMap::from([(1, "1 0 1 n[0-1] 4\n".to_owned()), (3, "3 1 1 n[0-1] 4\n".to_owned())]));
}

#[tokio::test]
async fn gpus_are_those_of_the_step_or_of_each_task() {
    let mut scene = Scene::new().await;
    let mut start = scene.shell(0, "echo $CUDA_VISIBLE_DEVICES $SLURM_STEP_GPUS");
    let node =
        StepNode { name: NODE.into(), address: String::new(), ranks: vec![0, 1], cpus: 1, gpus: vec![1, 2, 4, 5] };
    start.credential = scene.controller.step_on(scene.job.run, 3, vec![node.clone()]);
    let told = scene.run(start.clone()).await;
    assert_eq!(told.stdout[&1], "1,2,4,5 1,2,4,5\n");
    start.credential = scene.controller.step_on(scene.job.run, 4, vec![node]);
    start.options = vec!["gpus-per-task=2".into()];
    let told = scene.run(start).await;
    assert_eq!((&*told.stdout[&0], &*told.stdout[&1]), ("1,2 1,2,4,5\n", "4,5 1,2,4,5\n"));
}

#[tokio::test]
async fn input_goes_to_all_tasks_or_to_one() {
    let mut scene = Scene::new().await;
    let start = scene.start(2, &["cat"]);
    let running = scene.begin(start).await.unwrap();
    running.say(StepCommand::Stdin { rank: None, bytes: b"all ".to_vec(), end: false }).await;
    running.say(StepCommand::Stdin { rank: Some(1), bytes: b"one".to_vec(), end: false }).await;
    running.say(StepCommand::Stdin { rank: None, bytes: vec![], end: true }).await;
    let told = running.all().await;
    assert_eq!((&*told.stdout[&0], &*told.stdout[&1]), ("all ", "all one"));

    let mut start = scene.start(2, &["cat"]);
    start.stdin = StepStdio::OneTask(0);
    let running = scene.begin(start).await.unwrap();
    running.say(StepCommand::Stdin { rank: None, bytes: b"mine".to_vec(), end: true }).await;
    let told = running.all().await;
    assert_eq!(told.stdout, BTreeMap::from([(0, "mine".to_owned())]));
}

#[tokio::test]
async fn a_large_exchange_arrives_whole_and_in_order() {
    let mut scene = Scene::new().await;
    let start = scene.start(1, &["cat"]);
    let running = scene.begin(start).await.unwrap();
    let commands = running.commands.clone();
    let sending = tokio::spawn(async move {
        for block in 0..200u32 {
            let bytes = block.to_le_bytes().repeat(8 * 1024);
            commands.send(StepCommand::Stdin { rank: None, bytes, end: block == 199 }).await.unwrap();
        }
    });
    let mut running = running;
    let mut bytes = Vec::new();
    loop {
        match running.next().await.unwrap() {
            StepNews::Output { bytes: more, .. } => bytes.extend(more),
            StepNews::Finished => break,
            _ => {}
        }
    }
    sending.await.unwrap();
    let expected: Vec<u8> = (0..200u32).flat_map(|block| block.to_le_bytes().repeat(8 * 1024)).collect();
    assert!(bytes == expected, "{} of {} bytes", bytes.len(), expected.len());
}

#[tokio::test]
async fn files_of_tasks_follow_the_patterns() {
    let mut scene = Scene::new().await;
    let mut start = scene.shell(2, "echo out $SLURM_PROCID; echo err $SLURM_PROCID >&2");
    start.stdout = StepStdio::File("%j-%s-%t.out".into());
    start.stderr = None;
    scene.run(start).await;
    assert_eq!(scene.agent.output("1-0-1.out"), "out 1\nerr 1\n");

    std::fs::write(scene.agent.work().join("shared"), "before\n").unwrap();
    let mut start = scene.shell(2, "echo $SLURM_PROCID");
    start.stdout = StepStdio::File("shared".into());
    scene.run(start).await;
    let text = scene.agent.output("shared");
    assert!(text == "0\n1\n" || text == "1\n0\n", "{text}");
}

#[tokio::test]
async fn signals_reach_the_tasks() {
    let mut scene = Scene::new().await;
    let start = scene.shell(2, "trap 'echo caught; exit 5' USR1; echo up; while :; do sleep 0.05; done");
    let mut running = scene.begin(start).await.unwrap();
    let mut told = Told::default();
    while told.stdout.len() < 2 {
        running.take(&mut told).await.unwrap();
    }
    running.say(StepCommand::Signal { signal: libc::SIGUSR1 }).await;
    while let Some(()) = running.take(&mut told).await.unwrap() {}
    assert_eq!(told.exits, BTreeMap::from([(0, code(5)), (1, code(5))]));
    assert_eq!(told.stdout[&1], "up\ncaught\n");
}

#[tokio::test]
async fn a_bad_exit_ends_the_step_where_that_was_asked() {
    let mut scene = Scene::new().await;
    let mut start = scene.shell(2, "[ $SLURM_PROCID = 0 ] && exit 3; exec sleep 600");
    start.kill_on_bad_exit = true;
    let told = scene.run(start).await;
    assert_eq!(told.exits, BTreeMap::from([(0, code(3)), (1, ExitStatus { code: 0, signal: libc::SIGTERM })]));
}

#[tokio::test]
async fn what_is_no_command_is_said_in_the_words_of_slurm() {
    let mut scene = Scene::new().await;
    let start = scene.start(1, &["no-such-command"]);
    let told = scene.run(start).await;
    assert_eq!(told.stderr[&0], "slurmstepd: error: execve(): no-such-command: No such file or directory\n");
    assert_eq!(told.exits[&0], code(2));
}

#[tokio::test]
async fn what_a_task_leaves_behind_ends_with_the_step() {
    let mut scene = Scene::new().await;
    let start =
        scene.shell(1, "setsid sh -c 'echo $$ > left.pid; exec sleep 600' & while [ ! -s left.pid ]; do :; done");
    let told = scene.run(start).await;
    assert_eq!(told.exits[&0], code(0));
    assert!(!alive(&scene.agent.work().join("left.pid")));
}

#[tokio::test]
async fn the_end_of_the_job_ends_its_steps() {
    let mut scene = Scene::new().await;
    let start = scene.shell(1, "echo $$ > task.pid; exec sleep 600");
    let mut running = scene.begin(start).await.unwrap();
    let pid = scene.agent.work().join("task.pid");
    until("the task runs", || alive(&pid)).await;
    let mut job = scene.job.clone();
    job.phase = squall_types::agent::AssignedPhase::Stop { why: StopWhy::Cancelled, grace: Span::from_secs(5) };
    scene.controller.want(&job);
    let mut told = Told::default();
    while let Some(()) = running.take(&mut told).await.unwrap() {}
    assert_eq!(told.exits[&0], ExitStatus { code: 0, signal: libc::SIGTERM });
    scene.controller.end(job.run).await;
    assert!(!alive(&pid));
}

#[tokio::test]
async fn a_terminal_is_a_terminal_of_the_size_that_was_said() {
    let mut scene = Scene::new().await;
    let mut start = scene.shell(1, "tty -s && stty size; read line; echo got $line");
    start.terminal = Some(TerminalSize { rows: 31, columns: 97 });
    let running = scene.begin(start).await.unwrap();
    running.say(StepCommand::Stdin { rank: None, bytes: b"hello\n".to_vec(), end: false }).await;
    let told = running.all().await;
    assert_eq!(told.exits[&0], code(0));
    let text = &told.stdout[&0];
    assert!(text.contains("31 97") && text.contains("got hello"), "{text}");
}

#[tokio::test]
async fn only_the_controllers_credential_for_this_node_and_user_starts_a_step_and_only_once() {
    let mut scene = Scene::new().await;
    let run = scene.job.run;
    let good = scene.start(1, &["true"]);

    let mut start = good.clone();
    start.credential[20] ^= 1;
    assert!(scene.refused(start).await.contains("not signed by this cluster's controller"));

    let other = Controller::start().await;
    let start = StepStart { credential: other.step(run, 0, 1), ..good.clone() };
    assert!(scene.refused(start).await.contains("not signed by this cluster's controller"));

    let node = StepNode { name: "n2".into(), address: String::new(), ranks: vec![0], cpus: 1, gpus: vec![] };
    let start = StepStart { credential: scene.controller.step_on(run, 0, vec![node]), ..good.clone() };
    assert!(scene.refused(start).await.contains("has no part in this step"));

    let credential = scene.controller.sign(run, squall_proto::credential::Action::ActAsJob);
    assert!(scene.refused(StepStart { credential, ..good.clone() }).await.contains("for another service"));

    let told = scene.run(good.clone()).await;
    assert_eq!(told.exits[&0], code(0));
    // For a moment it may still be taken up again, by who has not heard the end.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let text = scene.refused(good.clone()).await;
    assert!(text.contains("is over"), "{text}");
    let again = StepStart { credential: scene.controller.step(run, 0, 2), ..good };
    let text = scene.refused(again).await;
    assert!(text.contains("started here before"), "{text}");
}

#[tokio::test]
async fn a_step_outlives_its_agent_and_the_client_misses_nothing() {
    let mut scene = Scene::new().await;
    let start = scene.shell(2, "i=0; while [ $i -lt 60 ]; do echo $i; i=$((i+1)); sleep 0.05; done; exit 4");
    let mut running = scene.begin(start.clone()).await.unwrap();
    let mut told = Told::default();
    for _ in 0..10 {
        running.take(&mut told).await.unwrap();
    }
    scene.agent.kill();
    while running.take(&mut told).await.is_ok() {}
    let heard = running.heard;
    scene.agent.start();
    scene.controller.hello().await;
    let resumed = StepStart { resume_after: Some(heard), ..start };
    let mut running = scene.begin(resumed).await.unwrap();
    while let Some(()) = running.take(&mut told).await.unwrap() {}
    let all: String = (0..60).map(|i| format!("{i}\n")).collect();
    assert_eq!((&told.stdout[&0], &told.stdout[&1]), (&all, &all));
    assert_eq!(told.exits, BTreeMap::from([(0, code(4)), (1, code(4))]));
    assert_eq!(scene.controller.step_end().await.exit, code(4));
}

#[tokio::test]
async fn a_step_whose_client_is_gone_ends() {
    let mut scene = Scene::new().await;
    let start = scene.shell(1, "echo $$ > task.pid; exec sleep 600");
    let running = scene.begin(start).await.unwrap();
    let pid = scene.agent.work().join("task.pid");
    until("the task runs", || alive(&pid)).await;
    drop(running);
    until("nobody listens, and it ends", || !alive(&pid)).await;
}

/// Run inside a job by the test below: asks through the job's socket, and says what it was told.
#[tokio::test]
#[ignore = "a part of another test"]
async fn inside_a_job() {
    let Ok(path) = std::env::var("PROBE") else { return };
    let client = Client::connect(&Target::unix(path.as_ref()).unwrap()).await.unwrap();
    let text = match client.ping().await {
        Ok(reply) => reply.hostname,
        Err(error) => error.to_string(),
    };
    println!("TOLD:{text}");
}

#[tokio::test]
async fn clients_on_the_node_come_by_a_socket_with_nothing_but_their_credential() {
    let mut scene = Scene::new().await;
    let name = node_socket_name(&NODE.into(), scene.controller.ca_pem());
    let socket = scene.agent.dir.path().join("run").join(name);
    let come = || async { StepClient::connect(&Target::unix(&socket).unwrap()).await.unwrap() };
    let mut start = scene.shell(1, "echo $SLURM_LAUNCH_NODE_IPADDR; cat");
    start.stdin = StepStdio::Client;
    let (commands, news) = come().await.run_step(start.clone()).await.unwrap();
    let running = Running { commands, news, heard: 0 };
    running.say(StepCommand::Stdin { rank: None, bytes: b"typed".to_vec(), end: true }).await;
    assert_eq!(running.all().await.stdout[&0], "127.0.0.1\ntyped");
    // The kernel says who knocks, and that proves nothing: the credential of another run, and none at all.
    let mut other = scene.job.run;
    other.job.0 += 1;
    start.credential = scene.controller.step(other, 9, 1);
    start.credential[10] ^= 1;
    for credential in [start.credential.clone(), Vec::new()] {
        let start = StepStart { credential, ..start.clone() };
        let refused = come().await.run_step(start).await.err();
        assert!(matches!(refused, Some(ClientError::Denied(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn a_jobs_socket_serves_what_runs_in_the_job_and_nobody_else() {
    let mut scene = Scene::with(|job| job.credential = vec![0xab, 0xcd]).await;
    let folder = scene.agent.dir.path().join("run");
    let found = || {
        let mut names = std::fs::read_dir(&folder).ok()?.map(|entry| entry.unwrap().path());
        names.find(|path| path.to_str().unwrap().contains("/job-1.n1."))
    };
    until("the job has a socket", || found().is_some()).await;
    let socket = found().unwrap();
    let own = std::env::current_exe().unwrap();
    let probe = format!(
        "PROBE=$(echo $SQUALL_RUNTIME_DIR/job-$SLURM_JOB_ID.$SLURMD_NODENAME.*.sock) exec {} --exact inside_a_job --ignored --nocapture",
        own.display()
    );
    let start = scene.shell(1, &probe);
    let told = scene.run(start).await;
    assert!(told.stdout[&0].contains("TOLD:abcd"), "{told:?}");

    // This test is of the same user, and runs outside.
    let client = Client::connect(&Target::unix(&socket).unwrap()).await.unwrap();
    let text = client.ping().await.unwrap_err().to_string();
    assert!(text.contains("only what runs in that job"), "{text}");

    let mut job = scene.job.clone();
    job.phase = squall_types::agent::AssignedPhase::Stop { why: StopWhy::Ended, grace: Span::from_secs(5) };
    scene.controller.want(&job);
    scene.controller.end(job.run).await;
    until("the socket goes with the job", || !socket.exists()).await;
}

#[tokio::test]
async fn a_visitor_hears_what_was_said_before_and_may_type() {
    let mut scene = Scene::new().await;
    let start = scene.shell(2, "echo up $SLURM_PROCID; read line; echo got $line; exit $SLURM_PROCID");
    let mut running = scene.begin(start).await.unwrap();
    let mut told = Told::default();
    while told.stdout.len() < 2 {
        running.take(&mut told).await.unwrap();
    }
    let mut visitor = scene.attach(0).await;
    let StepNews::Started { tasks } = visitor.next().await.unwrap() else { panic!("first, which tasks there are") };
    assert_eq!(tasks.iter().map(|task| task.rank).collect::<Vec<_>>(), [0, 1]);
    // A visitor who leaves, or whose input ends, changes nothing.
    drop(scene.attach(0).await);
    visitor.say(StepCommand::Stdin { rank: None, bytes: vec![], end: true }).await;
    visitor.say(StepCommand::Signal { signal: libc::SIGKILL }).await;
    visitor.say(StepCommand::Stdin { rank: None, bytes: b"this\n".to_vec(), end: false }).await;
    let heard = visitor.all().await;
    while let Some(()) = running.take(&mut told).await.unwrap() {}
    assert_eq!(heard, told);
    assert_eq!(told.stdout[&1], "up 1\ngot this\n");
    assert_eq!(told.exits, BTreeMap::from([(0, code(0)), (1, code(1))]));
}

#[tokio::test]
async fn visits_need_a_credential_of_their_own_and_a_step_that_runs() {
    let scene = Scene::new().await;
    let mut visitor = scene.attach(5).await;
    let Ok(StepNews::Failed { text }) = visitor.next().await else { panic!("there is no such step") };
    assert_eq!(text, "step 1.5 does not run here");
    let client = scene.connect().await.unwrap();
    let of_step = scene.controller.step(scene.job.run, 0, 1);
    for credential in [of_step.clone(), b"forged".to_vec()] {
        assert!(matches!(client.live_steps(credential.clone()).await, Err(ClientError::Denied(_))));
        let attach = StepAttach { credential: credential.clone(), step: StepId(0) };
        assert!(matches!(client.attach(attach).await, Err(ClientError::Denied(_))));
        let begin = FileBegin { credential, path: "/tmp/never".into(), ..FileBegin::default() };
        assert!(matches!(client.store_file(begin).await, Err(ClientError::Denied(_))));
    }
    // Nor does one for visits start anything.
    let start = StepStart {
        credential: scene.controller.visit(scene.job.run),
        command: vec!["true".into()],
        ..StepStart::default()
    };
    assert!(scene.refused(start).await.contains("not for a step"));
}

#[tokio::test]
async fn what_steps_use_is_seen_while_they_run() {
    let mut scene = Scene::new().await;
    let busy = "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; echo counted; sleep 600";
    let start = scene.shell(2, busy);
    let mut running = scene.begin(start).await.unwrap();
    let mut told = Told::default();
    while told.stdout.len() < 2 {
        running.take(&mut told).await.unwrap();
    }
    let client = scene.connect().await.unwrap();
    let live = client.live_steps(scene.controller.visit(scene.job.run)).await.unwrap();
    let [step] = live.as_slice() else { panic!("{live:?}") };
    assert_eq!((step.step, step.tasks.len()), (StepId(0), 2));
    for task in &step.tasks {
        assert!(!task.pids.is_empty() && task.rss_kib > 0 && task.vm_kib >= task.rss_kib, "{task:?}");
        assert!(task.max_rss_kib >= task.rss_kib && task.user_cpu + task.system_cpu > Span::ZERO, "{task:?}");
    }
    running.say(StepCommand::Signal { signal: libc::SIGKILL }).await;
    while let Some(()) = running.take(&mut told).await.unwrap() {}
    scene.controller.step_end().await;
    assert!(client.live_steps(scene.controller.visit(scene.job.run)).await.unwrap().is_empty());
}

#[tokio::test]
async fn files_arrive_whole_with_their_mode_and_times() {
    let scene = Scene::new().await;
    let path = scene.agent.work().join("tool");
    let begin = FileBegin {
        credential: scene.controller.visit(scene.job.run),
        path: path.to_string_lossy().into_owned(),
        mode: 0o755,
        size: 9,
        force: false,
        accessed_at: Some(Timestamp(1000)),
        modified_at: Some(Timestamp(2000)),
    };
    let cut_off = scene.store(begin.clone(), &[b"half"]).await;
    assert!(cut_off.errno != 0 && cut_off.text.contains("4 bytes came of 9"), "{cut_off:?}");
    assert!(!path.exists());
    assert_eq!(scene.store(begin.clone(), &[b"whole", b"file"]).await, FileStored::default());
    assert_eq!(std::fs::read(&path).unwrap(), b"wholefile");
    let again = scene.store(begin.clone(), &[b"otherfile"]).await;
    assert_eq!((again.errno, again.text.as_str()), (libc::EEXIST, "File exists"));
    let forced = FileBegin { force: true, size: 0, ..begin.clone() };
    assert_eq!(scene.store(forced, &[]).await, FileStored::default());
    assert_eq!(std::fs::read(&path).unwrap(), b"");
    let nowhere = FileBegin { path: "/no/such/folder/tool".into(), ..begin };
    assert_eq!(scene.store(nowhere, &[b"wholefile"]).await.errno, libc::ENOENT);
}
