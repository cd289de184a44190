//! A disk that keeps only what was synced: writes since then are lost, torn or kept, each by chance.
//!
//! It lies below SQLite as a VFS. Files are in memory, by the directory that they would lie in.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sqlite_vfs::{DatabaseHandle, LockKind, OpenAccess, OpenOptions, Vfs, WalDisabled};
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, Once};
use std::time::Duration;

pub const NAME: &str = "squall-faulty";
/// What a device writes at once.
const SECTOR: usize = 512;

/// How often each fault fired: a fault that never fires proves nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fired {
    pub syncs: u64,
    pub crashes: u64,
    pub kept: u64,
    pub dropped: u64,
    pub torn: u64,
    pub failed_syncs: u64,
    pub full: u64,
    pub lies: u64,
}

/// What goes wrong next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The power goes after so many writes and syncs.
    pub power_after: Option<u64>,
    /// The sync with this number fails once; what it was to sync is then in nobody's hands.
    pub fail_sync: Option<u64>,
    /// Writes fail for lack of space from this number on.
    pub full_after: Option<u64>,
    /// Syncs say that they did what they did not.
    pub lying: bool,
}

#[derive(Debug, Default)]
struct File {
    synced: Vec<u8>,
    now: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Bytes(usize, Vec<u8>),
    Length(usize),
}

#[derive(Debug)]
pub struct Disk {
    files: BTreeMap<String, File>,
    rng: ChaCha8Rng,
    plan: Plan,
    operations: u64,
    syncs: u64,
    power: bool,
    /// Handles of an earlier life write nothing.
    life: u64,
    pub fired: Fired,
}

type Disks = Mutex<BTreeMap<String, Arc<Mutex<Disk>>>>;
static DISKS: LazyLock<Disks> = LazyLock::new(Disks::default);
static REGISTERED: Once = Once::new();

/// Puts a new disk below `dir`.
pub fn disk(dir: &Path, seed: u64) -> Arc<Mutex<Disk>> {
    REGISTERED.call_once(|| sqlite_vfs::register(NAME, Faulty, false).unwrap());
    let disk = Disk {
        files: BTreeMap::new(),
        rng: ChaCha8Rng::seed_from_u64(seed),
        plan: Plan::default(),
        operations: 0,
        syncs: 0,
        power: true,
        life: 0,
        fired: Fired::default(),
    };
    let disk = Arc::new(Mutex::new(disk));
    DISKS.lock().unwrap().insert(dir.to_str().unwrap().to_owned(), disk.clone());
    disk
}

impl Disk {
    pub fn plan(&mut self, plan: Plan) {
        self.plan = plan;
        self.operations = 0;
        self.syncs = 0;
    }

    /// The machine goes down and comes up again: whoever had files open is gone.
    pub fn crash(&mut self) {
        self.fired.crashes += 1;
        self.life += 1;
        self.power = true;
        self.plan = Plan::default();
        let (rng, fired) = (&mut self.rng, &mut self.fired);
        for file in self.files.values_mut() {
            let mut survives = std::mem::take(&mut file.synced);
            for change in file.unsynced.drain(..) {
                match (rng.random_range(0..3), change) {
                    (0, _) => fired.dropped += 1,
                    (1, Change::Bytes(at, bytes)) => {
                        fired.torn += 1;
                        let sectors = bytes.len().div_ceil(SECTOR);
                        let part = (rng.random_range(0..=sectors) * SECTOR).min(bytes.len());
                        // The one end or the other of it.
                        if rng.random_bool(0.5) {
                            put(&mut survives, at, &bytes[..part]);
                        } else {
                            put(&mut survives, at + part, &bytes[part..]);
                        }
                    }
                    (_, change) => {
                        fired.kept += 1;
                        apply(&mut survives, &change);
                    }
                }
            }
            file.now = survives.clone();
            file.synced = survives;
        }
    }

    fn operate(&mut self) -> Result<(), Error> {
        self.operations += 1;
        if self.plan.power_after.is_some_and(|after| self.operations > after) {
            self.power = false;
        }
        if self.power { Ok(()) } else { Err(Error::other("the power is gone")) }
    }

    fn change(&mut self, name: &str, change: Change) -> Result<(), Error> {
        self.operate()?;
        if self.plan.full_after.is_some_and(|after| self.operations > after) {
            self.fired.full += 1;
            return Err(ErrorKind::WriteZero.into());
        }
        let file = self.files.entry(name.to_owned()).or_default();
        apply(&mut file.now, &change);
        file.unsynced.push(change);
        Ok(())
    }

    fn sync(&mut self, name: &str) -> Result<(), Error> {
        self.operate()?;
        self.syncs += 1;
        self.fired.syncs += 1;
        let file = self.files.entry(name.to_owned()).or_default();
        if self.plan.fail_sync == Some(self.syncs) {
            self.fired.failed_syncs += 1;
            // As Linux does: the pages count as clean from now on, though they may never have been written.
            return Err(Error::other("the sync failed"));
        }
        if self.plan.lying {
            self.fired.lies += 1;
            return Ok(());
        }
        file.synced = file.now.clone();
        file.unsynced.clear();
        Ok(())
    }
}

fn put(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    content.resize(content.len().max(at + bytes.len()), 0);
    content[at..at + bytes.len()].copy_from_slice(bytes);
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Bytes(at, bytes) => put(content, *at, bytes),
        Change::Length(length) => content.resize(*length, 0),
    }
}

struct Faulty;

struct Handle {
    disk: Arc<Mutex<Disk>>,
    name: String,
    life: u64,
    lock: LockKind,
}

impl Handle {
    fn alive(&self) -> Result<MutexGuard<'_, Disk>, Error> {
        let disk = self.disk.lock().unwrap();
        if disk.life == self.life { Ok(disk) } else { Err(Error::other("this process is gone")) }
    }
}

fn find(path: &str) -> Result<Arc<Mutex<Disk>>, Error> {
    let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
    DISKS.lock().unwrap().get(dir).cloned().ok_or_else(|| ErrorKind::NotFound.into())
}

impl Vfs for Faulty {
    type Handle = Handle;

    fn open(&self, path: &str, options: OpenOptions) -> Result<Handle, Error> {
        let disk = find(path)?;
        let life = {
            let mut inner = disk.lock().unwrap();
            if matches!(options.access, OpenAccess::Create | OpenAccess::CreateNew) {
                inner.files.entry(path.to_owned()).or_default();
            } else if !inner.files.contains_key(path) {
                return Err(ErrorKind::NotFound.into());
            }
            inner.life
        };
        Ok(Handle { disk, name: path.to_owned(), life, lock: LockKind::None })
    }

    fn delete(&self, path: &str) -> Result<(), Error> {
        let disk = find(path)?;
        let mut disk = disk.lock().unwrap();
        if !disk.power {
            return Err(Error::other("the power is gone"));
        }
        disk.files.remove(path).map(|_| ()).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn exists(&self, path: &str) -> Result<bool, Error> {
        Ok(find(path)?.lock().unwrap().files.contains_key(path))
    }

    fn temporary_name(&self) -> String {
        "temporary".to_owned()
    }

    fn random(&self, buffer: &mut [i8]) {
        rand::rng().fill(buffer);
    }

    fn sleep(&self, duration: Duration) -> Duration {
        std::thread::sleep(duration);
        duration
    }
}

impl DatabaseHandle for Handle {
    type WalIndex = WalDisabled;

    fn size(&self) -> Result<u64, Error> {
        Ok(self.alive()?.files.get(&self.name).map_or(0, |file| file.now.len() as u64))
    }

    fn read_exact_at(&mut self, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        let disk = self.alive()?;
        let content = disk.files.get(&self.name).map_or(&[][..], |file| &file.now);
        let rest = content.get(offset as usize..).unwrap_or_default();
        let there = rest.len().min(buffer.len());
        buffer[..there].copy_from_slice(&rest[..there]);
        buffer[there..].fill(0);
        if there == buffer.len() { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }

    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> Result<(), Error> {
        self.alive()?.change(&self.name, Change::Bytes(offset as usize, bytes.to_vec()))
    }

    fn sync(&mut self, _data_only: bool) -> Result<(), Error> {
        self.alive()?.sync(&self.name)
    }

    fn set_len(&mut self, size: u64) -> Result<(), Error> {
        self.alive()?.change(&self.name, Change::Length(size as usize))
    }

    fn lock(&mut self, lock: LockKind) -> Result<bool, Error> {
        self.lock = lock;
        Ok(true)
    }

    fn reserved(&mut self) -> Result<bool, Error> {
        Ok(false)
    }

    fn current_lock(&self) -> Result<LockKind, Error> {
        Ok(self.lock)
    }

    fn wal_index(&self, _readonly: bool) -> Result<WalDisabled, Error> {
        Ok(WalDisabled)
    }
}
