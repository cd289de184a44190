//! How the agent proves who it is: its key, and the certificate that it got for it.

use crate::clock;
use crate::ledger::sealed;
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use squall_proto::connect::Identity;
use squall_types::agent::JoinReply;
use squall_types::{NodeName, Span, Timestamp};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use x509_parser::prelude::{FromDer, X509Certificate};

/// A certificate is renewed when so much of its life is over, in percent.
const RENEW_AT_PERCENT: i64 = 50;

/// The agent's key pair, which never leaves the machine.
#[derive(Debug)]
pub struct Key {
    pair: KeyPair,
}

/// What the controller answered when this machine joined, last renewed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Membership {
    #[n(0)]
    pub name: NodeName,
    #[n(1)]
    pub chain_pem: String,
    #[n(2)]
    pub ca_pem: String,
    #[n(3)]
    pub credential_key: ByteVec,
    #[n(4)]
    pub heartbeat: Span,
    #[n(5)]
    pub issued_at: Timestamp,
    #[n(6)]
    pub expires_at: Timestamp,
}

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the agent's key {0} cannot be read or made")]
    Io(PathBuf, #[source] io::Error),
    #[error("the agent's key {0} can be read by others: its permissions must be 0600")]
    Exposed(PathBuf),
    #[error("the agent's key {0} is no key: {1}")]
    Damaged(PathBuf, String),
    #[error("what the controller issued is no certificate: {0}")]
    Certificate(String),
}

impl Key {
    /// The key in the state folder; made there the first time.
    pub fn open(state: &Path) -> Result<Key, KeyError> {
        let path = state.join("key.pem");
        let failed = |error| KeyError::Io(path.clone(), error);
        let damaged = |error: rcgen::Error| KeyError::Damaged(path.clone(), error.to_string());
        match fs::read_to_string(&path) {
            Ok(pem) => {
                if fs::metadata(&path).map_err(failed)?.permissions().mode() & 0o077 != 0 {
                    return Err(KeyError::Exposed(path.clone()));
                }
                Ok(Key { pair: KeyPair::from_pem(&pem).map_err(damaged)? })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let pair = KeyPair::generate().map_err(damaged)?;
                let aside = state.join(".key.pem.new");
                let mut file = OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o600)
                    .open(&aside)
                    .map_err(failed)?;
                file.write_all(pair.serialize_pem().as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
                fs::rename(&aside, &path).and_then(|()| sealed::sync_dir(state)).map_err(failed)?;
                Ok(Key { pair })
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// A certificate signing request. Its subject says nothing: the controller decides the name.
    pub fn request(&self) -> Result<String, KeyError> {
        let request = CertificateParams::default().serialize_request(&self.pair);
        request.and_then(|request| request.pem()).map_err(|error| KeyError::Certificate(error.to_string()))
    }

    /// What TLS needs: the certificate with this key.
    pub fn identity(&self, membership: &Membership) -> Identity {
        Identity { chain_pem: membership.chain_pem.clone(), key_pem: self.pair.serialize_pem() }
    }
}

impl Membership {
    /// # Errors
    /// Where the reply holds no certificate.
    pub fn new(reply: JoinReply) -> Result<Membership, KeyError> {
        let expires_at = expiry(&reply.chain_pem)?;
        Ok(Membership {
            name: reply.name,
            chain_pem: reply.chain_pem,
            ca_pem: reply.ca_pem,
            credential_key: ByteVec::from(reply.credential_key),
            heartbeat: reply.heartbeat,
            issued_at: clock::now().wall,
            expires_at,
        })
    }

    /// As it was kept; `None` where there is none that can be read: the machine then joins again.
    pub fn load(state: &Path) -> Option<Membership> {
        match sealed::read(&path(state)) {
            Ok(membership) => Some(membership),
            Err(sealed::SealedError::Missing) => None,
            Err(error) => {
                tracing::warn!(%error, "the agent's certificate cannot be read: joining again");
                None
            }
        }
    }

    pub fn save(&self, state: &Path) -> io::Result<()> {
        sealed::write(&path(state), self)
    }

    /// From when on it is to be renewed.
    pub fn renew_at(&self) -> Timestamp {
        let life = self.expires_at - self.issued_at;
        self.issued_at + Span(life.0.saturating_mul(RENEW_AT_PERCENT) / 100)
    }

    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }
}

fn path(state: &Path) -> PathBuf {
    state.join("membership")
}

fn expiry(chain_pem: &str) -> Result<Timestamp, KeyError> {
    let bad = |text: String| KeyError::Certificate(text);
    let der = CertificateDer::from_pem_slice(chain_pem.as_bytes()).map_err(|error| bad(error.to_string()))?;
    let (_, certificate) = X509Certificate::from_der(&der).map_err(|error| bad(error.to_string()))?;
    Ok(Timestamp::from_secs(certificate.validity().not_after.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let first = Key::open(dir.path()).unwrap().pair.serialize_pem();
        assert_eq!(Key::open(dir.path()).unwrap().pair.serialize_pem(), first);
        let path = dir.path().join("key.pem");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Key::open(dir.path()), Err(KeyError::Exposed(_))));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "no key").unwrap();
        assert!(matches!(Key::open(dir.path()), Err(KeyError::Damaged(..))));
    }

    #[test]
    fn a_certificate_says_when_it_is_to_be_renewed() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.not_after = rcgen::date_time_ymd(2100, 1, 1);
        let chain_pem = params.self_signed(&key).unwrap().pem();
        let membership = Membership::new(JoinReply { chain_pem, ..JoinReply::default() }).unwrap();
        assert_eq!(membership.expires_at, Timestamp::from_secs(4_102_444_800));
        assert!(membership.renew_at() > membership.issued_at && membership.renew_at() < membership.expires_at);
        assert!(Membership::new(JoinReply::default()).is_err());
    }
}
