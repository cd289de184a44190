//! The provisioner's end of the bridge: one socket, which is its owner's alone.

use super::contract::{About, CONTRACT};
use crate::{BoxError, ProvisionError, Provisioner};
use async_trait::async_trait;
use squall_proto::server::{ProvisionerApi, bind_unix, builder, provisioner_service};
use squall_types::offer::Description;
use squall_types::{InstanceId, LaunchFailure, LaunchOrder, Launched, Listing, Offer};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Whoever may connect can spend money: the socket is its owner's alone.
const SOCKET_MODE: u32 = 0o600;

/// Why a provisioner is not served, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot listen on {}", socket.display())]
    Listen {
        socket: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the server of {} failed", socket.display())]
    Serve {
        socket: PathBuf,
        #[source]
        source: BoxError,
    },
}

/// Serves a provisioner on a Unix socket until `until` is ready; calls under way are then finished.
///
/// # Errors
/// If another process listens there, or the socket cannot be made.
pub async fn serve(
    about: About,
    provisioner: Arc<dyn Provisioner>,
    socket: &Path,
    until: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let place = || socket.to_owned();
    let listening = bind_unix(socket, SOCKET_MODE).await;
    let incoming = listening.map_err(|source| ServeError::Listen { socket: place(), source })?;
    let service = provisioner_service(Arc::new(Exposed { about, provisioner }));
    let served = builder().add_service(service).serve_with_incoming_shutdown(incoming, until).await;
    served.map_err(|source| ServeError::Serve { socket: place(), source: source.into() })
}

/// Any provisioner as the service sees it.
struct Exposed {
    about: About,
    provisioner: Arc<dyn Provisioner>,
}

#[async_trait]
impl ProvisionerApi for Exposed {
    async fn describe(&self, _newest: u32) -> Description {
        let About { program, version } = self.about.clone();
        Description { contract: CONTRACT, program, version, capabilities: self.provisioner.capabilities() }
    }
    async fn offers(&self) -> Result<Vec<Offer>, LaunchFailure> {
        told("offers", self.provisioner.offers().await)
    }
    async fn launch(&self, order: LaunchOrder) -> Result<Launched, LaunchFailure> {
        told("launch", self.provisioner.launch(&order).await)
    }
    async fn retire(&self, instances: Vec<InstanceId>) -> Result<(), LaunchFailure> {
        told("retire", self.provisioner.retire(&instances).await)
    }
    async fn list(&self) -> Result<Listing, LaunchFailure> {
        told("list", self.provisioner.list().await)
    }
}

/// Causes cross the bridge as text.
fn told<T>(verb: &str, result: Result<T, ProvisionError>) -> Result<T, LaunchFailure> {
    result.map_err(|error| {
        let failure = LaunchFailure::from(error);
        tracing::debug!(verb, reason = %failure, "call failed");
        failure
    })
}
