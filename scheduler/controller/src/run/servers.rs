//! gRPC on the Unix socket and on TCP with TLS.

use super::RunError;
use super::address::Addresses;
use crate::identity::{Authority, SERVER_LIFETIME};
use crate::rpc::Service;
use crate::settings::{ControllerSettings, socket_mode};
use squall_proto::server::{ServerTls, accept_tls, bind_unix, builder, client_service, node_service};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Servers that run until they are stopped.
pub(super) struct Servers {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    socket: PathBuf,
}

impl Servers {
    pub async fn start(
        service: Arc<Service>,
        controller: &ControllerSettings,
        addresses: Addresses,
        authority: &Arc<Authority>,
    ) -> Result<Servers, RunError> {
        let (stop, stopped) = watch::channel(false);
        let now = service.handle.now();
        let identity = authority.server_identity(&addresses.names, now)?;
        let tls = ServerTls::new(&identity, authority.ca_pem())?;
        let mode = socket_mode(&controller.socket_mode).unwrap_or(0o600);
        make_parent(&controller.socket)?;
        let local = bind_unix(&controller.socket, mode).await.map_err(|source| RunError::Listen {
            doing: "listening on",
            place: controller.socket.display().to_string(),
            source,
        })?;
        tracing::info!(socket = %controller.socket.display(), address = %addresses.advertised, "listening");
        let machines = accept_tls(addresses.listener, tls.clone());
        let local_server = builder().add_service(client_service(service.clone()));
        let machine_server =
            builder().add_service(client_service(service.clone())).add_service(node_service(service.clone()));
        let (stop_local, stop_machines) = (asked(stopped.clone()), asked(stopped.clone()));
        let tasks = vec![
            tokio::spawn(async move { ended(local_server.serve_with_incoming_shutdown(local, stop_local).await) }),
            tokio::spawn(
                async move { ended(machine_server.serve_with_incoming_shutdown(machines, stop_machines).await) },
            ),
            tokio::spawn(renew(service, authority.clone(), addresses.names, tls)),
        ];
        Ok(Servers { stop, tasks, socket: controller.socket.clone() })
    }

    /// Takes no new calls, and does not wait for those that last.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // New clients are to find nobody, rather than somebody who does not answer.
        let _ = std::fs::remove_file(&self.socket);
        for task in self.tasks {
            task.abort();
        }
    }
}

async fn asked(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

fn ended(served: Result<(), tonic::transport::Error>) {
    if let Err(error) = served {
        tracing::error!(%error, "a server ended");
    }
}

/// Exchanges the server's certificate long before it expires.
async fn renew(service: Arc<Service>, authority: Arc<Authority>, names: Vec<String>, tls: ServerTls) {
    loop {
        tokio::time::sleep(super::duration(SERVER_LIFETIME) / 4).await;
        let renewed = authority.server_identity(&names, service.handle.now());
        let exchanged = renewed
            .map_err(|error| error.to_string())
            .and_then(|identity| tls.replace(&identity, authority.ca_pem()).map_err(|error| error.to_string()));
        if let Err(error) = exchanged {
            tracing::error!(reason = %error, "the server's certificate was not renewed");
        }
    }
}

fn make_parent(socket: &Path) -> Result<(), RunError> {
    let Some(parent) = socket.parent() else { return Ok(()) };
    std::fs::create_dir_all(parent).map_err(|source| RunError::Listen {
        doing: "making the folder of",
        place: socket.display().to_string(),
        source,
    })
}
