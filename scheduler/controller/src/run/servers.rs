//! gRPC on the Unix socket and on TCP with TLS.

use super::RunError;
use super::address::Addresses;
use super::door::Door;
use crate::identity::{Authority, SERVER_LIFETIME};
use crate::meters::Meters;
use crate::pace::Pace;
use crate::rpc::Service;
use crate::settings::{ControllerSettings, socket_mode};
use futures_util::{Stream, StreamExt};
use squall_proto::server::{
    Arrivals, Lasting, ServerTls, accept_tls, bind_unix, builder, by_length, client_service, node_service,
};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};
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
        pace: Arc<Pace>,
    ) -> Result<Servers, RunError> {
        let (stop, stopped) = watch::channel(false);
        let now = service.handle.now();
        let identity = authority.server_identity(&addresses.names, now)?;
        let tls = ServerTls::new(&identity, authority.ca_pem())?;
        let mode = socket_mode(&controller.socket_mode).unwrap_or(0o600);
        make_parent(&controller.socket)?;
        let local = serve_local(service.clone(), &controller.socket, mode, pace, asked(stopped.clone())).await;
        let lasting = local.map_err(|source| RunError::Listen {
            doing: "listening on",
            place: controller.socket.display().to_string(),
            source,
        })?;
        tracing::info!(socket = %controller.socket.display(), address = %addresses.advertised, "listening");
        let machines = watched(accept_tls(addresses.listener, tls.clone()), "port", service.meters.clone());
        let machine_server =
            builder().add_service(client_service(service.clone())).add_service(node_service(service.clone()));
        let program_server = builder().add_service(client_service(service.clone()));
        let (stop_machines, stop_programs) = (asked(stopped.clone()), asked(stopped));
        let tasks = vec![
            tokio::spawn(
                async move { ended(program_server.serve_with_incoming_shutdown(lasting, stop_programs).await) },
            ),
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

/// Serves commands on this machine, on a thread of its own: each step of their short calls would otherwise be handed from
/// thread to thread, and waking those costs more than the call. Connections that last are handed out.
async fn serve_local(
    service: Arc<Service>,
    socket: &Path,
    mode: u32,
    pace: Arc<Pace>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<Lasting> {
    let (listening, bound) = oneshot::channel();
    let socket = socket.to_owned();
    let runtime = Builder::new_current_thread().enable_all().thread_name("clients").build()?;
    std::thread::Builder::new().name("clients".to_owned()).spawn(move || {
        // As a task: what wakes the one that a runtime blocks on also writes to an eventfd, which the thread then reads itself.
        let served = runtime.spawn(async move {
            match bind_unix(&socket, mode).await.and_then(Arrivals::of) {
                Ok(incoming) => {
                    let (entrance, lasting) = by_length();
                    drop(listening.send(Ok(lasting)));
                    let incoming = watched(incoming, "socket", service.meters.clone());
                    tokio::select! {
                        () = entrance.serve(Door::new(incoming, pace), client_service(service)) => {}
                        () = stop => {}
                    }
                }
                Err(error) => drop(listening.send(Err(error))),
            }
        });
        if let Err(error) = runtime.block_on(served) {
            tracing::error!(%error, "commands of this machine are not served any more");
        }
        // Calls that last are not waited for.
        runtime.shutdown_background();
    })?;
    bound.await.unwrap_or_else(|_| Err(io::Error::other("its thread ended")))
}

/// Counts connections that could not be taken, and tells of the first in a row: the next ones fail for the same reason.
fn watched<T>(
    incoming: impl Stream<Item = io::Result<T>>,
    place: &'static str,
    meters: Arc<Meters>,
) -> impl Stream<Item = io::Result<T>> {
    let mut failing = false;
    incoming.inspect(move |come| {
        if let Err(error) = come {
            meters.failed_accept();
            if !failing {
                tracing::error!(%error, "no connection can be taken on the {place}: clients wait");
            }
        }
        failing = come.is_err();
    })
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
