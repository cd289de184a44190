//! Who is who: the cluster's own CA, the keys that only the controller has, and what proves a machine.
//!
//! Everything secret lies in one folder that nobody else may read, and no secret is in the journal: join secrets are
//! derived from the order, credentials are signed when they are sent.

mod authority;
mod certificate;
mod files;
mod hosts;
mod tokens;
mod user_tokens;

pub use authority::{Authority, SERVER_LIFETIME};
pub use certificate::{Machine, Proven};
pub use hosts::LoginHosts;
pub use tokens::{TokenError, Tokens};
pub use user_tokens::{UserTokenError, UserTokens};

use std::path::PathBuf;

/// Why an identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("{doing} {path}: {source}", path = path.display())]
    File { doing: &'static str, path: PathBuf, source: std::io::Error },
    /// Somebody else can read or change what only the controller may.
    #[error("{path} has mode {mode:04o} and belongs to uid {owner}: nobody but uid {wanted} may read it; chmod 0600 \
             makes it safe, unless somebody has read it already", path = path.display())]
    Exposed { path: PathBuf, mode: u32, owner: u32, wanted: u32 },
    #[error("{path} is not what it should be: {problem}", path = path.display())]
    Damaged { path: PathBuf, problem: String },
    #[error("no certificate can be issued: {0}")]
    Certificate(String),
    #[error("the request for a certificate cannot be read: {0}")]
    Request(String),
    #[error("the system has no randomness to give")]
    Randomness,
}

#[cfg(test)]
mod tests;
