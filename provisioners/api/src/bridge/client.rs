//! The controller's end of the bridge: a provisioner in another process, seen through the trait.

use super::contract::{CONTRACT, OLDEST_CONTRACT};
use crate::{ProvisionError, Provisioner, TimeLimits, TimedOut, Verb};
use async_trait::async_trait;
use squall_proto::ClientError;
use squall_proto::connect::{BadTarget, Target};
use squall_proto::provisioner_client::{CallError, ProvisionerClient};
use squall_types::offer::Description;
use squall_types::{Capabilities, InstanceId, LaunchFailure, LaunchOrder, Launched, Listing, Offer, Span};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// Why there is no provisioner at a socket.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("not a socket's path")]
    Path(#[from] BadTarget),
    #[error("the provisioner does not answer")]
    Unreachable(#[from] ClientError),
    #[error(
        "{program} {version} keeps edition {theirs} of the contract between controllers and provisioners, and this \
         controller needs {OLDEST_CONTRACT} to {CONTRACT}: install versions that belong together"
    )]
    Contract { program: String, version: String, theirs: u32 },
    #[error("the provisioner takes orders of {max_per_order} nodes and retires {max_per_retire} instances at once")]
    Useless { max_per_order: u32, max_per_retire: u32 },
}

/// An answer that no provisioner may give. What it did is then not known.
#[derive(Debug, thiserror::Error)]
enum BadAnswer {
    #[error("it launched `{0}`, which was not asked for")]
    Stranger(String),
    #[error("it launched `{0}` twice")]
    Twice(String),
    #[error("it launched an instance without an id")]
    Nameless,
}

/// Whether the cause of an unknown outcome is that the other process was not heard, or not understood. What it says itself
/// not to know is none of these.
pub fn is_unheard(error: &ProvisionError) -> bool {
    let ProvisionError::Unknown { source } = error else { return false };
    source.is::<TimedOut>() || source.is::<ClientError>() || source.is::<BadAnswer>()
}

/// A provisioner in another process, seen through the trait. The connection is made again when it was lost.
pub struct Bridged {
    client: ProvisionerClient,
    described: Description,
    limits: TimeLimits,
}

impl Bridged {
    /// Connects to the socket and asks what the provisioner promises.
    ///
    /// # Errors
    /// If nobody answers there, or what answers could not buy or give back anything.
    pub async fn connect(socket: &Path, limits: TimeLimits) -> Result<Self, ConnectError> {
        let client = ProvisionerClient::connect(&Target::unix(socket)?).await?;
        let described = client.describe(CONTRACT).await?;
        if !(OLDEST_CONTRACT..=CONTRACT).contains(&described.contract) {
            let Description { contract: theirs, program, version, .. } = described;
            return Err(ConnectError::Contract { program, version, theirs });
        }
        let Capabilities { max_per_order, max_per_retire, .. } = described.capabilities;
        if max_per_order == 0 || max_per_retire == 0 {
            return Err(ConnectError::Useless { max_per_order, max_per_retire });
        }
        Ok(Self { client, described, limits })
    }

    /// Who it is, as it said when the connection was made.
    pub fn described(&self) -> &Description {
        &self.described
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// None came within `patience`.
    pub async fn probe(&self, patience: Duration) -> Result<(), ClientError> {
        self.client.clone().with_patience(patience).describe(CONTRACT).await.map(drop)
    }

    fn patiently(&self, limit: Span) -> ProvisionerClient {
        let patience = Duration::from_millis(u64::try_from(limit.as_millis()).unwrap_or(0));
        self.client.clone().with_patience(patience)
    }
}

#[async_trait]
impl Provisioner for Bridged {
    fn capabilities(&self) -> Capabilities {
        self.described.capabilities.clone()
    }

    async fn offers(&self) -> Result<Vec<Offer>, ProvisionError> {
        let limit = self.limits.offers;
        self.patiently(limit).offers().await.map_err(|error| heard(error, Verb::Offers, limit))
    }

    async fn launch(&self, order: &LaunchOrder) -> Result<Launched, ProvisionError> {
        let limit = self.limits.launch;
        let launched = self.patiently(limit).launch(order.clone()).await;
        let launched = launched.map_err(|error| heard(error, Verb::Launch, limit))?;
        check(order, &launched).map_err(ProvisionError::unknown)?;
        Ok(launched)
    }

    async fn retire(&self, instances: &[InstanceId]) -> Result<(), ProvisionError> {
        let limit = self.limits.retire;
        self.patiently(limit).retire(instances.to_vec()).await.map_err(|error| heard(error, Verb::Retire, limit))
    }

    async fn list(&self) -> Result<Listing, ProvisionError> {
        let limit = self.limits.list;
        self.patiently(limit).list().await.map_err(|error| heard(error, Verb::List, limit))
    }
}

/// What the provisioner said, or that it was not heard: a request without an answer may have been carried out.
fn heard(error: CallError, verb: Verb, limit: Span) -> ProvisionError {
    match error {
        CallError::Failed(LaunchFailure::Throttled { retry_after }) => {
            ProvisionError::Throttled { retry_after: retry_after.max(Span::ZERO) }
        }
        CallError::Failed(failure) => failure.into(),
        CallError::Unheard(ClientError::TimedOut { .. }) => ProvisionError::unknown(TimedOut { verb, limit }),
        CallError::Unheard(ClientError::Denied(why)) => ProvisionError::Denied { why },
        CallError::Unheard(error @ ClientError::Version { .. }) => ProvisionError::rejected(error.to_string()),
        CallError::Unheard(error) => ProvisionError::unknown(error),
    }
}

/// Only instances with names of the order, each once.
fn check(order: &LaunchOrder, launched: &Launched) -> Result<(), BadAnswer> {
    let wanted: BTreeSet<_> = order.names.iter().collect();
    let (mut names, mut instances) = (BTreeSet::new(), BTreeSet::new());
    for one in &launched.instances {
        if one.instance.as_str().is_empty() {
            return Err(BadAnswer::Nameless);
        }
        if !wanted.contains(&one.name) {
            return Err(BadAnswer::Stranger(one.name.to_string()));
        }
        if !names.insert(&one.name) || !instances.insert(&one.instance) {
            return Err(BadAnswer::Twice(one.name.to_string()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_types::offer::LaunchedInstance;

    #[test]
    fn an_answer_that_does_not_fit_the_order_is_not_believed() {
        let order = LaunchOrder {
            order: squall_types::OrderId(1),
            pool: "gpu".into(),
            token: "token".into(),
            offer: Offer::default(),
            names: vec!["gpu1".into(), "gpu2".into()],
            gang: false,
            die_at: squall_types::Timestamp::ZERO,
            tags: Default::default(),
            join: None,
        };
        let answer = |pairs: &[(&str, &str)]| {
            let one = |(instance, name): &(&str, &str)| LaunchedInstance {
                instance: (*instance).into(),
                name: (*name).into(),
            };
            check(&order, &Launched { instances: pairs.iter().map(one).collect() })
        };
        assert!(answer(&[]).is_ok() && answer(&[("i-1", "gpu2")]).is_ok());
        assert!(answer(&[("i-1", "gpu1"), ("i-2", "gpu2")]).is_ok());
        assert!(matches!(answer(&[("i-1", "gpu3")]), Err(BadAnswer::Stranger(_))));
        assert!(matches!(answer(&[("i-1", "gpu1"), ("i-2", "gpu1")]), Err(BadAnswer::Twice(_))));
        assert!(matches!(answer(&[("i-1", "gpu1"), ("i-1", "gpu2")]), Err(BadAnswer::Twice(_))));
        assert!(matches!(answer(&[("", "gpu1")]), Err(BadAnswer::Nameless)));
    }
}
