//! The suite that every provisioner passes, with real processes.

mod stage;

use async_trait::async_trait;
use squall_provisioner::Provisioner;
use squall_provisioner::conformance::{self, World};
use squall_provisioner_local::LocalProvisioner;
use squall_types::offer::JoinTicket;
use squall_types::{Span, Timestamp};
use stage::Stage;
use std::sync::{Arc, Mutex};
use std::time::Duration;

struct ThisMachine {
    stage: Stage,
    connected: Mutex<Vec<LocalProvisioner>>,
}

#[async_trait]
impl World for ThisMachine {
    async fn connect(&self) -> Arc<dyn Provisioner> {
        let provisioner = self.stage.open();
        self.connected.lock().expect("no test panics with it").push(provisioner.clone());
        Arc::new(provisioner)
    }
    fn now(&self) -> Timestamp {
        stage::now()
    }
    async fn pass(&self, span: Span) {
        let millis = u64::try_from(span.as_millis()).expect("time goes forward");
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
    fn ticket(&self) -> JoinTicket {
        stage::ticket()
    }
    fn leave_room(&self, nodes: u32) -> bool {
        let connected = self.connected.lock().expect("no test panics with it");
        connected.iter().for_each(|provisioner| provisioner.set_max_instances(nodes));
        true
    }
}

#[tokio::test]
async fn nodes_on_this_machine_keep_every_promise() {
    let report = conformance::run(|| ThisMachine { stage: Stage::new(), connected: Mutex::default() }).await;
    report.assert_clean();
    let skipped = |outcome: &conformance::Outcome| matches!(outcome, conformance::Outcome::Skipped(_));
    assert!(!report.outcomes.iter().any(|(_, outcome)| skipped(outcome)), "{report}");
}
