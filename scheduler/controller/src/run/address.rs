//! Where the controller listens for machines, and under which name they reach it.

use super::RunError;
use crate::settings::{ControllerSettings, host_and_port};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use tokio::net::TcpListener;

/// Keeps a port that was free once: agents come back to it after a new start.
const KEPT_PORT: &str = "port";

pub(super) struct Addresses {
    pub listener: TcpListener,
    /// `HOST:PORT` for nodes.
    pub advertised: String,
    /// What the server's certificate is to name beside the controller's fixed name.
    pub names: Vec<String>,
}

impl Addresses {
    pub async fn bind(controller: &ControllerSettings, state_dir: &Path) -> Result<Addresses, RunError> {
        let wanted: SocketAddr = controller.listen.parse().map_err(|_| RunError::Listen {
            doing: "listening on",
            place: controller.listen.clone(),
            source: std::io::ErrorKind::InvalidInput.into(),
        })?;
        let listener = listen(wanted, &state_dir.join(KEPT_PORT)).await?;
        let local = listener.local_addr().map_err(failed("asking for the address of", wanted))?;
        let advertised = match controller.advertise.as_deref().and_then(host_and_port) {
            // Port 0 there means the one that was found here.
            Some((host, 0)) => with_port(host, local.port()),
            Some((host, port)) => with_port(host, port),
            None if local.ip().is_unspecified() => with_port(&hostname(), local.port()),
            None => local.to_string(),
        };
        let mut names = controller.names.clone();
        names.extend(host_and_port(&advertised).map(|(host, _)| host.to_owned()));
        names.sort();
        names.dedup();
        Ok(Addresses { listener, advertised, names })
    }
}

/// On a port that is left to the system, the one of last time if it is still free.
async fn listen(wanted: SocketAddr, kept: &Path) -> Result<TcpListener, RunError> {
    if wanted.port() != 0 {
        return TcpListener::bind(wanted).await.map_err(failed("listening on", wanted));
    }
    let last = std::fs::read_to_string(kept).ok().and_then(|text| text.trim().parse::<u16>().ok());
    if let Some(port) = last {
        match TcpListener::bind(SocketAddr::new(wanted.ip(), port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) => {
                tracing::warn!(port, reason = %error, "the port of last time is taken: agents that run will not find the controller");
            }
        }
    }
    let listener = TcpListener::bind(wanted).await.map_err(failed("listening on", wanted))?;
    let port = listener.local_addr().map_err(failed("asking for the address of", wanted))?.port();
    std::fs::write(kept, format!("{port}\n")).map_err(|source| RunError::Listen {
        doing: "writing",
        place: kept.display().to_string(),
        source,
    })?;
    Ok(listener)
}

fn failed(doing: &'static str, address: SocketAddr) -> impl Fn(std::io::Error) -> RunError {
    move |source| RunError::Listen { doing, place: address.to_string(), source }
}

fn with_port(host: &str, port: u16) -> String {
    match host.parse() {
        Ok(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        _ => format!("{host}:{port}"),
    }
}

fn hostname() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_else(|| "localhost".to_owned())
}
