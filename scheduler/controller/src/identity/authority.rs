//! The cluster's CA and the controller's keys: what they sign, derive and verify.

use super::certificate::{Machine, key_of_request};
use super::{IdentityError, files};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use ring::hmac;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use squall_proto::connect::{CONTROLLER_NAME, Identity, node_server_name};
use squall_proto::credential::{Action, Credential, CredentialError, SigningKey, TagKey};
use squall_types::ids::Run;
use squall_types::{Gid, NodeName, OrderId, Span, Timestamp, Uid};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The CA outlives the cluster's hardware.
const CA_DAYS: i64 = 20 * 365;
/// The server's certificate is made anew long before.
pub const SERVER_LIFETIME: Span = Span::from_hours(24 * 30);
/// Certificates are valid from a little before, for clocks that are behind.
const BACKDATED: Span = Span::from_mins(5);
/// A client starts a step as soon as it is granted.
const STEP_CREDENTIAL_LIFETIME: Span = Span::from_mins(10);
/// What the key of jobs' credentials is derived with from the controller's own.
const JOB_CREDENTIALS: &[u8] = b"squall job credentials";
/// A job's credential outlives its time limit by so much; whether the attempt lives is asked with every use.
const JOB_CREDENTIAL_GRACE: Span = Span::from_hours(24 * 7);

/// What the controller proves, derives and signs with.
pub struct Authority {
    cluster: String,
    ca: Issuer<'static, KeyPair>,
    ca_pem: String,
    ca_pin: String,
    join_key: hmac::Key,
    signing: SigningKey,
    job_key: TagKey,
}

impl Authority {
    /// Reads the keys in `dir`, and makes those that are not there.
    ///
    /// # Errors
    /// Where somebody else can read a key, one is damaged, or the disk fails.
    pub fn open(dir: &Path, cluster: &str, now: Timestamp) -> Result<Authority, IdentityError> {
        files::private_dir(dir)?;
        let (ca, ca_pem) = open_ca(dir, cluster, now)?;
        let join_key = files::secret_or_new(&dir.join("controller.key"), || random::<32>().map(Vec::from))?;
        let join_key = hmac::Key::new(hmac::HMAC_SHA256, &join_key);
        let path = dir.join("credential.key");
        let signing = files::secret_or_new(&path, || SigningKey::generate().map_err(|_| IdentityError::Randomness))?;
        let signing = SigningKey::from_pkcs8(&signing)
            .map_err(|error| IdentityError::Damaged { path, problem: error.to_string() })?;
        let der = CertificateDer::from_pem_slice(ca_pem.as_bytes())
            .map_err(|error| IdentityError::Certificate(error.to_string()))?;
        Ok(Authority {
            cluster: cluster.to_owned(),
            ca,
            ca_pin: hex::encode(Sha256::digest(&der)),
            ca_pem,
            job_key: TagKey::new(hmac::sign(&join_key, JOB_CREDENTIALS).as_ref()),
            join_key,
            signing,
        })
    }

    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The CA's certificate.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// SHA-256 of the CA's certificate in hexadecimal.
    pub fn ca_pin(&self) -> &str {
        &self.ca_pin
    }

    /// What verifies the credentials that agents read.
    pub fn credential_key(&self) -> Vec<u8> {
        self.signing.public()
    }

    /// A certificate for the controller under its fixed name and the given ones, and a fresh key.
    ///
    /// # Errors
    /// Where a name cannot stand in a certificate.
    pub fn server_identity(&self, names: &[String], now: Timestamp) -> Result<Identity, IdentityError> {
        let key = KeyPair::generate().map_err(unissued)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(&self.cluster, "controller");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let sans = std::iter::once(CONTROLLER_NAME).chain(names.iter().map(String::as_str)).map(alternative_name);
        params.subject_alt_names = sans.collect::<Result<_, _>>()?;
        self.valid(&mut params, now, SERVER_LIFETIME)?;
        let certificate = params.signed_by(&key, &self.ca).map_err(unissued)?;
        let chain_pem = format!("{}{}", certificate.pem(), self.ca_pem);
        Ok(Identity { chain_pem, key_pem: key.serialize_pem() })
    }

    /// A certificate for the key of a request. Of the request nothing but the key is believed. In PEM with the CA's.
    ///
    /// # Errors
    /// Where the request cannot be read or is not signed by its own key.
    pub fn issue(
        &self,
        csr_pem: &str,
        machine: &Machine,
        lifetime: Span,
        now: Timestamp,
    ) -> Result<String, IdentityError> {
        let mut request = CertificateSigningRequestParams::from_pem(csr_pem)
            .map_err(|error| IdentityError::Request(error.to_string()))?;
        let params = &mut request.params;
        *params = CertificateParams::default();
        params.distinguished_name = subject(&self.cluster, &machine.subject());
        let uri = machine.uri(&self.cluster).as_str().try_into().map_err(unissued)?;
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if let Machine::Node { name, .. } = machine {
            // Its step service is a server, known by the node's name.
            params.subject_alt_names.push(alternative_name(&node_server_name(name))?);
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        self.valid(params, now, lifetime)?;
        let certificate = request.signed_by(&self.ca).map_err(unissued)?;
        Ok(format!("{}{}", certificate.pem(), self.ca_pem))
    }

    /// The fingerprint of the key that a request asks a certificate for.
    ///
    /// # Errors
    /// Where the request cannot be read.
    pub fn key_of(&self, csr_pem: &str) -> Result<String, IdentityError> {
        key_of_request(csr_pem)
    }

    fn valid(&self, params: &mut CertificateParams, now: Timestamp, lifetime: Span) -> Result<(), IdentityError> {
        let at = |at: Timestamp| {
            let since_epoch = Duration::from_millis(u64::try_from(at.0).unwrap_or(0));
            rcgen::date_time_ymd(1970, 1, 1) + since_epoch
        };
        (params.not_before, params.not_after) = (at(now - BACKDATED), at(now + lifetime));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.serial_number = Some(SerialNumber::from_slice(&random::<16>()?));
        params.use_authority_key_identifier_extension = true;
        Ok(())
    }

    /// What an instance of this order proves itself with. Derived each time, never stored.
    pub fn join_secret(&self, order: OrderId) -> String {
        hex::encode(hmac::sign(&self.join_key, &order_message(order)))
    }

    /// Whether a secret is that of the order. Takes as long for a wrong one.
    pub fn is_join_secret(&self, order: OrderId, secret: &str) -> bool {
        hex::decode(secret).is_ok_and(|tag| hmac::verify(&self.join_key, &order_message(order), &tag).is_ok())
    }

    pub(super) fn join_key(&self) -> &hmac::Key {
        &self.join_key
    }

    /// Lets the agents of the attempt ask in its name, as long as it may run.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub fn job_credential(
        &self,
        uid: Uid,
        gid: Gid,
        run: Run,
        time_limit: Span,
        now: Timestamp,
    ) -> Result<Vec<u8>, IdentityError> {
        let lifetime = time_limit.min(Span::from_hours(24 * 3650)) + JOB_CREDENTIAL_GRACE;
        self.prove(uid, gid, run, Action::ActAsJob, now, now + lifetime)
    }

    /// Who asks in a job's name with this credential.
    ///
    /// # Errors
    /// Where it is none of this cluster's for jobs, or was one.
    pub fn verify_job(&self, credential: &[u8], now: Timestamp) -> Result<Credential, CredentialError> {
        self.job_key.verify(credential, &self.cluster, now)
    }

    /// Lets a client start one step.
    ///
    /// # Errors
    /// Where the system has no randomness, or the step does not fit in a credential.
    pub fn step_credential(
        &self,
        uid: Uid,
        gid: Gid,
        run: Run,
        step: Action,
        now: Timestamp,
    ) -> Result<Vec<u8>, IdentityError> {
        self.prove(uid, gid, run, step, now, now + STEP_CREDENTIAL_LIFETIME)
    }

    fn prove(
        &self,
        uid: Uid,
        gid: Gid,
        run: Run,
        action: Action,
        issued_at: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Vec<u8>, IdentityError> {
        let issuer = self.cluster.clone();
        let credential = Credential { issuer, uid, gid, run, action, issued_at, expires_at, nonce: random()? };
        let proven = match credential.action {
            Action::ActAsJob => self.job_key.sign(&credential),
            Action::RunStep { .. } | Action::Visit { .. } => self.signing.sign(&credential),
        };
        proven.map_err(|error| IdentityError::Certificate(error.to_string()))
    }

    /// The name that a node's certificate bears.
    pub fn server_name(node: &NodeName) -> String {
        node_server_name(node)
    }
}

fn order_message(order: OrderId) -> Vec<u8> {
    [b"squall join order ".as_slice(), &order.0.to_be_bytes()].concat()
}

fn open_ca(dir: &Path, cluster: &str, now: Timestamp) -> Result<(Issuer<'static, KeyPair>, String), IdentityError> {
    let (key_path, path) = (dir.join("ca.key"), dir.join("ca.pem"));
    let damaged = |path: &PathBuf| {
        let path = path.clone();
        move |error: rcgen::Error| IdentityError::Damaged { path, problem: error.to_string() }
    };
    let key = files::secret_or_new(&key_path, || {
        KeyPair::generate().map(|key| key.serialize_pem().into_bytes()).map_err(unissued)
    })?;
    let key = String::from_utf8(key)
        .map_err(|_| IdentityError::Damaged { path: key_path.clone(), problem: "it is not text".to_owned() })?;
    let key = KeyPair::from_pem(&key).map_err(damaged(&key_path))?;
    let pem = files::secret_or_new(&path, || {
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(cluster, "CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let since_epoch = |at: Timestamp| Duration::from_millis(u64::try_from(at.0).unwrap_or(0));
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        params.not_before = epoch + since_epoch(now - Span::from_hours(24));
        params.not_after = epoch + since_epoch(now + Span::from_hours(24 * CA_DAYS));
        params.self_signed(&key).map(|certificate| certificate.pem().into_bytes()).map_err(unissued)
    })?;
    let pem = String::from_utf8(pem)
        .map_err(|_| IdentityError::Damaged { path: path.clone(), problem: "it is not text".to_owned() })?;
    let issuer = Issuer::from_ca_cert_pem(&pem, key).map_err(damaged(&path))?;
    Ok((issuer, pem))
}

fn subject(cluster: &str, name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, cluster);
    subject.push(DnType::CommonName, name);
    subject
}

fn alternative_name(name: &str) -> Result<SanType, IdentityError> {
    match name.parse::<IpAddr>() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_) => name.try_into().map(SanType::DnsName).map_err(unissued),
    }
}

fn unissued(error: rcgen::Error) -> IdentityError {
    IdentityError::Certificate(error.to_string())
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], IdentityError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| IdentityError::Randomness)?;
    Ok(bytes)
}
