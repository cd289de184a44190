//! Programs that keep the contract, and programs that do not.

use async_trait::async_trait;
use squall_proto::server::{ProvisionerApi, bind_unix, builder, provisioner_service};
use squall_provisioner::bridge::{About, Start, program};
use squall_provisioner::supervise::{Pace, Supervised};
use squall_provisioner::{Capabilities, ProvisionError, Provisioner};
use squall_types::offer::{Description, LaunchedInstance};
use squall_types::{InstanceId, LaunchFailure, LaunchOrder, Launched, Listing, Offer, Span};
use std::io::{BufRead, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// Which role a process plays.
pub const ROLE: &str = "ROLE";
/// For a controller: the role of its program, and its folder.
pub const KEEPS: &str = "KEEPS";
pub const FOLDER: &str = "FOLDER";

pub fn play(role: &str) {
    match role {
        "good" => served(role, |order| order.names.clone()),
        "confused" => served(role, |_| vec!["somebody".into()]),
        "old" => old(),
        "garbage" => garbage(),
        "broken" => {
            eprintln!("the region is wrong");
            std::process::exit(3);
        }
        "stubborn" => stubborn(),
        "controller" => controller(),
        other => panic!("no role {other}"),
    }
}

/// Sells what it is told to, and launches what `names` makes of an order.
struct Shop {
    offers: Vec<Offer>,
    names: fn(&LaunchOrder) -> Vec<squall_types::NodeName>,
}

#[async_trait]
impl Provisioner for Shop {
    fn capabilities(&self) -> Capabilities {
        let token_lifetime = Span::from_hours(1);
        Capabilities { max_per_order: 1, max_per_retire: 1, token_lifetime, ..Capabilities::default() }
    }
    async fn offers(&self) -> Result<Vec<Offer>, ProvisionError> {
        Ok(self.offers.clone())
    }
    async fn launch(&self, order: &LaunchOrder) -> Result<Launched, ProvisionError> {
        let one = |name| LaunchedInstance { instance: "i-1".into(), name };
        Ok(Launched { instances: (self.names)(order).into_iter().map(one).collect() })
    }
    async fn retire(&self, _: &[InstanceId]) -> Result<(), ProvisionError> {
        Ok(())
    }
    async fn list(&self) -> Result<Listing, ProvisionError> {
        Ok(Listing { instances: Vec::new(), complete: true })
    }
}

fn leave_number() {
    std::fs::write("pid.new", std::process::id().to_string()).unwrap();
    std::fs::rename("pid.new", "pid").unwrap();
}

fn served(role: &str, names: fn(&LaunchOrder) -> Vec<squall_types::NodeName>) {
    leave_number();
    program::main(&About::new(role, "1.0.0"), |start| Ok(Arc::new(Shop { offers: start.offers.clone(), names })));
    std::process::exit(0);
}

fn start() -> Start {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

struct Old;

#[async_trait]
impl ProvisionerApi for Old {
    async fn describe(&self, _: u32) -> Description {
        let (program, version) = ("squall-old".to_owned(), "0.0.1".to_owned());
        Description { contract: 0, program, version, capabilities: Capabilities::default() }
    }
    async fn offers(&self) -> Result<Vec<Offer>, LaunchFailure> {
        Ok(Vec::new())
    }
    async fn launch(&self, _: LaunchOrder) -> Result<Launched, LaunchFailure> {
        Ok(Launched::default())
    }
    async fn retire(&self, _: Vec<InstanceId>) -> Result<(), LaunchFailure> {
        Ok(())
    }
    async fn list(&self) -> Result<Listing, LaunchFailure> {
        Ok(Listing::default())
    }
}

fn old() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let incoming = bind_unix(&start().socket, 0o600).await.unwrap();
        builder().add_service(provisioner_service(Arc::new(Old))).serve_with_incoming(incoming).await.unwrap();
    });
}

fn garbage() {
    let listener = UnixListener::bind(start().socket).unwrap();
    for connection in listener.incoming() {
        let _ = connection.unwrap().write_all(&[b"HTTP/1.1 418 \xff\xfe".as_slice(), &[0xa5; 4096]].concat());
    }
}

/// Ends for nobody, and neither does its child.
fn stubborn() {
    let mut child = Command::new("sh");
    child.args(["-c", "trap '' TERM HUP; while :; do sleep 1; done"]);
    std::os::unix::process::CommandExt::process_group(&mut child, 0);
    let mut child = child.env("PATH", "/usr/bin:/bin").spawn().unwrap();
    std::fs::write("child.new", child.id().to_string()).unwrap();
    std::fs::rename("child.new", "child").unwrap();
    leave_number();
    // Whoever started it is gone when nobody can write here any more; it knows, and stays.
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    std::fs::write("alone", "").unwrap();
    let _ = child.wait();
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}

/// Keeps a program until it is killed.
fn controller() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let program = super::program(&folder, &std::env::var(KEEPS).unwrap());
    runtime.block_on(async move {
        let _supervised = Supervised::begin(program, Pace::default());
        std::future::pending::<()>().await;
    });
}
