//! A provisioner in a process of its own, over a Unix socket.

use async_trait::async_trait;
use squall_proto::connect::Target;
use squall_proto::provisioner_client::{CallError, ProvisionerClient};
use squall_proto::server::{ProvisionerApi, bind_unix, builder, provisioner_service};
use squall_types::offer::*;
use squall_types::*;
use std::sync::Arc;

struct Dry;

#[async_trait]
impl ProvisionerApi for Dry {
    async fn describe(&self, contract: u32) -> Description {
        let capabilities = Capabilities { max_per_order: 7, ..Capabilities::default() };
        Description { contract, program: "dry".to_owned(), version: "1.2".to_owned(), capabilities }
    }
    async fn offers(&self) -> Result<Vec<Offer>, LaunchFailure> {
        Ok(vec![Offer { name: "h100".into(), ..Offer::default() }])
    }
    async fn launch(&self, order: LaunchOrder) -> Result<Launched, LaunchFailure> {
        Err(LaunchFailure::NoCapacity { scope: order.offer.scope })
    }
    async fn retire(&self, _: Vec<InstanceId>) -> Result<(), LaunchFailure> {
        Ok(())
    }
    async fn list(&self) -> Result<Listing, LaunchFailure> {
        Ok(Listing { instances: Vec::new(), complete: true })
    }
}

#[tokio::test]
async fn a_provisioner_in_another_process_says_why_it_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.sock");
    let incoming = bind_unix(&path, 0o600).await.unwrap();
    tokio::spawn(builder().add_service(provisioner_service(Arc::new(Dry))).serve_with_incoming(incoming));
    let client = ProvisionerClient::connect(&Target::unix(&path).unwrap()).await.unwrap();
    let described = client.describe(3).await.unwrap();
    assert_eq!((described.contract, described.capabilities.max_per_order), (3, 7));
    assert_eq!(client.offers().await.unwrap()[0].name, "h100".into());
    let order = LaunchOrder {
        order: OrderId(3),
        pool: "p".into(),
        token: "t".into(),
        offer: Offer { scope: "zone-b".into(), ..Offer::default() },
        names: vec!["p-1".into()],
        gang: true,
        die_at: Timestamp(9),
        tags: Default::default(),
        join: None,
    };
    let failure = LaunchFailure::NoCapacity { scope: "zone-b".into() };
    assert_eq!(tokio::spawn(async move { client.launch(order).await }).await.unwrap(), Err(CallError::Failed(failure)));
}
