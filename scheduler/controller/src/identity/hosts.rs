//! Login hosts that were enrolled, by the key of each.

use super::{IdentityError, files};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Whose word counts for other users. A host that enrols again replaces the one before.
pub struct LoginHosts {
    path: PathBuf,
    keys: Mutex<BTreeMap<String, String>>,
}

impl LoginHosts {
    /// # Errors
    /// Where the file is damaged or others can read it.
    pub fn open(dir: &Path) -> Result<LoginHosts, IdentityError> {
        let path = dir.join("login-hosts.json");
        let keys = match files::read_secret(&path)? {
            Some(content) => serde_json::from_slice(&content)
                .map_err(|error| IdentityError::Damaged { path: path.clone(), problem: error.to_string() })?,
            None => BTreeMap::new(),
        };
        Ok(LoginHosts { path, keys: Mutex::new(keys) })
    }

    /// # Errors
    /// Where the disk fails; the host is not enrolled then.
    pub fn enrol(&self, name: &str, key: &str) -> Result<(), IdentityError> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = keys.clone();
        next.insert(name.to_owned(), key.to_owned());
        files::write_secret(&self.path, &serde_json::to_vec(&next).expect("names and keys are JSON"))?;
        *keys = next;
        Ok(())
    }

    pub fn is_enrolled(&self, name: &str, key: &str) -> bool {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).get(name).is_some_and(|known| known == key)
    }
}
