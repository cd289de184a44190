//! Tokens that stand for a user on the network, where no kernel says who calls.
//!
//! A user makes one where the kernel does say so, and carries it to another machine. The controller keeps only its
//! digest: neither the disk nor a backup holds what could be used. A token is short-lived, stands for one user, and never
//! for an admin's rights.

use super::authority::random;
use super::{IdentityError, files};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use squall_types::api::UserToken;
use squall_types::{Gid, Span, Timestamp, Uid};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What every token begins with, so that scanners for lost secrets know it.
const PREFIX: &str = "squall-user-";
/// Characters of the id and of the secret, in hexadecimal.
const ID: usize = 16;
const SECRET: usize = 64;
/// Longest life of a token; what asks for none lives for `USUAL_LIFETIME`.
pub const MOST_LIFETIME: Span = Span::from_hours(30 * 24);
pub const USUAL_LIFETIME: Span = Span::from_hours(12);
/// Tokens of one user, and of all, at the same time.
const PER_USER: usize = 32;
const IN_ALL: usize = 10_000;

/// Why there is no token, or it does not count.
#[derive(Debug, thiserror::Error)]
pub enum UserTokenError {
    #[error("this is no token of this cluster, or it was revoked")]
    Unknown,
    #[error("the token {id} has expired: make another with `squall token create`")]
    Expired { id: String },
    #[error("a token lives for at most {} hours", MOST_LIFETIME.as_secs() / 3600)]
    TooLong,
    #[error("you have {PER_USER} tokens: revoke some with `squall token revoke`")]
    TooMany,
    #[error("{IN_ALL} tokens are in use in this cluster")]
    TooManyInAll,
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    uid: Uid,
    gid: Gid,
    /// SHA-256 of the secret, in hexadecimal. The secret is random and long, so that nothing slower is needed.
    digest: String,
    created_at: Timestamp,
    expires_at: Timestamp,
}

/// All tokens that count.
pub struct UserTokens {
    dir: PathBuf,
    records: Mutex<BTreeMap<String, Record>>,
}

impl UserTokens {
    /// # Errors
    /// Where the folder cannot be made, others can read it, or a record in it is damaged.
    pub fn open(dir: &Path) -> Result<UserTokens, IdentityError> {
        files::private_dir(dir)?;
        let failed = |source| IdentityError::File { doing: "reading", path: dir.to_owned(), source };
        let mut records = BTreeMap::new();
        for entry in std::fs::read_dir(dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let Some(id) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".json")) else { continue };
            let Some(content) = files::read_secret(&path)? else { continue };
            let record = serde_json::from_slice(&content)
                .map_err(|error| IdentityError::Damaged { path: path.clone(), problem: error.to_string() })?;
            records.insert(id.to_owned(), record);
        }
        Ok(UserTokens { dir: dir.to_owned(), records: Mutex::new(records) })
    }

    /// A new token of a user. The text is told once and kept nowhere.
    ///
    /// # Errors
    /// Where it would live too long, there are too many, or the disk fails.
    pub fn make(
        &self,
        uid: Uid,
        gid: Gid,
        lifetime: Option<Span>,
        now: Timestamp,
    ) -> Result<(UserToken, String), UserTokenError> {
        let lifetime = lifetime.unwrap_or(USUAL_LIFETIME);
        if lifetime > MOST_LIFETIME || lifetime <= Span::ZERO {
            return Err(UserTokenError::TooLong);
        }
        let mut records = self.records();
        self.sweep(&mut records, now);
        if records.values().filter(|record| record.uid == uid).count() >= PER_USER {
            return Err(UserTokenError::TooMany);
        }
        if records.len() >= IN_ALL {
            return Err(UserTokenError::TooManyInAll);
        }
        let (id, secret) = (hex::encode(random::<8>()?), hex::encode(random::<32>()?));
        let record = Record { uid, gid, digest: digest(&secret), created_at: now, expires_at: now + lifetime };
        let content = serde_json::to_vec(&record).expect("a record is JSON");
        files::write_secret(&self.path(&id), &content)?;
        let told = told(&id, &record);
        records.insert(id.clone(), record);
        Ok((told, format!("{PREFIX}{id}{secret}")))
    }

    /// For whom a token stands.
    ///
    /// # Errors
    /// Where it does not count.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<(Uid, Gid), UserTokenError> {
        let text = token.strip_prefix(PREFIX).filter(|text| text.len() == ID + SECRET);
        let (id, secret) = text.and_then(|text| text.split_at_checked(ID)).ok_or(UserTokenError::Unknown)?;
        let records = self.records();
        let record = records.get(id).ok_or(UserTokenError::Unknown)?;
        // How long this takes tells of digests, which nobody can choose, and nothing of the secret.
        if digest(secret) != record.digest {
            return Err(UserTokenError::Unknown);
        }
        // Only to whoever had it does this say that it was one.
        if now >= record.expires_at {
            return Err(UserTokenError::Expired { id: id.to_owned() });
        }
        Ok((record.uid, record.gid))
    }

    /// The tokens of one user, or of all, that have not expired; the oldest first.
    pub fn list(&self, of: Option<Uid>, now: Timestamp) -> Vec<UserToken> {
        let records = self.records();
        let wanted = records.iter().filter(|(_, record)| now < record.expires_at);
        let mut tokens: Vec<UserToken> = wanted
            .filter(|(_, record)| of.is_none_or(|uid| uid == record.uid))
            .map(|(id, record)| told(id, record))
            .collect();
        tokens.sort_by_key(|token| (token.created_at, token.id.clone()));
        tokens
    }

    /// Whose token it is.
    pub fn owner(&self, id: &str) -> Option<Uid> {
        self.records().get(id).map(|record| record.uid)
    }

    /// Lets a token count no more, from now on and after every start.
    ///
    /// # Errors
    /// Where there is none of this id, or its record cannot be removed: then it counts on.
    pub fn revoke(&self, id: &str) -> Result<UserToken, UserTokenError> {
        let mut records = self.records();
        let record = records.get(id).ok_or(UserTokenError::Unknown)?;
        let told = told(id, record);
        let path = self.path(id);
        std::fs::remove_file(&path).map_err(|source| IdentityError::File { doing: "removing", path, source })?;
        records.remove(id);
        Ok(told)
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<String, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ids are the controller's own: hexadecimal, and no path can hide in one that is in the table.
    fn path(&self, id: &str) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }

    fn sweep(&self, records: &mut BTreeMap<String, Record>, now: Timestamp) {
        records.retain(|id, record| {
            let lives = now < record.expires_at;
            if !lives {
                // A record that stays has expired all the same.
                let _ = std::fs::remove_file(self.path(id));
            }
            lives
        });
    }
}

fn digest(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

fn told(id: &str, record: &Record) -> UserToken {
    let Record { uid, created_at, expires_at, .. } = record.clone();
    UserToken { id: id.to_owned(), uid, created_at, expires_at }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    #[test]
    fn a_token_stands_for_its_user_until_it_expires_or_is_revoked_and_its_text_is_kept_nowhere() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("user-tokens");
        let tokens = UserTokens::open(&folder).expect("opens");
        let (made, text) = tokens.make(Uid(7), Gid(8), Some(Span::from_secs(60)), NOW).expect("made");
        let (other, _) = tokens.make(Uid(9), Gid(9), None, NOW).expect("made");
        assert_eq!(tokens.verify(&text, NOW).expect("counts"), (Uid(7), Gid(8)));

        let secret = &text[PREFIX.len() + ID..];
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let content = std::fs::read_to_string(&path).expect("text");
            assert!(!content.contains(secret) && !path.to_string_lossy().contains(secret));
        }

        let mut changed = text.clone().into_bytes();
        *changed.last_mut().expect("not empty") ^= 1;
        let changed = String::from_utf8(changed).expect("text");
        for wrong in ["", "squall-user-", &changed, &text[1..], &format!("{text}0"), &text.to_uppercase()] {
            assert!(matches!(tokens.verify(wrong, NOW), Err(UserTokenError::Unknown)), "{wrong}");
        }
        let later = NOW + Span::from_secs(60);
        assert!(matches!(tokens.verify(&text, later), Err(UserTokenError::Expired { id }) if id == made.id));

        let again = UserTokens::open(&folder).expect("opens");
        assert_eq!(again.verify(&text, NOW).expect("counts after a new start"), (Uid(7), Gid(8)));
        assert_eq!(again.list(Some(Uid(7)), NOW), std::slice::from_ref(&made));
        assert_eq!(again.list(None, later), [other]);
        again.revoke(&made.id).expect("revoked");
        assert!(matches!(again.verify(&text, NOW), Err(UserTokenError::Unknown)));
        assert!(matches!(again.revoke(&made.id), Err(UserTokenError::Unknown)));
        let once_more = UserTokens::open(&folder).expect("opens");
        assert!(matches!(once_more.verify(&text, NOW), Err(UserTokenError::Unknown)));
    }

    #[test]
    fn there_is_an_end_to_tokens_and_to_their_lives() {
        let dir = tempfile::tempdir().expect("a folder");
        let tokens = UserTokens::open(&dir.path().join("user-tokens")).expect("opens");
        for lifetime in [Span::ZERO, Span(-1), MOST_LIFETIME + Span(1)] {
            assert!(matches!(tokens.make(Uid(7), Gid(7), Some(lifetime), NOW), Err(UserTokenError::TooLong)));
        }
        for _ in 0..PER_USER {
            tokens.make(Uid(7), Gid(7), Some(Span::from_secs(1)), NOW).expect("made");
        }
        assert!(matches!(tokens.make(Uid(7), Gid(7), None, NOW), Err(UserTokenError::TooMany)));
        tokens.make(Uid(8), Gid(8), None, NOW).expect("of another user");
        tokens.make(Uid(7), Gid(7), None, NOW + Span::from_secs(1)).expect("after the others have expired");
    }
}
