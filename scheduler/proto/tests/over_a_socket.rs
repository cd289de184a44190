//! Real servers and clients over a Unix socket.
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

mod servers;

use futures_util::{Stream, StreamExt, stream};
use servers::{Answers, job_view, refusal, serve};
use squall_proto::client::Client;
use squall_proto::connect::Target;
use squall_proto::limits::PAGE_ITEMS;
use squall_proto::node_client::NodeClient;
use squall_proto::server::{Arrivals, Forward, Lasting, UnixPeer, bind_unix, by_length, client_service, local_builder};
use squall_proto::step_client::StepClient;
use squall_proto::{ClientError, VERSION, gather};
use squall_types::agent::*;
use squall_types::api::*;
use squall_types::step::*;
use squall_types::visit::{FileBegin, FilePart, FileStored, LiveStep};
use squall_types::*;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::body::Body;

/// Too many open files.
const EMFILE: i32 = 24;

struct Place {
    folder: TempDir,
    path: PathBuf,
    server: tokio::task::JoinHandle<()>,
}

async fn controller(jobs: u32) -> (Place, Target) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ctl.sock");
    let server = serve(&path, Answers { jobs }).await;
    let target = Target::unix(&path).unwrap();
    (Place { folder, path, server }, target)
}

type Coming = Pin<Box<dyn Future<Output = Result<Client, ClientError>> + Send>>;

/// In HTTP/2 and in HTTP/1.1: what is said and answered is the same.
const WAYS: [fn(&Target) -> Coming; 2] = [
    |target| {
        let target = target.clone();
        Box::pin(async move { Client::connect(&target).await })
    },
    |target| {
        let target = target.clone();
        Box::pin(async move { Client::connect_briefly(&target).await })
    },
];

fn gpus_per_node(count: u16) -> SubmitRequest {
    let ask = Ask { gpus: GpuAsk::PerNode(count, None), ..Ask::default() };
    SubmitRequest {
        spec: JobSpec { ask, partitions: vec!["a100".into()], ..JobSpec::default() }.into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn the_controller_knows_who_is_at_the_other_end_of_its_socket() {
    for come in WAYS {
        let (place, target) = controller(0).await;
        let uid = std::fs::metadata(place.folder.path()).unwrap().uid();
        let reply = come(&target).await.unwrap().ping().await.unwrap();
        assert!(reply.hostname.contains(&format!("peer: Some(UnixPeer {{ uid: Uid({uid})")), "{}", reply.hostname);
        assert!(reply.hostname.contains(&format!("version: {VERSION:?}")), "{}", reply.hostname);
    }
}

#[tokio::test]
async fn a_refusal_reaches_the_person_who_asked() {
    for come in WAYS {
        let (_place, target) = controller(0).await;
        let client = come(&target).await.unwrap();
        assert_eq!(client.submit(gpus_per_node(16)).await, Err(ClientError::Refused(refusal())));
        let reply = client.submit(gpus_per_node(8)).await.unwrap();
        assert_eq!((reply.job, reply.notes), (JobId(1), vec!["a100".to_owned()]));
    }
}

#[tokio::test]
async fn fifty_thousand_jobs_come_in_pages() {
    for come in WAYS {
        let (_place, target) = controller(50_000).await;
        let client = come(&target).await.unwrap();
        let mut pages = client.job_pages(JobFilter::default()).await.unwrap();
        let (mut seen, mut count) = (0, 0);
        while let Some(page) = pages.next().await {
            let page = page.unwrap();
            assert!(page.len() <= PAGE_ITEMS);
            assert_eq!(page[0], job_view(seen + 1));
            seen += page.len() as u32;
            count += 1;
        }
        assert!(seen == 50_000 && count >= 50, "{seen} jobs in {count} pages");
    }
}

#[tokio::test]
async fn a_list_that_breaks_off_is_an_error_and_not_a_shorter_list() {
    for come in WAYS {
        let (_place, target) = controller(0).await;
        let client = come(&target).await.unwrap();
        let answer = client.job(JobRef::from(JobId(4))).await;
        assert_eq!(answer, Err(ClientError::Busy("the rest would take too long".into())));
    }
}

#[tokio::test]
async fn each_job_of_an_action_has_its_own_result() {
    for come in WAYS {
        let (_place, target) = controller(0).await;
        let client = come(&target).await.unwrap();
        let jobs = [3, 4].map(|job| JobRef::from(JobId(job))).to_vec();
        let filter = JobFilter { jobs, ..JobFilter::default() };
        let results = client.act(filter, JobAction::Requeue { hold: true }).await.unwrap();
        assert_eq!(results.len(), 2);
        assert_eq!(results[1], ActionResult { job: "4".into(), refusal: Some(refusal()) });
    }
}

#[tokio::test]
async fn news_of_a_job_end_with_the_job() {
    for come in WAYS {
        let (_place, target) = controller(0).await;
        let client = come(&target).await.unwrap();
        let news: Vec<_> =
            client.watch_job(JobId(9)).await.unwrap().map(|news| news.unwrap().view.state).collect().await;
        assert_eq!(news, [JobState::Running, JobState::Ended(EndState::Completed)]);
    }
}

#[tokio::test]
async fn nobody_at_home_and_nobody_answering_are_different_errors() {
    for come in WAYS {
        let (place, target) = controller(0).await;
        let client = come(&target).await.unwrap();
        let hasty = client.clone().with_patience(Duration::from_millis(50));
        assert!(matches!(hasty.script(JobId(1)).await, Err(ClientError::TimedOut { .. })));

        place.server.abort();
        let _ = place.server.await;
        let error = come(&target).await.unwrap_err();
        assert_eq!(error.slurm_text(), "Unable to contact slurm controller (connect failure)");
        assert!(error.to_string().contains(place.path.to_str().unwrap()), "{error}");

        std::fs::remove_file(&place.path).unwrap();
        let lazy = Client::lazy(&target).unwrap();
        let Err(ClientError::Unreachable { cause, .. }) = lazy.ping().await else { panic!("somebody answers") };
        assert!(cause.contains("No such file"), "{cause}");
    }
}

#[tokio::test]
async fn a_controller_that_dies_under_a_call_is_out_of_reach_and_its_successor_is_found() {
    for come in WAYS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ctl.sock");
        let doomed = tokio::runtime::Runtime::new().unwrap();
        doomed.spawn({
            let path = path.clone();
            async move { drop(serve(&path, Answers { jobs: 1 }).await) }
        });
        while !path.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let client = come(&Target::unix(&path).unwrap()).await.unwrap();
        let under_way = tokio::spawn({
            let client = client.clone();
            async move { client.script(JobId(1)).await }
        });
        assert_eq!(client.summary().await.unwrap().jobs_pending, 1);
        doomed.shutdown_background();
        let error = under_way.await.unwrap().unwrap_err();
        assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");

        // Calls may end before the listener does.
        while UnixStream::connect(&path).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let _successor = serve(&path, Answers { jobs: 2 }).await;
        assert_eq!(client.summary().await.unwrap().jobs_pending, 2);
    }
}

#[tokio::test]
async fn a_controller_that_does_not_lead_counts_as_out_of_reach() {
    for come in WAYS {
        let (_place, target) = controller(0).await;
        let error = come(&target).await.unwrap().reconfigure().await.unwrap_err();
        assert!(matches!(&error, ClientError::Unreachable { cause, .. } if cause == "this controller does not lead"));
    }
}

#[tokio::test]
async fn a_socket_that_answers_is_not_taken_over_and_a_dead_one_is() {
    let (place, _) = controller(0).await;
    assert_eq!(bind_unix(&place.path, 0o600).await.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    place.server.abort();
    let _ = place.server.await;
    assert!(bind_unix(&place.path, 0o600).await.is_ok());
}

/// Over the socket calls come in HTTP/1.1, of which anybody can write anything.
#[tokio::test]
async fn what_is_no_call_is_refused_and_holds_nobody_up() {
    let (place, target) = controller(3).await;
    let call = "POST /squall.v1.Squall/Ping HTTP/1.1\r\ncontent-type: application/grpc-web+proto\r\n";
    let come = async |words: &[u8]| {
        let mut stream = UnixStream::connect(&place.path).await.unwrap();
        stream.write_all(words).await.unwrap();
        stream
    };
    // These never end what they began to say.
    let _silent = come(b"").await;
    let _half = come(&call.as_bytes()[..30]).await;
    let _short = come(format!("{call}content-length: 1000000\r\n\r\n\0").as_bytes()).await;
    let long = format!("{call}x: {}\r\n\r\n", "y".repeat(1 << 20));
    let refused = [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        ("\x16\x03\x01\x02 is how TLS begins\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        (long, "HTTP/1.1 431"),
        (format!("{call}content-length: -1\r\n\r\n"), "HTTP/1.1 400"),
        // A frame that claims four GiB, of which nothing comes.
        (format!("{call}connection: close\r\ncontent-length: 5\r\n\r\n\0\u{7f}\u{7f}\u{7f}\u{7f}"), "HTTP/1.1 200"),
        (call.replace("Ping", "Pong") + "connection: close\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 200"),
    ];
    for (words, answer) in refused {
        let mut stream = UnixStream::connect(&place.path).await.unwrap();
        // The server may have heard enough before it has heard all.
        let _ = stream.write_all(words.as_bytes()).await;
        let mut said = vec![0; 512];
        let count = stream.read(&mut said).await.unwrap();
        let said = String::from_utf8_lossy(&said[..count]).to_lowercase();
        let shown: String = words.chars().take(90).collect();
        assert!(said.starts_with(&answer.to_lowercase()), "{shown:?}: {said}");
        assert!(!answer.ends_with("200") || !said.contains("grpc-status: 0"), "{shown:?}: {said}");
    }
    let client = Client::connect(&target).await.unwrap();
    assert_eq!(client.summary().await.unwrap().jobs_pending, 3);
}

/// A call that lasts holds up no other, be it on a connection of its own or not.
#[tokio::test]
async fn a_client_may_ask_while_it_listens() {
    for come in WAYS {
        let (_place, target) = controller(600).await;
        let client = come(&target).await.unwrap();
        let mut pages = client.job_pages(JobFilter::default()).await.unwrap();
        assert!(pages.next().await.unwrap().is_ok());
        assert_eq!(client.summary().await.unwrap().jobs_pending, 600);
        let (one, other) = tokio::join!(client.summary(), client.ping());
        assert!(one.is_ok() && other.is_ok());
        assert_eq!(pages.map(|page| page.unwrap().len()).collect::<Vec<_>>().await.iter().sum::<usize>(), 350);
    }
}

#[tokio::test]
async fn an_agent_asks_for_its_job_and_the_answer_stays_the_same() {
    for come in WAYS {
        let (place, target) = controller(1234).await;
        let upstream = Client::lazy(&target).unwrap();
        let forward = Forward::new(move |channel: &squall_proto::server::Channel| {
            assert!(channel.peer.is_some());
            let user = UnixPeer { uid: Uid(77), gid: Gid(78), pid: None };
            Ok(upstream.clone().for_job(b"signed".to_vec()).vouching_for(user))
        });
        let path = place.folder.path().join("agent.sock");
        let incoming = bind_unix(&path, 0o666).await.unwrap();
        tokio::spawn(local_builder().add_service(client_service(Arc::new(forward))).serve_with_incoming(incoming));

        let direct = come(&target).await.unwrap();
        let client = come(&Target::unix(&path).unwrap()).await.unwrap().with_traceparent(Some("00-aa-bb-01".into()));
        let exit = ExitStatus::default();
        assert_eq!(client.finish_allocation(JobId(1), exit).await, Ok(()));
        let denied = Err(ClientError::Denied("only the job itself may".into()));
        assert_eq!(direct.finish_allocation(JobId(1), exit).await, denied);
        assert_eq!(client.submit(gpus_per_node(16)).await, Err(ClientError::Refused(refusal())));
        assert_eq!(client.jobs(JobFilter::default()).await, direct.jobs(JobFilter::default()).await);
        let details = async |client: &Client| gather(client.pages_of_job_details(JobFilter::default()).await?).await;
        assert_eq!(details(&client).await, details(&direct).await);
        let seen = client.ping().await.unwrap().hostname;
        assert!(seen.contains("00-aa-bb-01") && seen.contains("uid: Uid(77), gid: Gid(78)"), "{seen}");
    }
}

#[tokio::test]
async fn an_agent_says_hello_before_it_hears_anything() {
    let (_place, target) = controller(0).await;
    let client = NodeClient::connect(&target).await.unwrap();
    let hello = AgentReport::Hello {
        epoch: Epoch(3),
        generation: Generation(4),
        measured: MeasuredNode::default(),
        attempts: Vec::new(),
        steps: Vec::new(),
    };
    let (reports, mut orders) = client.attach(hello).await.unwrap();
    let first = orders.next().await.unwrap().unwrap();
    assert!(matches!(first, AgentOrder::FullSet { epoch: Epoch(3), generation: Generation(4), .. }));
    let run = Run { job: JobId(7), attempt: Attempt(2) };
    let end = StepEnd {
        run,
        step: StepId::BATCH,
        exit: ExitStatus { code: 3, signal: 0 },
        started_at: Timestamp(1),
        ended_at: Timestamp(2),
        usage: Usage::default(),
    };
    reports.send(AgentReport::Step(end)).await.unwrap();
    let second = orders.next().await.unwrap().unwrap();
    assert_eq!(second, AgentOrder::Acknowledged { runs: Vec::new(), steps: vec![(run, StepId::BATCH)] });
    drop(reports);
    assert!(orders.next().await.is_none());
    // Anything else first is turned away.
    assert!(matches!(client.attach(AgentReport::Heartbeat).await, Err(ClientError::Denied(_))));
}

#[tokio::test]
async fn a_blob_comes_in_chunks_and_whole() {
    let (_place, target) = controller(0).await;
    let client = NodeClient::connect(&target).await.unwrap();
    for length in [0, 1, 65_536, 3_000_001] {
        let run = Run { job: JobId(length), attempt: Attempt(1) };
        let blob = client.fetch_blob(BlobDigest([9; 32]), run).await.unwrap();
        assert_eq!(blob, Blob { digest: BlobDigest([9; 32]), content: vec![9; length as usize] });
    }
    let run = Run { job: JobId(20_000_000), attempt: Attempt(1) };
    assert!(matches!(client.fetch_blob(BlobDigest([9; 32]), run).await, Err(ClientError::Other(_))));
}

#[tokio::test]
async fn input_of_a_step_goes_in_and_its_output_comes_out() {
    let (_place, target) = controller(0).await;
    let client = StepClient::connect(&target).await.unwrap();
    let start = StepStart { command: vec!["cat".into(), "-".into()], ..StepStart::default() };
    let (commands, mut news) = client.run_step(start).await.unwrap();
    let output = |rank, stream, bytes: &[u8]| StepNews::Output { rank, stream, bytes: bytes.to_vec() };
    assert_eq!(news.next().await.unwrap().unwrap(), output(0, OutputStream::Stderr, b"cat -"));
    for round in 0u8..100 {
        commands.send(StepCommand::Stdin { rank: None, bytes: vec![round; 999], end: false }).await.unwrap();
        assert_eq!(news.next().await.unwrap().unwrap(), output(1, OutputStream::Stdout, &[round; 999]));
    }
    commands.send(StepCommand::Signal { signal: 15 }).await.unwrap();
    let exit = ExitStatus { code: 0, signal: 15 };
    assert_eq!(news.next().await.unwrap().unwrap(), StepNews::TaskExit { rank: 1, exit });
    drop(commands);
    assert_eq!(news.next().await.unwrap().unwrap(), StepNews::Finished);
    assert!(news.next().await.is_none());
}

#[tokio::test]
async fn visitors_see_what_is_used_and_leave_files() {
    let (_place, target) = controller(0).await;
    let client = StepClient::connect(&target).await.unwrap();
    let live = client.live_steps(b"credential".to_vec()).await.unwrap();
    assert_eq!(live, [LiveStep { step: StepId(10), tasks: Vec::new() }]);
    let begin = FileBegin { path: "/tmp/tool".into(), size: 2_000_000, ..FileBegin::default() };
    let (parts, mut stored) = client.store_file(begin).await.unwrap();
    for _ in 0..2 {
        parts.send(FilePart::Bytes(vec![7; 1_000_000])).await.unwrap();
    }
    drop(parts);
    let text = "2000000 bytes of /tmp/tool".to_owned();
    assert_eq!(stored.next().await.unwrap().unwrap(), FileStored { errno: 0, text });
}

#[tokio::test]
async fn a_script_above_the_limit_is_refused_in_words() {
    let (_place, target) = controller(0).await;
    let client = Client::connect(&target).await.unwrap();
    let script = Some(vec![b'#'; squall_proto::limits::MAX_SCRIPT + 1]);
    let error = client.submit(SubmitRequest { script, ..SubmitRequest::default() }).await.unwrap_err();
    assert!(error.to_string().contains("script: has 4194305 bytes, 4194304 are allowed"), "{error}");
    let script = Some(vec![b'#'; squall_proto::limits::REQUEST_BYTES]);
    assert!(client.submit(SubmitRequest { script, ..SubmitRequest::default() }).await.is_err());
    assert!(client.summary().await.is_ok());
}

/// Serves brief connections of a listener, with answers of a controller without jobs; the others are returned.
fn entrance(listener: impl Stream<Item = std::io::Result<StdUnixStream>> + Send + Unpin + 'static) -> Lasting {
    let (entrance, lasting) = by_length();
    let service = client_service(Arc::new(Answers { jobs: 0 }));
    tokio::spawn(async move { entrance.serve(listener, service).await });
    lasting
}

#[tokio::test]
async fn a_connection_goes_where_its_kind_is_served_once_something_is_said_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ctl.sock");
    let mut lasting = entrance(Arrivals::of(bind_unix(&path, 0o600).await.unwrap()).unwrap());
    // Nothing is said here while others come and go.
    let _silent = UnixStream::connect(&path).await.unwrap();
    for (words, answer) in [
        ("POST / HTTP/1.1\r\nconnection: close\r\n\r\n", "HTTP/1.1 "),
        ("PUT / HTTP/1.1\r\nconnection: close\r\n\r\n", "HTTP/1.1 "),
        ("P", ""),
        ("", ""),
    ] {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(words.as_bytes()).await.unwrap();
        if answer.is_empty() {
            stream.shutdown().await.unwrap();
        }
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        assert!(said.starts_with(answer), "{words}: {said}");
    }
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0").await.unwrap();
    drop(stream);
    let mut said = String::new();
    lasting.next().await.unwrap().unwrap().read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "PRI * HTTP/2.0");
}

/// Who says nothing more may still listen, for as long as a call lasts; who has gone may not. The clock goes on only while
/// nobody has anything to do.
#[tokio::test(start_paused = true)]
async fn a_call_ends_when_nobody_waits_for_its_answer_any_more() {
    const ASKED: &[u8] = b"POST /a/b HTTP/1.1\r\ncontent-type: application/grpc-web\r\ncontent-length: 0\r\n\r\n";
    let (begin, mut begun) = mpsc::unbounded_channel::<oneshot::Sender<()>>();
    let service = tower::service_fn(move |_| {
        let (answer, asked) = oneshot::channel();
        begin.send(answer).unwrap();
        async move {
            asked.await.unwrap();
            Ok(http::Response::new(Body::empty()))
        }
    });
    let (come, listener) = mpsc::unbounded_channel();
    let (entrance, _lasting) = by_length();
    let incoming = UnboundedReceiverStream::new(listener).map(UnixStream::into_std);
    tokio::spawn(async move { entrance.serve(incoming, service).await });

    for leaves in [false, true] {
        let (mut client, server) = UnixStream::pair().unwrap();
        come.send(server).unwrap();
        client.write_all(ASKED).await.unwrap();
        let mut call = begun.recv().await.unwrap();
        client.shutdown().await.unwrap();
        let ended_early = tokio::time::timeout(Duration::from_secs(20), call.closed()).await.is_ok();
        assert!(!ended_early, "it listens still");
        if leaves {
            drop(client);
            tokio::time::timeout(Duration::from_secs(1), call.closed()).await.unwrap();
        } else {
            call.send(()).unwrap();
            let mut said = vec![0; 12];
            client.read_exact(&mut said).await.unwrap();
            assert_eq!(said, b"HTTP/1.1 200");
        }
    }
}

/// Whatever comes in parts, or is taken in parts, is waited for.
#[tokio::test(start_paused = true)]
async fn a_slow_client_is_served_as_well() {
    let (place, _) = controller(3_000).await;
    let mut client = UnixStream::connect(&place.path).await.unwrap();
    let head = "POST /squall.v1.Squall/Jobs HTTP/1.1\r\ncontent-type: application/grpc-web\r\nconnection: close\r\n";
    let rest = format!("squall-version: {VERSION}\r\ncontent-length: 5\r\n\r\n\0\0\0\0\0");
    // The clock goes on only once the server has nothing left to do but wait.
    let until_it_waits = || tokio::time::sleep(Duration::from_secs(1));
    for part in [head, &rest[..10], &rest[10..rest.len() - 2], "\0\0"] {
        client.write_all(part.as_bytes()).await.unwrap();
        until_it_waits().await;
    }
    // It is more than the socket holds, and by now it is seen whether somebody is there.
    let mut said = Vec::new();
    for _ in 0..4 {
        until_it_waits().await;
        let mut part = vec![0; 100_000];
        client.read_exact(&mut part).await.unwrap();
        said.extend(part);
    }
    client.read_to_end(&mut said).await.unwrap();
    assert!(said.starts_with(b"HTTP/1.1 200") && said.ends_with(b"\r\n0\r\n\r\n"), "{}", said.len());
    assert!(said.len() > 400_000, "{}", said.len());
    assert!(String::from_utf8_lossy(&said).contains("grpc-status:0"));
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_holds_a_connection_for_half_a_minute_at_most() {
    for words in ["", "P", "POST / HT"] {
        let (mut client, server) = UnixStream::pair().unwrap();
        let _lasting = entrance(stream::iter([server.into_std()]).chain(stream::pending()));
        client.write_all(words.as_bytes()).await.unwrap();
        let begun = tokio::time::Instant::now();
        let mut said = Vec::new();
        client.read_to_end(&mut said).await.unwrap();
        assert!((29..=31).contains(&begun.elapsed().as_secs()), "{words}: {:?}", begun.elapsed());
    }
}

/// Where the process has no file descriptors left, the next try fails as well until something else ends.
#[tokio::test(start_paused = true)]
async fn a_listener_that_fails_is_asked_again_after_a_pause() {
    let (client, server) = UnixStream::pair().unwrap();
    let begun = tokio::time::Instant::now();
    let failing = (0..10).map(|_| Err(std::io::Error::from_raw_os_error(EMFILE)));
    let mut lasting = entrance(stream::iter(failing.chain([server.into_std()])).chain(stream::pending()));
    client.writable().await.unwrap();
    client.try_write(b"PRI").unwrap();
    assert!(lasting.next().await.unwrap().is_ok());
    assert!((900..1_500).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
}
