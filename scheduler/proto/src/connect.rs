//! Where a server is, how it is recognised, and as whom one goes there.

use crate::failure::{ClientError, deepest};
use crate::limits::{CONNECT_TIMEOUT, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT};
use crate::trust::PinnedCa;
use squall_types::{BlobDigest, NodeName};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use tokio::time::timeout;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

/// The name in every controller's certificate. Clients verify this name and not the host's, so that a controller may
/// be reached under any address, and no node's certificate passes for a controller's.
pub const CONTROLLER_NAME: &str = "controller.squall";

/// The name in a node's certificate.
pub fn node_server_name(node: &NodeName) -> String {
    format!("{node}.node.squall")
}

/// The name of the socket on which the agent of a node serves clients on its own machine, in its folder for sockets.
/// Clusters that share a machine name their nodes alike; no two have the same CA.
pub fn node_socket_name(node: &NodeName, ca_pem: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, ca_pem.trim().as_bytes());
    let cluster: String = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("node-{node}.{cluster}.sock")
}

/// How a server that is reached over TCP is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The cluster CA's certificate in PEM.
    Ca(String),
    /// SHA-256 of the cluster CA's certificate in DER, for machines that know no more yet.
    Pin([u8; 32]),
}

impl Trust {
    /// A pin in hexadecimal.
    ///
    /// # Errors
    /// Anything but 64 hexadecimal digits.
    pub fn pin(hex: &str) -> Result<Trust, BadTarget> {
        let digest: BlobDigest = hex.parse().map_err(|_| BadTarget::Pin)?;
        Ok(Trust::Pin(digest.0))
    }
}

/// A certificate chain and its private key in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    pub chain_pem: String,
    pub key_pem: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// What cannot be an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    #[error("`{0}` is neither `unix:/path` nor `https://host:port`")]
    Address(String),
    #[error("`{0}` needs the cluster CA's certificate or its pin")]
    Untrusted(String),
    #[error("a CA pin is 64 hexadecimal digits")]
    Pin,
}

/// A server: where, how it is recognised, and who goes there.
#[derive(Clone, Debug)]
pub struct Target {
    place: Place,
    identity: Option<Identity>,
    bearer: Option<Bearer>,
}

/// A user's token, which no log may show.
#[derive(Clone)]
struct Bearer(String);

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer")
    }
}

#[derive(Clone, Debug)]
enum Place {
    Unix(String),
    Tls { authority: String, server_name: String, trust: Trust },
}

impl Target {
    /// `unix:/path`, or the controller at `https://host:port`, which needs a trust.
    ///
    /// # Errors
    /// Says what is wrong with the text, or that trust is missing.
    pub fn parse(text: &str, trust: Option<Trust>) -> Result<Target, BadTarget> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Target::unix(Path::new(path));
        }
        let trust = trust.ok_or_else(|| BadTarget::Untrusted(text.to_owned()))?;
        let authority = text.strip_prefix("https://").map(|rest| rest.trim_end_matches('/'));
        let authority = authority.ok_or_else(|| BadTarget::Address(text.to_owned()))?;
        Target::tls(authority, CONTROLLER_NAME.to_owned(), trust)
    }

    /// A Unix socket by its absolute path.
    ///
    /// # Errors
    /// A path that is relative or not UTF-8.
    pub fn unix(path: &Path) -> Result<Target, BadTarget> {
        match path.to_str() {
            Some(text) if path.is_absolute() => {
                Ok(Target { place: Place::Unix(text.to_owned()), identity: None, bearer: None })
            }
            _ => Err(BadTarget::Address(format!("unix:{}", path.display()))),
        }
    }

    /// The step service of a node at `host:port`.
    ///
    /// # Errors
    /// Says what is wrong with the address.
    pub fn node(address: &str, node: &NodeName, ca_pem: &str) -> Result<Target, BadTarget> {
        Target::tls(address, node_server_name(node), Trust::Ca(ca_pem.to_owned()))
    }

    fn tls(authority: &str, server_name: String, trust: Trust) -> Result<Target, BadTarget> {
        let bad = || BadTarget::Address(authority.to_owned());
        let parsed: http::uri::Authority = authority.parse().map_err(|_| bad())?;
        if parsed.port_u16().is_none() || parsed.as_str().contains('@') {
            return Err(bad());
        }
        let place = Place::Tls { authority: authority.to_owned(), server_name, trust };
        Ok(Target { place, identity: None, bearer: None })
    }

    /// Goes there with a client certificate.
    pub fn with_identity(self, identity: Identity) -> Target {
        Target { identity: Some(identity), ..self }
    }

    /// Goes there as the user for whom this token stands.
    pub fn with_bearer(self, token: &str) -> Target {
        Target { bearer: Some(Bearer(token.to_owned())), ..self }
    }

    /// Whether a token goes along.
    pub fn has_bearer(&self) -> bool {
        self.bearer.is_some()
    }

    pub(crate) fn bearer(&self) -> Option<String> {
        self.bearer.as_ref().map(|Bearer(token)| token.clone())
    }

    /// The socket, where it is one of this machine.
    pub(crate) fn socket(&self) -> Option<&Path> {
        match &self.place {
            Place::Unix(path) => Some(Path::new(path)),
            Place::Tls { .. } => None,
        }
    }

    fn endpoint(&self) -> Result<Endpoint, ClientError> {
        let bad = |error: tonic::transport::Error| ClientError::Other(format!("{self}: {}", deepest(&error)));
        let endpoint = match &self.place {
            Place::Unix(path) => Endpoint::from_shared(format!("unix:{path}")).map_err(bad)?,
            Place::Tls { authority, server_name, trust } => {
                let mut tls = ClientTlsConfig::new().domain_name(server_name).timeout(CONNECT_TIMEOUT);
                if let Some(Identity { chain_pem, key_pem }) = &self.identity {
                    tls = tls.identity(tonic::transport::Identity::from_pem(chain_pem, key_pem));
                }
                let endpoint = Endpoint::from_shared(format!("https://{authority}")).map_err(bad)?;
                match trust {
                    Trust::Ca(pem) => endpoint.tls_config(tls.ca_certificate(Certificate::from_pem(pem))),
                    Trust::Pin(pin) => endpoint.tls_config_with_verifier(tls, Arc::new(PinnedCa::new(*pin))),
                }
                .map_err(bad)?
            }
        };
        Ok(endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true))
    }

    /// Connects now. The connection is made again when it is lost and the next call needs it.
    pub(crate) async fn connect(&self) -> Result<Channel, ClientError> {
        self.reached(self.endpoint()?.connect()).await
    }

    /// What connecting came to, within the time that there is for it.
    pub(crate) async fn reached<T, E: std::error::Error + 'static>(
        &self,
        connecting: impl Future<Output = Result<T, E>>,
    ) -> Result<T, ClientError> {
        let unreachable = |cause: String| ClientError::Unreachable { target: self.to_string(), cause };
        match timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(connected) => connected.map_err(|error| unreachable(deepest(&error))),
            Err(_) => Err(unreachable(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()))),
        }
    }

    /// Connects when the first call needs it. Needs a tokio runtime.
    pub(crate) fn connect_lazily(&self) -> Result<Channel, ClientError> {
        Ok(self.endpoint()?.connect_lazy())
    }
}

/// As it is typed, for error messages.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Unix(path) => write!(f, "unix:{path}"),
            Place::Tls { authority, .. } => write!(f, "https://{authority}"),
        }
    }
}
