//! Who is at the other end of a call, as far as the channel itself proves or claims it.

use crate::failure::incompatible;
use crate::version::{VERSION, compatible};
use squall_types::{Gid, Uid};
use std::fmt;
use std::net::SocketAddr;
use tonic::metadata::{AsciiMetadataValue, BinaryMetadataValue, MetadataMap};
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo, UdsConnectInfo};
use tonic::{Request, Status};

const KEY_VERSION: &str = "squall-version";
const KEY_JOB_CREDENTIAL: &str = "squall-job-credential-bin";
const KEY_VOUCHED: &str = "squall-vouched";
const KEY_BEARER: &str = "authorization";
const KEY_TRACEPARENT: &str = "traceparent";

/// A credential or token that is longer is not looked at.
const MAX_CREDENTIAL: usize = 4096;

/// A process at the other end of a Unix socket, as the kernel names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnixPeer {
    pub uid: Uid,
    pub gid: Gid,
    pub pid: Option<i32>,
}

/// Everything about a caller that a server may base an identity on.
///
/// `peer` and `cert_der` are proven by the kernel and by TLS. The rest is what the caller says: a credential or token
/// proves itself once it is verified, `vouched` counts only from a login host that may vouch for that user.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Channel {
    /// Of a Unix socket.
    pub peer: Option<UnixPeer>,
    /// The certificate that the caller proved to hold, already verified against the cluster's CA.
    pub cert_der: Option<Vec<u8>>,
    /// Signed by the controller for one attempt of one job.
    pub job_credential: Option<Vec<u8>>,
    /// Whom a login host's daemon found at the other end of its own socket.
    pub vouched: Option<UnixPeer>,
    pub bearer: Option<String>,
    /// Of a TCP connection.
    pub remote: Option<SocketAddr>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// Empty where the caller states none.
    pub version: String,
}

/// Without what would let somebody who reads a log come as the caller.
impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Channel { peer, vouched, remote, traceparent, version, .. } = self;
        let mut shown = f.debug_struct("Channel");
        shown.field("peer", peer).field("vouched", vouched).field("remote", remote);
        shown.field("traceparent", traceparent).field("version", version).finish_non_exhaustive()
    }
}

impl fmt::Debug for Introduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Introduction { vouched, traceparent, .. } = self;
        f.debug_struct("Introduction")
            .field("vouched", vouched)
            .field("traceparent", traceparent)
            .finish_non_exhaustive()
    }
}

impl Channel {
    /// What the request's connection and metadata say; a caller of another major version is turned away here.
    pub(crate) fn of<T>(request: &Request<T>) -> Result<Channel, Status> {
        let metadata = request.metadata();
        let version = text(metadata, KEY_VERSION).unwrap_or_default();
        if !compatible(&version) {
            return Err(incompatible(&version));
        }
        let extensions = request.extensions();
        let unix = extensions.get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
        let unix = unix.map(|peer| UnixPeer { uid: Uid(peer.uid()), gid: Gid(peer.gid()), pid: peer.pid() });
        let tls = extensions.get::<TlsConnectInfo<TcpConnectInfo>>();
        let certificates = tls.and_then(|info| info.peer_certs());
        Ok(Channel {
            peer: extensions.get::<UnixPeer>().copied().or(unix),
            cert_der: certificates.and_then(|chain| chain.first().map(|own| own.to_vec())),
            job_credential: bytes(metadata, KEY_JOB_CREDENTIAL)?,
            vouched: text(metadata, KEY_VOUCHED).map(|stated| vouched(&stated)).transpose()?,
            bearer: text(metadata, KEY_BEARER)
                .and_then(|value| value.strip_prefix("Bearer ").map(str::to_owned))
                .filter(|token| token.len() <= MAX_CREDENTIAL),
            remote: request.remote_addr(),
            traceparent: text(metadata, KEY_TRACEPARENT),
            version,
        })
    }
}

fn text(metadata: &MetadataMap, key: &str) -> Option<String> {
    metadata.get(key)?.to_str().ok().map(str::to_owned)
}

fn bytes(metadata: &MetadataMap, key: &str) -> Result<Option<Vec<u8>>, Status> {
    let Some(value) = metadata.get_bin(key) else { return Ok(None) };
    let content = value.to_bytes().map_err(|_| Status::invalid_argument(format!("`{key}` is not base64")))?;
    if content.len() > MAX_CREDENTIAL {
        return Err(Status::invalid_argument(format!("`{key}` has more than {MAX_CREDENTIAL} bytes")));
    }
    Ok(Some(content.to_vec()))
}

fn vouched(stated: &str) -> Result<UnixPeer, Status> {
    let parsed = stated.split_once(':').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
    let (uid, gid) = parsed.ok_or_else(|| Status::invalid_argument(format!("`{KEY_VOUCHED}` is not `UID:GID`")))?;
    Ok(UnixPeer { uid: Uid(uid), gid: Gid(gid), pid: None })
}

/// What a client says of itself with every call.
#[derive(Clone, Default)]
pub(crate) struct Introduction {
    pub job_credential: Option<Vec<u8>>,
    pub vouched: Option<UnixPeer>,
    pub bearer: Option<String>,
    pub traceparent: Option<String>,
}

impl Introduction {
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert(KEY_VERSION, AsciiMetadataValue::from_static(VERSION));
        if let Some(credential) = &self.job_credential {
            metadata.insert_bin(KEY_JOB_CREDENTIAL, BinaryMetadataValue::from_bytes(credential));
        }
        let vouched = self.vouched.map(|peer| format!("{}:{}", peer.uid, peer.gid));
        let bearer = self.bearer.as_ref().map(|token| format!("Bearer {token}"));
        let texts = [(KEY_VOUCHED, vouched), (KEY_BEARER, bearer), (KEY_TRACEPARENT, self.traceparent.clone())];
        for (key, value) in texts {
            // A value that HTTP cannot carry is left out: the server then says that nothing was proven.
            if let Some(value) = value.and_then(|value| value.parse().ok()) {
                metadata.insert(key, value);
            }
        }
        request
    }
}
