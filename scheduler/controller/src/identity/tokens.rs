//! Tokens that let one machine join once: a static node or a login host.
//!
//! A token names a record on disk and bears its HMAC. The record says for whom it is and until when, and who has used
//! it: the same key may use it again, since answers can be lost and machines switched off; another may not.

use super::authority::{Authority, random};
use super::{IdentityError, files};
use ring::hmac;
use serde::{Deserialize, Serialize};
use squall_types::api::JoinTokenFor;
use squall_types::{NodeName, Span, Timestamp};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// How long a token may wait to be used.
pub const TOKEN_LIFETIME: Span = Span::from_hours(24);
/// Tokens that wait at the same time.
const MAX_TOKENS: usize = 10_000;

/// Tokens that were given out.
pub struct Tokens {
    dir: PathBuf,
    /// One reads and writes records at a time.
    turn: Mutex<()>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    kind: Kind,
    name: String,
    expires_at: Timestamp,
    /// Fingerprint of the key that used it.
    used_by: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    StaticNode,
    LoginHost,
}

/// Why a token admits nobody.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("this is no join token of this cluster")]
    Unknown,
    #[error("the join token is for another machine")]
    OtherMachine,
    #[error("the join token has expired")]
    Expired,
    #[error("the join token was used by another machine")]
    Used,
    #[error("{MAX_TOKENS} join tokens wait to be used")]
    TooMany,
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl Tokens {
    /// # Errors
    /// Where the folder cannot be made or others can read it.
    pub fn open(dir: &Path) -> Result<Tokens, IdentityError> {
        files::private_dir(dir)?;
        Ok(Tokens { dir: dir.to_owned(), turn: Mutex::default() })
    }

    /// A new token for one machine.
    ///
    /// # Errors
    /// Where too many wait or the disk fails.
    pub fn make(&self, authority: &Authority, joiner: &JoinTokenFor, now: Timestamp) -> Result<String, TokenError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if self.sweep(now)? >= MAX_TOKENS {
            return Err(TokenError::TooMany);
        }
        let (kind, name) = match joiner {
            JoinTokenFor::StaticNode(name) => (Kind::StaticNode, name.to_string()),
            JoinTokenFor::LoginHost(name) => (Kind::LoginHost, name.clone()),
        };
        let id = hex::encode(random::<16>()?);
        let record = Record { kind, name, expires_at: now + TOKEN_LIFETIME, used_by: None };
        let tag = hmac::sign(authority.join_key(), &message(&id));
        self.write(&id, &record)?;
        Ok(format!("{id}{}", hex::encode(tag)))
    }

    /// Lets the machine with this key use the token for a static node.
    ///
    /// # Errors
    /// Says why it does not count.
    pub fn use_for_node(
        &self,
        authority: &Authority,
        token: &str,
        node: &NodeName,
        key: &str,
        now: Timestamp,
    ) -> Result<(), TokenError> {
        self.spend(authority, token, Kind::StaticNode, node.as_str(), key, now)
    }

    /// Lets the machine with this key use the token for a login host.
    ///
    /// # Errors
    /// Says why it does not count.
    pub fn use_for_login_host(
        &self,
        authority: &Authority,
        token: &str,
        name: &str,
        key: &str,
        now: Timestamp,
    ) -> Result<(), TokenError> {
        self.spend(authority, token, Kind::LoginHost, name, key, now)
    }

    fn spend(
        &self,
        authority: &Authority,
        token: &str,
        kind: Kind,
        name: &str,
        key: &str,
        now: Timestamp,
    ) -> Result<(), TokenError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (id, tag) = token.split_at_checked(32).ok_or(TokenError::Unknown)?;
        let tag = hex::decode(tag).map_err(|_| TokenError::Unknown)?;
        // Before anything of the token becomes part of a path.
        hmac::verify(authority.join_key(), &message(id), &tag).map_err(|_| TokenError::Unknown)?;
        let mut record = self.read(id)?.ok_or(TokenError::Unknown)?;
        if record.kind != kind || record.name != name {
            return Err(TokenError::OtherMachine);
        }
        match &record.used_by {
            // However late: a machine whose certificate expired while it was off proves itself in the same way again.
            Some(user) if user == key => Ok(()),
            Some(_) => Err(TokenError::Used),
            None if now >= record.expires_at => Err(TokenError::Expired),
            None => {
                record.used_by = Some(key.to_owned());
                self.write(id, &record)
            }
        }
    }

    fn path(&self, id: &str) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }

    fn read(&self, id: &str) -> Result<Option<Record>, TokenError> {
        let path = self.path(id);
        let Some(content) = files::read_secret(&path)? else { return Ok(None) };
        let record = serde_json::from_slice(&content)
            .map_err(|error| IdentityError::Damaged { path, problem: error.to_string() })?;
        Ok(Some(record))
    }

    fn write(&self, id: &str, record: &Record) -> Result<(), TokenError> {
        let content = serde_json::to_vec(record).expect("a record is JSON");
        Ok(files::write_secret(&self.path(id), &content)?)
    }

    /// Removes what has expired, and says how many are left.
    fn sweep(&self, now: Timestamp) -> Result<usize, TokenError> {
        let failed = |source| IdentityError::File { doing: "reading", path: self.dir.clone(), source };
        let mut left = 0;
        for entry in std::fs::read_dir(&self.dir).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.strip_suffix(".json")) else { continue };
            match self.read(id)? {
                Some(record) if record.used_by.is_none() && now >= record.expires_at => {
                    // A record that stays has expired all the same.
                    let _ = std::fs::remove_file(self.path(id));
                }
                Some(record) => left += usize::from(record.used_by.is_none()),
                None => {}
            }
        }
        Ok(left)
    }
}

fn message(id: &str) -> Vec<u8> {
    [b"squall join token ", id.as_bytes()].concat()
}
