//! The simulated cloud in another process, as far as its callers can tell: over a real socket.
#![allow(clippy::unwrap_used)]

mod sky;

use async_trait::async_trait;
use sky::{Sky, fair, h100};
use squall_provisioner::bridge::{About, Bridged, ConnectError, ServeError, serve};
use squall_provisioner::conformance::{self, World};
use squall_provisioner::{Capabilities, ProcessClock, ProvisionError, Provisioner, TimeLimits, Verb};
use squall_provisioner_sim::{Cloud, Fault, FaultPlan, Pace, Rule, SimProvisioner, Spread};
use squall_types::{InstanceId, LaunchOrder, Launched, Listing, Offer, OrderId, Span, Timestamp};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;

/// A cloud behind a socket; ends with its owner.
struct Overseas {
    sky: Sky,
    folder: tempfile::TempDir,
    server: JoinHandle<()>,
}

impl Overseas {
    fn new(faults: FaultPlan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sky = Sky::new(fair(), faults, 3);
        let server = serve_in_background(Arc::new(sky.provisioner()), folder.path().join("sim.sock"));
        Self { sky, folder, server }
    }
}

impl Drop for Overseas {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn serve_in_background(provisioner: Arc<dyn Provisioner>, socket: PathBuf) -> JoinHandle<()> {
    tokio::spawn(async move { serve(About::default(), provisioner, &socket, std::future::pending()).await.unwrap() })
}

async fn connect(socket: &Path, limits: TimeLimits) -> Bridged {
    for _ in 0..200 {
        match Bridged::connect(socket, limits).await {
            Ok(bridged) => return bridged,
            Err(ConnectError::Unreachable(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("nobody serves {}", socket.display());
}

#[async_trait]
impl World for Overseas {
    async fn connect(&self) -> Arc<dyn Provisioner> {
        Arc::new(connect(&self.folder.path().join("sim.sock"), TimeLimits::default()).await)
    }
    fn now(&self) -> Timestamp {
        self.sky.now()
    }
    async fn pass(&self, span: Span) {
        self.sky.pass(span).await;
    }
    fn commit(&self, order: &LaunchOrder) {
        self.sky.commit(order);
    }
    fn leave_room(&self, nodes: u32) -> bool {
        self.sky.leave_room(nodes)
    }
}

fn order(names: &[&str]) -> LaunchOrder {
    LaunchOrder {
        order: OrderId(1),
        pool: "h100".into(),
        token: "token-1".into(),
        offer: h100(),
        names: names.iter().map(|name| (*name).into()).collect(),
        gang: false,
        die_at: Timestamp::from_secs(4_000_000_000),
        tags: BTreeMap::new(),
        join: None,
    }
}

#[tokio::test]
async fn a_bridge_keeps_every_promise_of_what_is_behind_it() {
    let report = conformance::run(|| Overseas::new(FaultPlan::none())).await;
    report.assert_clean();
    let skipped = |outcome: &conformance::Outcome| matches!(outcome, conformance::Outcome::Skipped(_));
    assert!(!report.outcomes.iter().any(|(_, outcome)| skipped(outcome)), "{report}");
}

#[tokio::test]
async fn a_bridge_hides_nothing_that_is_broken_behind_it() {
    let broken =
        conformance::run(|| Overseas::new(FaultPlan::none().with(Rule::always(Fault::TokenForgotten)))).await.broken();
    assert!(broken.contains(&"a_repeated_launch_returns_the_same_instances"), "{broken:?}");
}

#[tokio::test]
async fn a_failure_crosses_the_bridge_with_its_numbers() {
    let pause = Spread::always(Span::from_secs(7));
    let overseas = Overseas::new(FaultPlan::none().with(Rule::always(Fault::Throttled).on(Verb::List).lasting(pause)));
    let bridged = overseas.connect().await;
    let error = bridged.list().await.unwrap_err();
    assert!(
        matches!(error, ProvisionError::Throttled { retry_after } if retry_after == Span::from_secs(7)),
        "{error:?}"
    );
    assert_eq!(bridged.capabilities(), fair().capabilities);
}

#[tokio::test]
async fn a_process_that_dies_in_a_call_leaves_an_unknown_outcome_that_its_successor_resolves() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("sim.sock");
    // Answers take two seconds, so that the process can die between the effect and its answer.
    let config = squall_provisioner_sim::CloudConfig { answer: Spread::always(Span::from_secs(2)), ..fair() };
    let cloud = Arc::new(Mutex::new(Cloud::new(config, FaultPlan::none(), 1)));
    let slow = SimProvisioner::new(cloud.clone(), Arc::new(ProcessClock::default()), Pace::RealTime);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let first = socket.clone();
    runtime
        .spawn(async move { serve(About::default(), Arc::new(slow), &first, std::future::pending()).await.unwrap() });
    // Capabilities are described without delay.
    let bridged = Arc::new(connect(&socket, TimeLimits::default()).await);
    let (caller, wanted) = (bridged.clone(), order(&["h100-1", "h100-2"]));
    let call = tokio::spawn(async move { caller.launch(&wanted).await });
    while cloud.lock().unwrap().machines().count() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    runtime.shutdown_background();
    let error = call.await.unwrap().unwrap_err();
    assert!(matches!(error, ProvisionError::Unknown { .. }), "{error:?}");
    // A process would have taken its socket along; a runtime closes it a little later.
    while std::os::unix::net::UnixStream::connect(&socket).is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let swift = SimProvisioner::new(cloud.clone(), Arc::new(ProcessClock::default()), Pace::Instant);
    let server = serve_in_background(Arc::new(swift), socket);
    let mut launched = bridged.launch(&order(&["h100-1", "h100-2"])).await;
    for _ in 0..200 {
        if launched.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        launched = bridged.launch(&order(&["h100-1", "h100-2"])).await;
    }
    assert_eq!(launched.unwrap().instances.len(), 2);
    assert_eq!(cloud.lock().unwrap().machines().count(), 2);
    server.abort();
}

#[tokio::test]
async fn the_socket_is_its_owners_alone_and_one_process_has_it() {
    let overseas = Overseas::new(FaultPlan::none());
    let socket = overseas.folder.path().join("sim.sock");
    overseas.connect().await;
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let second = serve(About::default(), Arc::new(overseas.sky.provisioner()), &socket, std::future::pending()).await;
    assert!(matches!(second, Err(ServeError::Listen { .. })), "{second:?}");
    overseas.connect().await.offers().await.expect("the first still serves");
}

/// Says that it launched what nobody asked for.
struct Confused;

#[async_trait]
impl Provisioner for Confused {
    fn capabilities(&self) -> Capabilities {
        Capabilities { max_per_order: 1, max_per_retire: 1, ..Capabilities::default() }
    }
    async fn offers(&self) -> Result<Vec<Offer>, ProvisionError> {
        std::future::pending().await
    }
    async fn launch(&self, _order: &LaunchOrder) -> Result<Launched, ProvisionError> {
        let instances = vec![squall_types::offer::LaunchedInstance { instance: "i-1".into(), name: "other".into() }];
        Ok(Launched { instances })
    }
    async fn retire(&self, _instances: &[InstanceId]) -> Result<(), ProvisionError> {
        Ok(())
    }
    async fn list(&self) -> Result<Listing, ProvisionError> {
        Ok(Listing::default())
    }
}

#[tokio::test]
async fn a_confused_or_silent_process_leaves_unknown_outcomes() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("confused.sock");
    let server = serve_in_background(Arc::new(Confused), socket.clone());
    let bridged = connect(&socket, TimeLimits { offers: Span::from_millis(50), ..TimeLimits::default() }).await;
    let error = bridged.launch(&order(&["h100-1"])).await.unwrap_err();
    let failure = squall_types::LaunchFailure::from(error);
    assert!(failure.to_string().contains("`other`, which was not asked for"), "{failure}");
    assert!(matches!(bridged.offers().await, Err(ProvisionError::Unknown { .. })));
    server.abort();
}
