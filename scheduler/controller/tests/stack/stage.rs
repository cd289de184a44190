//! A controller in a folder of its own, with machines of one's own that tests play by hand.

use squall_proto::client::Client;
use squall_proto::connect::{Target, Trust};
use squall_types::api::{JobFilter, JobView, SubmitRequest};
use squall_types::{JobId, JobKind, JobSpec, SubmitToken};
use squallctld::run::{Controller, RunError};
use squallctld::settings::load;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub struct Stage {
    pub dir: tempfile::TempDir,
    pub controller: Option<Controller>,
}

/// Two machines, a login host, and the user of this process as an admin.
pub fn configuration(dir: &Path) -> String {
    let dir = dir.display();
    let user = nix::unistd::getuid();
    format!(
        r#"
cluster = "c1"
admins = ["{user}"]

[controller]
state_dir = "{dir}/state"
socket = "{dir}/run/ctld.sock"
listen = "127.0.0.1:0"
heartbeat = "1s"
disk_reserve = "1M"

[partitions.rack]
pools = ["rack"]
default_time = "10m"

[pools.rack]
provisioner = "static"

[pools.rack.nodes."n[1-2]"]
cpus = 4
memory = "8G"

[login_hosts.login1]
uids = "20000-29999"
"#
    )
}

impl Stage {
    pub async fn start() -> Stage {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("squall.toml"), configuration(dir.path())).unwrap();
        let mut stage = Stage { dir, controller: None };
        stage.up().await.unwrap();
        stage
    }

    pub fn file(&self) -> PathBuf {
        self.dir.path().join("squall.toml")
    }

    /// Starts a controller on the folder as it is.
    pub async fn up(&mut self) -> Result<(), RunError> {
        let loaded = load(&self.file()).unwrap_or_else(|errors| panic!("{errors:?}"));
        self.controller = Some(Controller::start(loaded, |_| {}).await?);
        Ok(())
    }

    pub async fn down(&mut self) {
        self.controller.take().unwrap().stop().await.unwrap();
    }

    /// Over the Unix socket, as the user of this process.
    pub async fn local(&self) -> Client {
        let target = Target::unix(&self.dir.path().join("run/ctld.sock")).unwrap();
        Client::connect(&target).await.unwrap()
    }

    pub fn ca_pem(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("state/identity/ca.pem")).unwrap()
    }

    /// Over TLS, as nobody yet.
    pub fn remote(&self) -> Target {
        let address = self.controller.as_ref().unwrap().address();
        Target::parse(&format!("https://{address}"), Some(Trust::Ca(self.ca_pem()))).unwrap()
    }
}

pub fn batch(token: &str) -> SubmitRequest {
    SubmitRequest {
        spec: JobSpec {
            name: "job".to_owned(),
            kind: JobKind::Batch,
            work_dir: "/tmp".to_owned(),
            // What a client claims to be counts for nothing.
            uid: squall_types::Uid(4_000_000),
            user: "somebody-else".to_owned(),
            ..JobSpec::default()
        }
        .into(),
        script: Some(b"#!/bin/sh\ntrue\n".to_vec()),
        environment: b"A=1\0".to_vec(),
        token: SubmitToken::new(token),
        test_only: false,
        more: Vec::new(),
        step: None,
    }
}

pub async fn all_jobs(client: &Client) -> Vec<JobView> {
    client.jobs(JobFilter { all_states: true, ..JobFilter::default() }).await.unwrap()
}

pub async fn job(client: &Client, id: JobId) -> JobView {
    let jobs = all_jobs(client).await;
    jobs.into_iter().find(|view| view.job == id).unwrap_or_else(|| panic!("no job {id}"))
}

/// Waits until `check` finds what it looks for.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut check: impl FnMut() -> F) -> T {
    for _ in 0..200 {
        if let Some(found) = check().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never came: {what}");
}
