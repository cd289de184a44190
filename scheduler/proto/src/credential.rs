//! Credentials that the controller gives out and agents or the controller itself verify.
//!
//! A job's credential lets whatever speaks from inside the job ask the controller in its name, while the attempt lives.
//! A step's credential lets a client start that one step on the nodes that it names. Both are one frame: a fixed
//! layout of fields, then what proves every byte before it. For agents that is an ed25519 signature. What the controller
//! alone reads, it proves to itself with a tag, HMAC-SHA-256, which is cheaper by far: there is one for each job that starts.
//! The proof is verified over the whole frame before a field is read; there are no optional fields, no flags and no room
//! for trailing bytes, so a frame has one reading and a reading has one frame.

mod frame;

use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use squall_types::api::StepNode;
use squall_types::ids::Run;
use squall_types::{Gid, StepId, Timestamp, Uid};

/// The longest frame: a step on a thousand nodes with 100,000 tasks fits.
pub const MAX_FRAME: usize = 1 << 20;
const SIGNATURE_LEN: usize = 64;
const TAG_LEN: usize = 32;

/// What a credential says once its signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The cluster that signed it.
    pub issuer: String,
    /// The user that it acts as.
    pub uid: Uid,
    pub gid: Gid,
    /// The attempt that it belongs to: with it, it ends.
    pub run: Run,
    pub action: Action,
    pub issued_at: Timestamp,
    /// Refused from then on.
    pub expires_at: Timestamp,
    /// No two credentials are alike.
    pub nonce: [u8; 16],
}

/// What a credential allows. It says at the same time who reads the credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// For the controller: ask in the job's name.
    ActAsJob,
    /// For the agents of these nodes: run these tasks.
    RunStep { step: StepId, tasks: u32, nodes: Vec<StepNode> },
    /// For the agents of these nodes: let the bearer hear and speak to the job's steps, see what they use, and put files
    /// there as its user.
    Visit { nodes: Vec<StepNode> },
}

impl Action {
    fn is_for_controller(&self) -> bool {
        matches!(self, Action::ActAsJob)
    }
}

/// Why a credential is refused. Says nothing about the key or the signature beyond that they do not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    #[error("the credential has {0} bytes, at most {MAX_FRAME} are read")]
    TooLong(usize),
    #[error("the credential was not signed by this cluster's controller, or was changed")]
    Signature,
    #[error("the credential is of another format: {0}")]
    Malformed(&'static str),
    #[error("the credential was issued by another cluster")]
    Issuer,
    #[error("the credential is for another service")]
    Audience,
    #[error("the credential expired at {expires_at} ms, it is {now} ms")]
    Expired { expires_at: i64, now: i64 },
    #[error("the credential was issued in the future, at {issued_at} ms, it is {now} ms")]
    NotYet { issued_at: i64, now: i64 },
}

/// Clocks of nodes may differ by so much before a fresh credential counts as one from the future, in milliseconds.
const MAX_SKEW_MILLIS: i64 = 60_000;

/// The controller's key for credentials that agents read.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// A new key as PKCS#8, to be kept where only the controller reads it.
    ///
    /// # Errors
    /// Where the system has no randomness to give.
    pub fn generate() -> Result<Vec<u8>, CredentialError> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        document.map(|key| key.as_ref().to_vec()).map_err(|_| CredentialError::Malformed("no randomness for a new key"))
    }

    /// # Errors
    /// Where the bytes are no ed25519 key.
    pub fn from_pkcs8(key: &[u8]) -> Result<Self, CredentialError> {
        Ed25519KeyPair::from_pkcs8(key).map(SigningKey).map_err(|_| CredentialError::Malformed("not an ed25519 key"))
    }

    /// What verifies: agents get it when they join.
    pub fn public(&self) -> Vec<u8> {
        self.0.public_key().as_ref().to_vec()
    }

    /// The frame that proves `credential`.
    ///
    /// # Errors
    /// Where it does not fit in a frame.
    pub fn sign(&self, credential: &Credential) -> Result<Vec<u8>, CredentialError> {
        let mut bytes = frame::encode(credential)?;
        let signature = self.0.sign(&bytes);
        bytes.extend_from_slice(signature.as_ref());
        Ok(bytes)
    }
}

/// The controller's key for credentials that it reads itself. Nobody else has it.
pub struct TagKey(hmac::Key);

impl TagKey {
    /// `secret` has to be as hard to guess as 32 random bytes, and to serve nothing else.
    pub fn new(secret: &[u8]) -> Self {
        TagKey(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The frame that proves `credential`.
    ///
    /// # Errors
    /// Where it does not fit in a frame.
    pub fn sign(&self, credential: &Credential) -> Result<Vec<u8>, CredentialError> {
        let mut bytes = frame::encode(credential)?;
        let tag = hmac::sign(&self.0, &bytes);
        bytes.extend_from_slice(tag.as_ref());
        Ok(bytes)
    }

    /// Reads a credential that this key proves. The caller still has to check that the run lives.
    ///
    /// # Errors
    /// Where anything about it does not hold; nothing of such a credential may be used.
    pub fn verify(&self, bytes: &[u8], issuer: &str, now: Timestamp) -> Result<Credential, CredentialError> {
        let (proven, tag) = split(bytes, TAG_LEN)?;
        hmac::verify(&self.0, proven, tag).map_err(|_| CredentialError::Signature)?;
        read(proven, issuer, true, now)
    }
}

/// Reads a credential for agents that was signed by the key whose public half is `public`.
///
/// The caller still has to check that the run lives and that the step names its node.
///
/// # Errors
/// Where anything about it does not hold; nothing of such a credential may be used.
pub fn verify(public: &[u8], bytes: &[u8], issuer: &str, now: Timestamp) -> Result<Credential, CredentialError> {
    let (signed, signature) = split(bytes, SIGNATURE_LEN)?;
    UnparsedPublicKey::new(&ED25519, public).verify(signed, signature).map_err(|_| CredentialError::Signature)?;
    read(signed, issuer, false, now)
}

fn split(bytes: &[u8], proof: usize) -> Result<(&[u8], &[u8]), CredentialError> {
    if bytes.len() > MAX_FRAME {
        return Err(CredentialError::TooLong(bytes.len()));
    }
    bytes.len().checked_sub(proof).map(|at| bytes.split_at(at)).ok_or(CredentialError::Signature)
}

/// What was proven, as long as it is for who reads it, and now.
fn read(proven: &[u8], issuer: &str, by_controller: bool, now: Timestamp) -> Result<Credential, CredentialError> {
    let credential = frame::decode(proven)?;
    if credential.issuer != issuer {
        return Err(CredentialError::Issuer);
    }
    if credential.action.is_for_controller() != by_controller {
        return Err(CredentialError::Audience);
    }
    if now >= credential.expires_at {
        return Err(CredentialError::Expired { expires_at: credential.expires_at.0, now: now.0 });
    }
    if credential.issued_at.0 > now.0.saturating_add(MAX_SKEW_MILLIS) {
        return Err(CredentialError::NotYet { issued_at: credential.issued_at.0, now: now.0 });
    }
    Ok(credential)
}

#[cfg(test)]
mod tests;
