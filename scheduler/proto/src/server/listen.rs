//! What all servers of the house have in common.

use crate::limits::{CALLS_PER_CONNECTION, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tokio::net::{UnixListener, UnixStream};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic_web::GrpcWebLayer;
use tower_layer::{Identity, Stack};

/// A server with the limits of the house; services are added to it.
pub fn builder() -> Server {
    Server::builder()
        .max_concurrent_streams(CALLS_PER_CONNECTION)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .tcp_nodelay(true)
}

/// A server of the house. On its own machine clients come with one call or two and are gone.
pub type LocalServer = Server<Stack<GrpcWebLayer, Identity>>;

/// The same for Unix sockets, where clients may also come as [`crate::client`] does: gRPC-Web in HTTP/1.1, which opens a
/// connection without a word.
pub fn local_builder() -> LocalServer {
    builder().accept_http1(true).layer(GrpcWebLayer::new())
}

/// Listens on a Unix socket with permissions `mode`. A socket that a dead process left is replaced, one that answers is not.
///
/// # Errors
/// `AddrInUse` where another process listens there, else what the system says.
pub async fn bind_unix(path: &Path, mode: u32) -> io::Result<UnixListenerStream> {
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            match UnixStream::connect(path).await {
                Ok(_) => {
                    let text = format!("another process listens on {}", path.display());
                    return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
                Err(_) => {}
            }
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    Ok(UnixListenerStream::new(listener))
}
