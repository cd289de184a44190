//! Provisioners in processes of their own: which program a pool has, and what becomes of it when the configuration changes.

use crate::meters::Meters;
use crate::settings::{Loaded, PoolSettings};
use futures_util::future::join_all;
use squall_provisioner::TimeLimits;
use squall_provisioner::supervise::{Needs, Pace, Program, Supervised, end_marked};
use squall_types::{Offer, PoolName};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Where the folders of programs are, in the controller's state folder.
const FOLDER: &str = "provisioners";
/// Where programs are looked for that are named without a path, after the folder of this program.
const INSTALLED: [&str; 2] = ["/usr/lib/squall", "/usr/local/lib/squall"];

/// Why a pool has no program.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    #[error("no program `{program}`, neither beside {} nor in {}", beside.display(), INSTALLED.join(" or "))]
    Missing { program: String, beside: PathBuf },
    #[error("{}: {source}", program.display())]
    Unreadable { program: PathBuf, source: std::io::Error },
    #[error("`{}` did not come up: {why}", program.display())]
    Down { program: PathBuf, why: String },
}

pub(super) struct Programs {
    open: Mutex<BTreeMap<PoolName, Open>>,
    folder: PathBuf,
    meters: Arc<Meters>,
}

#[derive(Clone)]
struct Open {
    supervised: Supervised,
    program: Program,
    file: Edition,
}

/// Which file a program was started from: an upgrade puts another in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Edition {
    device: u64,
    inode: u64,
    bytes: u64,
    changed_at: (i64, i64),
}

/// How a change of programs is undone.
pub(super) struct Undo(Vec<(Supervised, Before)>);

enum Before {
    /// It ran something else.
    Ran(Box<Program>),
    /// It did not run at all.
    Nothing(PoolName),
}

impl Programs {
    pub fn new(state_dir: &Path, meters: Arc<Meters>) -> Programs {
        Programs { open: Mutex::default(), folder: state_dir.join(FOLDER), meters }
    }

    /// Ends what a controller that was killed left running. Only whoever holds the journal may call this. Blocks.
    pub fn end_orphans(&self) {
        let ended = end_marked(&self.folder);
        if ended > 0 {
            tracing::warn!(processes = ended, "ended provisioners of a controller that did not stop by itself");
        }
    }

    /// The programs of all pools that have one. At the start they come up in the background, so that one that is broken
    /// costs no other pool anything; later a new or changed one has to come up, or all stays as it was.
    pub async fn open(
        &self,
        wanted: Vec<(PoolName, PoolSettings, Vec<Offer>)>,
        loaded: &Loaded,
        first: bool,
    ) -> Result<(BTreeMap<PoolName, Supervised>, Undo), (PoolName, ProgramError)> {
        let mut open = self.open.lock().await;
        let (mut opened, mut undo) = (BTreeMap::new(), Undo(Vec::new()));
        for (pool, settings, offers) in wanted {
            let program = self.program(&pool, &settings, offers, loaded);
            let changed = match program {
                Ok(program) => self.change(&mut open, &pool, program, first, &mut undo).await,
                Err(error) => Err(error),
            };
            match changed {
                Ok(supervised) => opened.insert(pool, supervised),
                Err(error) => {
                    undo.perform(&mut open).await;
                    return Err((pool, error));
                }
            };
        }
        Ok((opened, undo))
    }

    async fn change(
        &self,
        open: &mut BTreeMap<PoolName, Open>,
        pool: &PoolName,
        program: Program,
        first: bool,
        undo: &mut Undo,
    ) -> Result<Supervised, ProgramError> {
        let file = match (edition(&program.command), first) {
            (Ok(file), _) => Some(file),
            // It may come with the next mount or package: the supervisor goes on trying.
            (Err(_), true) => None,
            (Err(source), false) => return Err(ProgramError::Unreadable { program: program.command, source }),
        };
        let file = file.unwrap_or(Edition { device: 0, inode: 0, bytes: 0, changed_at: (0, 0) });
        let down = |outage: squall_provisioner::supervise::Outage| ProgramError::Down {
            program: program.command.clone(),
            why: outage.to_string(),
        };
        if let Some(known) = open.get_mut(pool) {
            if known.program != program || known.file != file {
                known.supervised.replace(program.clone()).await.map_err(down)?;
                undo.0.push((known.supervised.clone(), Before::Ran(Box::new(known.program.clone()))));
                (known.program, known.file) = (program, file);
            }
            return Ok(known.supervised.clone());
        }
        let supervised = Supervised::begin(program.clone(), Pace::default());
        if !first {
            if let Err(outage) = supervised.settled().await {
                supervised.end().await;
                return Err(down(outage));
            }
            undo.0.push((supervised.clone(), Before::Nothing(pool.clone())));
        }
        self.meters.supervise(pool, supervised.clone());
        open.insert(pool.clone(), Open { supervised: supervised.clone(), program, file });
        Ok(supervised)
    }

    pub async fn undo(&self, undo: Undo) {
        undo.perform(&mut *self.open.lock().await).await;
    }

    /// Ends all of them.
    pub async fn end(&self) {
        let open = std::mem::take(&mut *self.open.lock().await);
        join_all(open.values().map(|one| one.supervised.end())).await;
    }

    fn program(
        &self,
        pool: &PoolName,
        settings: &PoolSettings,
        offers: Vec<Offer>,
        loaded: &Loaded,
    ) -> Result<Program, ProgramError> {
        let command = settings.program.command.first().map(String::as_str).unwrap_or_default();
        let limit = settings.program.answer_within.0;
        let variable = |name: &String| Some((name.clone(), std::env::var(name).ok()?));
        Ok(Program {
            command: find(command)?,
            args: settings.program.command.iter().skip(1).cloned().collect(),
            environment: settings.program.environment.iter().filter_map(variable).collect(),
            folder: self.folder.join(pool.as_str()),
            cluster: loaded.cluster.cluster.clone(),
            pool: pool.clone(),
            offers,
            settings: settings.program.settings.clone(),
            limits: TimeLimits { offers: limit, launch: limit, retire: limit, list: limit },
            needs: Needs {
                whole_gangs: settings.program.whole_gangs,
                repeated_for: settings.accept_within.0,
                absent_after: settings.absence_grace.0,
            },
        })
    }
}

impl Undo {
    async fn perform(self, open: &mut BTreeMap<PoolName, Open>) {
        for (supervised, before) in self.0.into_iter().rev() {
            match before {
                Before::Nothing(pool) => {
                    open.remove(&pool);
                    supervised.end().await;
                }
                Before::Ran(program) => {
                    let pool = program.pool.clone();
                    if let Err(outage) = supervised.replace((*program).clone()).await {
                        tracing::error!(%pool, reason = %outage, "the provisioner of before does not come up again");
                    }
                    if let (Some(known), Ok(file)) = (open.get_mut(&pool), edition(&program.command)) {
                        (known.program, known.file) = (*program, file);
                    }
                }
            }
        }
    }
}

/// A program by its path, or by its name beside this one or where packages put it.
fn find(command: &str) -> Result<PathBuf, ProgramError> {
    if command.contains('/') {
        return Ok(command.into());
    }
    let beside = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("squallctld"));
    let folders = beside.parent().into_iter().chain(INSTALLED.iter().map(Path::new));
    let found = folders.map(|folder| folder.join(command)).find(|path| path.is_file());
    found.ok_or_else(|| ProgramError::Missing { program: command.to_owned(), beside })
}

fn edition(program: &Path) -> std::io::Result<Edition> {
    let file = std::fs::metadata(program)?;
    Ok(Edition {
        device: file.dev(),
        inode: file.ino(),
        bytes: file.size(),
        changed_at: (file.mtime(), file.mtime_nsec()),
    })
}
