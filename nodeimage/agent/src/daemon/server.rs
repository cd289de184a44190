//! The step service: on TCP, where clients and other nodes reach it, and on a socket for clients on this machine, which
//! spares both sides what TLS costs. On either a client has nothing but its credential to show.

use super::DaemonError;
use super::membership::{Key, Membership};
use super::options::Options;
use crate::steps::StepService;
use squall_proto::connect::node_socket_name;
use squall_proto::server::{ServerTls, accept_tls, bind_unix, builder, step_service};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::{TcpListener, UdpSocket, lookup_host};
use tokio::sync::watch;

/// Which port was used last: clients of steps find the agent there again after it was restarted.
const PORT: &str = "step-port";
/// Anybody may knock; who is let in is decided by what he shows.
const MODE: u32 = 0o666;

/// Where the step service is to be.
pub struct Place {
    listener: std::net::TcpListener,
    /// Name or address of this machine, as others reach it.
    pub host: String,
    port: u16,
}

impl Place {
    /// Takes the place; nothing is served there yet.
    pub async fn take(options: &Options) -> Result<Place, DaemonError> {
        let failed = |error| DaemonError::Listen(options.listen.clone(), error);
        let listener = listen(options).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        std::fs::write(options.state_dir.join(PORT), port.to_string()).map_err(failed)?;
        let host = match &options.address {
            Some(host) => host.clone(),
            None => own_address(&options.controller).await.map_or_else(|| "127.0.0.1".to_owned(), |ip| ip.to_string()),
        };
        // Of no runtime yet: another one will serve there.
        Ok(Place { listener: listener.into_std().map_err(failed)?, host, port })
    }

    /// `host:port`, as others are told.
    pub fn address(&self) -> String {
        let Place { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

/// The socket for clients on this machine.
pub fn socket(dir: &Path, membership: &Membership) -> PathBuf {
    dir.join(node_socket_name(&membership.name, &membership.ca_pem))
}

/// Begins to serve clients on this machine. Without such a socket they come as any others do.
pub async fn serve_here(path: PathBuf, steps: Arc<StepService>) {
    match bind_unix(&path, MODE).await {
        Ok(incoming) => {
            tokio::spawn(async move {
                let router = builder().add_service(step_service(steps));
                if let Err(error) = router.serve_with_incoming(incoming).await {
                    tracing::warn!(%error, "the step service for clients on this machine failed");
                }
            });
        }
        Err(error) => tracing::warn!(path = %path.display(), %error, "clients on this machine come by the network"),
    }
}

/// Begins to serve, in the runtime that it is called in.
pub fn start(
    place: Place,
    key: &Arc<Key>,
    mut memberships: watch::Receiver<Membership>,
    steps: Arc<StepService>,
) -> Result<(), DaemonError> {
    let tls = {
        let membership = memberships.borrow_and_update();
        ServerTls::new(&key.identity(&membership), &membership.ca_pem)?
    };
    let listener = TcpListener::from_std(place.listener).map_err(DaemonError::Runtime)?;
    let (exchanged, key) = (tls.clone(), key.clone());
    tokio::spawn(async move {
        while memberships.changed().await.is_ok() {
            let membership = memberships.borrow_and_update().clone();
            if let Err(error) = exchanged.replace(&key.identity(&membership), &membership.ca_pem) {
                tracing::error!(%error, "the renewed certificate cannot serve");
            }
        }
    });
    let router = builder().add_service(step_service(steps));
    tokio::spawn(async move {
        if let Err(error) = router.serve_with_incoming(accept_tls(listener, tls)).await {
            tracing::error!(%error, "the step service failed");
        }
    });
    Ok(())
}

/// On the port of last time, where any would do and that one is free.
async fn listen(options: &Options) -> io::Result<TcpListener> {
    let address: SocketAddr = match lookup_host(&options.listen).await?.next() {
        Some(address) => address,
        None => return Err(io::Error::new(io::ErrorKind::NotFound, "no such address")),
    };
    if address.port() == 0
        && let Some(port) = last_port(&options.state_dir)
        && let Ok(listener) = TcpListener::bind((address.ip(), port)).await
    {
        return Ok(listener);
    }
    TcpListener::bind(address).await
}

fn last_port(state: &Path) -> Option<u16> {
    std::fs::read_to_string(state.join(PORT)).ok()?.trim().parse().ok()
}

/// The address by which this machine goes to the controller. Nothing is sent.
async fn own_address(controller: &str) -> Option<IpAddr> {
    let authority = controller.strip_prefix("https://")?.trim_end_matches('/');
    let target = lookup_host(authority).await.ok()?.next()?;
    let unspecified: SocketAddr = if target.is_ipv6() { "[::]:0".parse().ok()? } else { "0.0.0.0:0".parse().ok()? };
    let socket = UdpSocket::bind(unspecified).await.ok()?;
    socket.connect(target).await.ok()?;
    Some(socket.local_addr().ok()?.ip())
}
