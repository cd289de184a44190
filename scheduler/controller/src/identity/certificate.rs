//! What a certificate says of the machine that holds it.

use super::IdentityError;
use sha2::{Digest, Sha256};
use squall_types::{NodeId, NodeName, OrderId, Timestamp};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A machine as its certificate names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Machine {
    /// `order` is 0 for a machine of one's own.
    Node {
        node: NodeId,
        name: NodeName,
        order: OrderId,
    },
    LoginHost(String),
}

/// What a certificate proves, apart from being the CA's, which the handshake has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    pub machine: Machine,
    /// SHA-256 of the public key in hexadecimal.
    pub key: String,
    /// From then on it may do nothing but be renewed.
    pub expires_at: Timestamp,
}

const SCHEME: &str = "squall://";

impl Machine {
    /// For people who look at the certificate.
    pub fn subject(&self) -> String {
        match self {
            Machine::Node { node, order, .. } => format!("node {node} order {order}"),
            Machine::LoginHost(name) => format!("login host {name}"),
        }
    }

    /// What is read back: the whole identity in one name.
    pub fn uri(&self, cluster: &str) -> String {
        match self {
            Machine::Node { node, name, order } => format!("{SCHEME}{cluster}/node/{node}/{order}/{name}"),
            Machine::LoginHost(name) => format!("{SCHEME}{cluster}/login-host/{name}"),
        }
    }

    fn from_uri(uri: &str, cluster: &str) -> Option<Machine> {
        let path = uri.strip_prefix(SCHEME)?.strip_prefix(cluster)?.strip_prefix('/')?;
        let parts: Vec<&str> = path.split('/').collect();
        match parts.as_slice() {
            ["node", node, order, name] => Some(Machine::Node {
                node: NodeId(node.parse().ok()?),
                name: NodeName::new(*name),
                order: OrderId(order.parse().ok()?),
            }),
            ["login-host", name] => Some(Machine::LoginHost((*name).to_owned())),
            _ => None,
        }
    }
}

impl Proven {
    /// # Errors
    /// Where it is no certificate of a machine of this cluster.
    pub fn read(der: &[u8], cluster: &str) -> Result<Proven, IdentityError> {
        let wrong = |problem: &str| IdentityError::Certificate(problem.to_owned());
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|error| wrong(&error.to_string()))?;
        if !rest.is_empty() {
            return Err(wrong("bytes follow the certificate"));
        }
        let names = certificate.subject_alternative_name().map_err(|error| wrong(&error.to_string()))?;
        let mut machines = names.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
            GeneralName::URI(uri) => Machine::from_uri(uri, cluster),
            _ => None,
        });
        let machine = machines.next().ok_or_else(|| wrong("it names no machine of this cluster"))?;
        if machines.next().is_some() {
            return Err(wrong("it names two machines"));
        }
        Ok(Proven {
            machine,
            key: fingerprint(certificate.public_key().raw),
            expires_at: Timestamp::from_secs(certificate.validity().not_after.timestamp()),
        })
    }
}

pub(super) fn key_of_request(pem: &str) -> Result<String, IdentityError> {
    let wrong = |problem: String| IdentityError::Request(problem);
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|error| wrong(error.to_string()))?;
    let (_, request) = X509CertificationRequest::from_der(&pem.contents).map_err(|error| wrong(error.to_string()))?;
    Ok(fingerprint(request.certification_request_info.subject_pki.raw))
}

fn fingerprint(public_key: &[u8]) -> String {
    hex::encode(Sha256::digest(public_key))
}
