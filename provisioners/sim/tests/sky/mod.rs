//! A simulated cloud as a world for the conformance suite.
#![allow(dead_code)]

use async_trait::async_trait;
use squall_provisioner::Provisioner;
use squall_provisioner::conformance::World;
use squall_provisioner_sim::{Cloud, CloudConfig, FaultPlan, Pace, SimProvisioner};
use squall_types::{GpuGroup, Gpus, HourlyPrice, LaunchOrder, Offer, Shape, Span, Timestamp};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

/// A simulated cloud on a clock of its own.
pub struct Sky {
    pub cloud: Arc<Mutex<Cloud>>,
    pub clock: Arc<AtomicI64>,
}

impl Sky {
    pub fn new(config: CloudConfig, faults: FaultPlan, seed: u64) -> Self {
        let cloud = Cloud::new(CloudConfig { checks_journal: true, ..config }, faults, seed);
        Self { cloud: Arc::new(Mutex::new(cloud)), clock: Arc::new(AtomicI64::new(1_700_000_000_000)) }
    }
}

impl Sky {
    pub fn provisioner(&self) -> SimProvisioner {
        let clock = self.clock.clone();
        let now = Arc::new(move || Timestamp(clock.load(Ordering::Relaxed)));
        SimProvisioner::new(self.cloud.clone(), now, Pace::Instant)
    }
}

#[async_trait]
impl World for Sky {
    async fn connect(&self) -> Arc<dyn Provisioner> {
        Arc::new(self.provisioner())
    }
    fn now(&self) -> Timestamp {
        Timestamp(self.clock.load(Ordering::Relaxed))
    }
    async fn pass(&self, span: Span) {
        self.clock.fetch_add(span.as_millis(), Ordering::Relaxed);
        tokio::task::yield_now().await;
    }
    fn commit(&self, order: &LaunchOrder) {
        self.cloud.lock().expect("no test panics with it").announce(order.token.clone());
    }
    fn leave_room(&self, nodes: u32) -> bool {
        let mut cloud = self.cloud.lock().expect("no test panics with it");
        cloud.config_mut().sold.iter_mut().for_each(|sold| sold.capacity = Some(nodes));
        true
    }
}

pub fn h100() -> Offer {
    let gpus = Gpus(vec![GpuGroup { model: "h100".into(), count: 8, memory_mib: 81_559, declared: true }]);
    Offer {
        name: "p5.48xlarge/us-east-1a/on-demand".into(),
        instance_type: "p5.48xlarge".into(),
        scope: "us-east-1a".into(),
        price: HourlyPrice(98_320_000),
        shape: Shape { cpus: 192, cores: 96, memory_mib: 2_097_152, gpus, features: BTreeSet::new() },
        minimum_billed: Span::from_secs(60),
        typical_boot: Span::from_secs(180),
        max_per_order: 100,
        ..Offer::default()
    }
}

pub fn fair() -> CloudConfig {
    CloudConfig::selling([h100()])
}
