//! The trait over folders and processes of this machine.

use crate::agent::remove_folder;
use crate::config::LocalConfig;
use crate::disk::{self, DiskError, RootLock};
use crate::orders::{Orders, TOKEN_LIFETIME};
use async_trait::async_trait;
use squall_provisioner::{ProvisionError, Provisioner};
use squall_types::{Capabilities, InstanceId, LaunchOrder, Launched, Listing, Offer, Span, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

/// Nodes that one order may have.
pub(crate) const MAX_PER_ORDER: u32 = 256;
/// Instances that one retire may name.
pub(crate) const MAX_PER_RETIRE: u32 = 1_000;

/// Why there is no local provisioner.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the folder of local nodes cannot be used")]
    Folder(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("`{0}` cannot be found")]
    NoProgram(PathBuf),
    #[error("offer `{offer}` sells {asked} nodes in one order, and one order can have 1 to {MAX_PER_ORDER} here")]
    OrderSize { offer: String, asked: u32 },
    #[error("offer `{0}` is there twice")]
    OfferTwice(String),
}

impl From<DiskError> for OpenError {
    fn from(error: DiskError) -> Self {
        Self::Folder(Box::new(error))
    }
}

/// Nodes as processes of this machine. Cheap to clone; clones share what they know.
#[derive(Clone)]
pub struct LocalProvisioner {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub config: LocalConfig,
    pub max_instances: AtomicU32,
    pub identity: String,
    pub lock: PathBuf,
    pub nodes: PathBuf,
    pub logs: PathBuf,
    pub trash: PathBuf,
    pub orders: Orders,
    /// Agents that this process started, to be reaped when they end.
    pub children: Mutex<Vec<Child>>,
    /// Since when agents are known to be dead.
    pub dead_since: Mutex<BTreeMap<InstanceId, Instant>>,
    /// What this process is putting to an end right now.
    pub ending: Mutex<BTreeSet<InstanceId>>,
}

impl LocalProvisioner {
    /// Opens the root, which is made where it is missing, and clears away what an earlier process left half removed.
    ///
    /// # Errors
    /// If the folder cannot be used, the agent's program is not there, or the offers make no sense.
    pub fn open(mut config: LocalConfig) -> Result<Self, OpenError> {
        check_offers(&config.offers)?;
        config.agent.program = find_program(&config.agent.program)?;
        disk::make_folder(&config.root)?;
        let root = std::path::absolute(&config.root).map_err(DiskError::new("resolve", &config.root))?;
        let folder = |name: &str| -> Result<PathBuf, DiskError> {
            let path = root.join(name);
            disk::make_folder(&path)?;
            Ok(path)
        };
        let (nodes, logs, trash) = (folder("nodes")?, folder("logs")?, folder("trash")?);
        let lock = root.join("lock");
        let orders = {
            let _locked = RootLock::take(&lock)?;
            let orders = Orders::in_folder(&root.join("orders"))?;
            orders.prune()?;
            for name in disk::names_in(&trash)? {
                remove_folder(&trash.join(name))?;
            }
            orders
        };
        let inner = Inner {
            max_instances: AtomicU32::new(config.max_instances),
            identity: identity_of(&root)?,
            lock,
            nodes,
            logs,
            trash,
            orders,
            config,
            children: Mutex::default(),
            dead_since: Mutex::default(),
            ending: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Changes how many instances may exist at once; those that do stay.
    pub fn set_max_instances(&self, max: u32) {
        self.inner.max_instances.store(max, Ordering::Relaxed);
    }

    /// Everything here waits for disks and processes, so it runs where waiting is allowed; a caller that
    /// drops its future leaves the work to go on to its end.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Inner>) -> Result<T, ProvisionError> + Send + 'static,
    ) -> Result<T, ProvisionError> {
        let inner = self.inner.clone();
        tokio::task::spawn_blocking(move || work(&inner)).await.map_err(ProvisionError::unknown)?
    }
}

impl Inner {
    pub fn locked(&self) -> Result<RootLock, DiskError> {
        RootLock::take(&self.lock)
    }

    pub fn max_instances(&self) -> u64 {
        u64::from(self.max_instances.load(Ordering::Relaxed))
    }

    /// Lets go of agents that have ended, so that they are no zombies.
    pub fn reap(&self) {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }

    pub fn adopt(&self, child: Child) {
        self.children.lock().unwrap_or_else(PoisonError::into_inner).push(child);
    }
}

#[async_trait]
impl Provisioner for LocalProvisioner {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            all_or_none: true,
            max_per_order: MAX_PER_ORDER,
            max_per_retire: MAX_PER_RETIRE,
            token_lifetime: TOKEN_LIFETIME,
            listing_grace: Span::ZERO,
            ends_at_die_at: false,
        }
    }

    async fn offers(&self) -> Result<Vec<Offer>, ProvisionError> {
        Ok(self.inner.config.offers.clone())
    }

    async fn launch(&self, order: &LaunchOrder) -> Result<Launched, ProvisionError> {
        let order = order.clone();
        self.blocking(move |inner| inner.launch(&order)).await
    }

    async fn retire(&self, instances: &[InstanceId]) -> Result<(), ProvisionError> {
        let instances = instances.to_vec();
        self.blocking(move |inner| inner.retire(&instances)).await
    }

    async fn list(&self) -> Result<Listing, ProvisionError> {
        self.blocking(Inner::list).await
    }
}

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn check_offers(offers: &[Offer]) -> Result<(), OpenError> {
    let mut names = BTreeSet::new();
    for offer in offers {
        if !names.insert(&offer.name) {
            return Err(OpenError::OfferTwice(offer.name.to_string()));
        }
        if !(1..=MAX_PER_ORDER).contains(&offer.max_per_order) {
            return Err(OpenError::OrderSize { offer: offer.name.to_string(), asked: offer.max_per_order });
        }
    }
    Ok(())
}

/// An absolute path of the program, which an agent may be started with from any folder.
fn find_program(program: &Path) -> Result<PathBuf, OpenError> {
    let missing = || OpenError::NoProgram(program.to_owned());
    let found = if program.components().count() > 1 {
        std::path::absolute(program).ok()
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
    };
    found.filter(|path| path.is_file()).ok_or_else(missing)
}

/// Eight random bytes that belong to the root for good, in hexadecimal.
fn identity_of(root: &Path) -> Result<String, DiskError> {
    let path = root.join("identity");
    let _locked = RootLock::take(&root.join("lock"))?;
    if let Some(identity) = disk::read(&path)? {
        return Ok(String::from_utf8_lossy(&identity).into_owned());
    }
    let source = Path::new("/dev/urandom");
    let mut bytes = [0; 8];
    File::open(source).and_then(|mut random| random.read_exact(&mut bytes)).map_err(DiskError::new("read", source))?;
    let identity = hex::encode(bytes);
    disk::write_whole(&path, identity.as_bytes())?;
    Ok(identity)
}
