//! TLS on TCP, with certificates that can be exchanged while the server runs.

use crate::connect::Identity;
use crate::limits::{ACCEPT_PAUSE, HANDSHAKE_TIMEOUT, HANDSHAKES};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;

/// Why certificates cannot serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part}: {problem}")]
pub struct BadCertificate {
    pub part: &'static str,
    pub problem: String,
}

/// What a server proves itself with, and whose client certificates it accepts. Clones share the certificates.
///
/// A client without a certificate is let in, and its channel says so. One with a certificate that the CA has not signed
/// or that has expired is not.
#[derive(Clone)]
pub struct ServerTls {
    current: Arc<RwLock<Arc<ServerConfig>>>,
}

impl ServerTls {
    /// The chain has to end with the CA's own certificate, or clients that know only its pin cannot connect.
    ///
    /// # Errors
    /// Names the part that is unusable.
    pub fn new(identity: &Identity, client_ca_pem: &str) -> Result<ServerTls, BadCertificate> {
        let config = config(identity, client_ca_pem)?;
        Ok(ServerTls { current: Arc::new(RwLock::new(Arc::new(config))) })
    }

    /// From the next handshake on. Connections that exist go on with what they began with.
    ///
    /// # Errors
    /// Names the part that is unusable; the certificates stay as they were.
    pub fn replace(&self, identity: &Identity, client_ca_pem: &str) -> Result<(), BadCertificate> {
        let config = Arc::new(config(identity, client_ca_pem)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

fn config(identity: &Identity, client_ca_pem: &str) -> Result<ServerConfig, BadCertificate> {
    let provider = Arc::new(default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in certificates("client CA", client_ca_pem)? {
        roots.add(certificate).map_err(|error| bad("client CA", error))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|error| bad("client CA", error))?;
    let chain = certificates("certificate chain", &identity.chain_pem)?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).map_err(|error| bad("private key", error))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad("protocol versions", error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| bad("certificate and key", error))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn certificates(part: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, BadCertificate> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let found = found.map_err(|error| bad(part, error))?;
    if found.is_empty() { Err(bad(part, "no certificate in it")) } else { Ok(found) }
}

fn bad(part: &'static str, problem: impl ToString) -> BadCertificate {
    BadCertificate { part, problem: problem.to_string() }
}

/// Connections whose handshake has succeeded, for `serve_with_incoming`. Handshakes run beside each other, so that a
/// silent peer delays nobody. Ends when the stream is dropped. Where no connection can be taken the stream says so, and goes
/// on after a pause.
pub fn accept_tls(listener: TcpListener, tls: ServerTls) -> ReceiverStream<io::Result<TlsStream<TcpStream>>> {
    let (ready, connections) = mpsc::channel(HANDSHAKES);
    let slots = Arc::new(Semaphore::new(HANDSHAKES));
    tokio::spawn(async move {
        loop {
            let slot = slots.clone().acquire_owned().await.expect("the semaphore is never closed");
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = ready.closed() => return,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, mostly: trying again at once would only spin.
                    let _ = ready.send(Err(error)).await;
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (acceptor, ready) = (tls.acceptor(), ready.clone());
            tokio::spawn(async move {
                // Only slower without it.
                let _ = stream.set_nodelay(true);
                // A handshake that fails concerns nobody but that peer.
                if let Ok(Ok(secured)) = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
                    let _ = ready.send(Ok(secured)).await;
                }
                drop(slot);
            });
        }
    });
    ReceiverStream::new(connections)
}
