//! Names of users, as this machine knows them.

use crate::limits::{NAMED_FOR, NAMED_USERS};
use squall_types::Uid;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Names that were looked up a while ago at most: a look-up can take long, and submissions are many.
#[derive(Default)]
pub(super) struct Users {
    known: Mutex<HashMap<Uid, (String, Instant)>>,
}

impl Users {
    /// The name, or the number where the machine knows none.
    pub async fn name(&self, uid: Uid) -> String {
        if let Some((name, at)) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&uid)
            && at.elapsed() < NAMED_FOR
        {
            return name.clone();
        }
        let found = tokio::task::spawn_blocking(move || {
            nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid.0)).ok().flatten().map(|user| user.name)
        });
        let name = found.await.ok().flatten().unwrap_or_else(|| uid.to_string());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= NAMED_USERS {
            known.clear();
        }
        known.insert(uid, (name.clone(), Instant::now()));
        name
    }
}
