//! Which order has which instances: what makes a repeated launch meet the same ones.

use crate::disk::{self, DiskError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use squall_types::offer::LaunchedInstance;
use squall_types::{InstanceId, LaunchOrder, LaunchToken, Launched, Span, Timestamp};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

/// How long a repeated launch is promised to be recognised.
pub(crate) const TOKEN_LIFETIME: Span = Span::from_hours(24);
/// Closed orders are kept for longer than their token is promised to live.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Hexadecimal digits of a key.
const KEY_DIGITS: usize = 12;

/// An order on disk, written before any of its instances is made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OrderRecord {
    /// Without its ticket, which is no part of its identity and a secret.
    pub request: LaunchOrder,
    pub instances: Vec<LaunchedInstance>,
    /// Retired, powered off, or given up; never started again.
    pub ended: BTreeSet<InstanceId>,
    pub launched_at: Timestamp,
}

impl OrderRecord {
    pub fn launched(&self) -> Launched {
        Launched { instances: self.instances.clone() }
    }

    pub fn open(&self) -> impl Iterator<Item = &LaunchedInstance> {
        self.instances.iter().filter(|one| !self.ended.contains(&one.instance))
    }
}

/// Names an order by its token, for this root only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OrderKey(String);

impl OrderKey {
    pub fn of(identity: &str, token: &LaunchToken) -> Self {
        let mut hash = Sha256::new();
        hash.update(identity.as_bytes());
        hash.update([0]);
        hash.update(token.as_str().as_bytes());
        let mut digits = hex::encode(hash.finalize());
        digits.truncate(KEY_DIGITS);
        Self(digits)
    }

    pub fn instance(&self, index: usize) -> InstanceId {
        InstanceId::new(format!("local-{}-{index}", self.0))
    }

    /// The order of an instance; `None` for an id that was never given here.
    pub fn of_instance(instance: &InstanceId) -> Option<Self> {
        let (key, index) = instance.as_str().strip_prefix("local-")?.split_once('-')?;
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let well_formed = key.len() == KEY_DIGITS
            && key.bytes().all(hex)
            && (1..=6).contains(&index.len())
            && index.bytes().all(|byte| byte.is_ascii_digit());
        well_formed.then(|| Self(key.to_owned()))
    }
}

/// The folder of orders. Every change is made under the root's lock.
#[derive(Debug)]
pub(crate) struct Orders {
    open: PathBuf,
    closed: PathBuf,
}

impl Orders {
    pub fn in_folder(folder: &Path) -> Result<Self, DiskError> {
        let orders = Self { open: folder.to_owned(), closed: folder.join("closed") };
        disk::make_folder(&orders.closed)?;
        Ok(orders)
    }

    /// The order, open or closed.
    pub fn read(&self, key: &OrderKey) -> Result<Option<OrderRecord>, DiskError> {
        match disk::read_json(&file(&self.open, key))? {
            Some(record) => Ok(Some(record)),
            None => disk::read_json(&file(&self.closed, key)),
        }
    }

    /// Writes the order down; once all its instances have ended it counts no more.
    pub fn write(&self, key: &OrderKey, record: &OrderRecord) -> Result<(), DiskError> {
        let open = file(&self.open, key);
        disk::write_json(&open, record)?;
        if record.open().next().is_none() {
            disk::rename(&open, &file(&self.closed, key))?;
        }
        Ok(())
    }

    /// As if it had never been asked for.
    pub fn forget(&self, key: &OrderKey) -> Result<(), DiskError> {
        let path = file(&self.open, key);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(DiskError::new("remove", &path)(error)),
            _ => disk::sync_folder(&self.open),
        }
    }

    /// Instances that were granted and have not ended, whether or not they were made yet.
    pub fn count_open(&self) -> Result<u64, DiskError> {
        let mut count = 0;
        for name in disk::names_in(&self.open)?.iter().filter(|name| name.ends_with(".json")) {
            // A damaged record keeps its own order from being repeated, and nothing else.
            match disk::read_json::<OrderRecord>(&self.open.join(name)) {
                Ok(record) => count += record.map_or(0, |record| record.open().count() as u64),
                Err(error) => tracing::error!(reason = %error, "an order's record is damaged"),
            }
        }
        Ok(count)
    }

    /// Removes closed orders whose tokens nobody can still use.
    pub fn prune(&self) -> Result<(), DiskError> {
        for name in disk::names_in(&self.closed)? {
            let path = self.closed.join(name);
            let age =
                fs::metadata(&path).and_then(|meta| meta.modified()).map(|at| SystemTime::now().duration_since(at));
            if matches!(age, Ok(Ok(age)) if age > KEPT_FOR) {
                fs::remove_file(&path).map_err(DiskError::new("remove", &path))?;
            }
        }
        Ok(())
    }
}

fn file(folder: &Path, key: &OrderKey) -> PathBuf {
    folder.join(format!("{}.json", key.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_names_its_order_and_strangers_do_not() {
        let key = OrderKey::of("root", &"token".into());
        assert_eq!(OrderKey::of_instance(&key.instance(7)), Some(key.clone()));
        assert_ne!(OrderKey::of("another root", &"token".into()), key);
        for stranger in [
            "",
            "local-",
            "local-00112233aabb",
            "local-00112233aabb-",
            "local-00112233AABB-0",
            "local-../../../etc-0",
            "local-00112233aabb-0/..",
            "local-00112233aabb-+1",
            "local-00112233aabb-1234567",
        ] {
            assert_eq!(OrderKey::of_instance(&InstanceId::new(stranger)), None, "{stranger:?}");
        }
    }
}
