//! Names and groups of users, as this machine knows them.

use crate::limits::{NAMED_FOR, NAMED_USERS};
use squall_core::ClusterConfig;
use squall_types::{Gid, Uid};
use std::collections::{BTreeSet, HashMap};
use std::ffi::CString;
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

    /// Of the groups to which partitions are open, those that the user is in. Nothing is looked up where there are none.
    pub async fn groups(&self, uid: Uid, gid: Gid, config: &ClusterConfig) -> Vec<String> {
        let open = config.partitions.values().flat_map(|partition| &partition.allow_groups);
        let open: BTreeSet<String> = open.cloned().collect();
        if open.is_empty() {
            return Vec::new();
        }
        let name = self.name(uid).await;
        let found = tokio::task::spawn_blocking(move || {
            let mut own = vec![gid.0];
            if let Ok(name) = CString::new(name)
                && let Ok(groups) = nix::unistd::getgrouplist(&name, nix::unistd::Gid::from_raw(gid.0))
            {
                own.extend(groups.iter().map(|group| group.as_raw()));
            }
            let is_own = |name: &String| {
                let group = nix::unistd::Group::from_name(name).ok().flatten();
                group.is_some_and(|group| own.contains(&group.gid.as_raw()))
            };
            open.into_iter().filter(is_own).collect()
        });
        found.await.unwrap_or_default()
    }
}
