//! Everything that can be done before a run begins, and everything that can go wrong before it does.

use super::files::{self, executes};
use super::{Hands, Ready};
use crate::cell::{Cell, Limits, MARKER};
use crate::clock;
use crate::launch::{Identity, IdentityError};
use crate::ledger::{Owner, make_dir};
use crate::shim::ShimPlan;
use crate::shim::records::{Prepared, Word};
use minicbor::bytes::ByteVec;
use squall_types::agent::{AssignedPhase, Assignment};
use squall_types::ids::Run;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name under which a script sees itself, as in Slurm.
const SCRIPT: &str = "slurm_script";

/// What the run comes with.
pub(super) struct Contents {
    /// Where it is executed here.
    script: Option<Arc<Vec<u8>>>,
    environment: Arc<Vec<u8>>,
}

impl Contents {
    /// What is on this node already, which is most of it: the elements of an array share theirs. `None` where a part is not.
    fn at_hand(hands: &Hands, assignment: &Assignment) -> Option<Contents> {
        let spec = &assignment.detail.spec;
        let script = match spec.script.filter(|_| executes(assignment)) {
            Some(digest) => Some(hands.blobs.at_hand(digest)?),
            None => None,
        };
        let environment = match spec.environment {
            Some(digest) => hands.blobs.at_hand(digest)?,
            None => Arc::default(),
        };
        Some(Contents { script, environment })
    }

    /// Asks for what is not.
    ///
    /// # Errors
    /// In words, where asking again would not help.
    async fn fetch(hands: &Hands, assignment: &Assignment) -> Result<Contents, String> {
        let (spec, run) = (&assignment.detail.spec, assignment.run);
        let script = match spec.script.filter(|_| executes(assignment)) {
            Some(digest) => Some(hands.blobs.fetch(digest, run).await?),
            None => None,
        };
        let environment = match spec.environment {
            Some(digest) => hands.blobs.fetch(digest, run).await?,
            None => Arc::default(),
        };
        Ok(Contents { script, environment })
    }
}

/// As whom the run is executed.
///
/// # Errors
/// In words for the person whose job it is.
pub(super) async fn identify(assignment: &Assignment) -> Result<Identity, String> {
    let (uid, gid) = (assignment.detail.spec.uid.0, assignment.detail.spec.gid.0);
    if let Some(known) = Identity::known(uid, gid) {
        return Ok(known);
    }
    let asked = move || {
        let identity = Identity::of(uid, gid)?;
        // Whoever is asked for the one may be far away, and will be asked for the other.
        let _ = identity.group_name();
        Ok::<_, IdentityError>(identity)
    };
    let asked = tokio::task::spawn_blocking(asked).await.map_err(|error| error.to_string())?;
    asked.map_err(|error| error.to_string())
}

/// What is needed for it, and is here already.
pub(super) fn at_hand(hands: &Hands, assignment: &Assignment) -> Option<(Identity, Contents)> {
    let spec = &assignment.detail.spec;
    Some((Identity::known(spec.uid.0, spec.gid.0)?, Contents::at_hand(hands, assignment)?))
}

/// The same, found out and asked for.
///
/// # Errors
/// In words for the person whose job it is.
pub(super) async fn gather(hands: &Hands, assignment: &Assignment) -> Result<(Identity, Contents), String> {
    let identity = identify(assignment).await?;
    files::of_batch(assignment, &hands.node).map_err(|error| error.to_string())?;
    Ok((identity, Contents::fetch(hands, assignment).await?))
}

/// Makes folder, script and cell of a run. Asked again, it makes them again. What it has found out comes back where the
/// script is executed here.
///
/// # Errors
/// In words for the person whose job it is.
pub(super) fn make(
    hands: &Hands,
    assignment: &Assignment,
    identity: Identity,
    contents: Contents,
) -> Result<Option<Ready>, String> {
    make_all(hands, assignment, identity, contents)
        .map_err(|error| format!("the node could not prepare the job: {error}"))
}

fn make_all(
    hands: &Hands,
    assignment: &Assignment,
    identity: Identity,
    contents: Contents,
) -> io::Result<Option<Ready>> {
    let (run, allocation, waits) = (assignment.run, &assignment.allocation, !executes(assignment));
    let Contents { script, environment } = contents;
    let at_once = !waits && matches!(assignment.phase, AssignedPhase::Run { .. });
    let given = at_once && give_folder(hands, run, &identity);
    if !given {
        make_dir(&hands.places.run(run), 0o711)?;
    }
    let limits = Limits { memory_mib: allocation.memory_mib, cpus: allocation.cpus };
    let cell = cell(hands, run, limits)?;
    if let Some(script) = script {
        write_script(&script_path(hands, run), &script, &identity)?;
    }
    let folder = hands.folder(run);
    if !given {
        // Whoever asks for preparations knows that nothing was executed.
        folder.begin_anew_if_damaged()?;
    }
    if at_once {
        // An agent that ends before it has let the script loose leaves that to the next one, which prepares anew.
        return Ok(Some(Ready { cell, identity, environment }));
    }
    let mut course = folder.course()?;
    if waits {
        // All that there is to say to a shim that executes nothing; and steps find the cell.
        let (cell, cpus) = (cell.clone(), hands.bind(run, allocation.cpus));
        course.say(&Word::Plan(Box::new(ShimPlan { cell, task: None, cpus })))?;
    }
    // The last, since it says that all the rest is there.
    let (boot_id, submitted) = (clock::boot_id(), ByteVec::from(environment.to_vec()));
    course.say(&Word::Prepared(Prepared { boot_id, environment: submitted }))?;
    Ok((!waits).then_some(Ready { cell, identity, environment }))
}

/// Whether all that the run needs is set up.
pub(super) fn is_prepared(hands: &Hands, run: Run) -> bool {
    hands.folder(run).record().prepared().is_some_and(|prepared| prepared.boot_id == clock::boot_id())
}

pub(super) fn cell(hands: &Hands, run: Run, limits: Limits) -> io::Result<Cell> {
    hands.ground.cell(&run.to_string(), &cell_marker(hands, run), &hands.places.run(run), limits)
}

/// The cell as it is made here; nothing is made.
pub(super) fn cell_named(hands: &Hands, run: Run) -> Cell {
    hands.ground.named(&run.to_string(), &cell_marker(hands, run), &hands.places.run(run))
}

/// What everything of the run bears in its environment.
pub(super) fn cell_marker(hands: &Hands, run: Run) -> String {
    format!("{MARKER}={}/{run}", hands.mark)
}

pub(super) fn script_path(hands: &Hands, run: Run) -> PathBuf {
    hands.places.run(run).join(SCRIPT)
}

/// Gives the run the folder of one of the same user that is over: making a folder and its files is a good part of what a
/// short job costs. `false` where there is none.
fn give_folder(hands: &Hands, run: Run, identity: &Identity) -> bool {
    let Some(over) = hands.leftovers.take(Owner { uid: identity.uid, gid: identity.gid }) else { return false };
    let given = hands.places.pass_on(over, run);
    if let Err(error) = &given {
        tracing::debug!(job = %over.job, attempt = %over.attempt, %error, "its folder cannot be another job's");
        let _ = hands.places.clear(over);
    }
    given.is_ok()
}

/// Writes the script into a folder in which nobody else can make anything, for the user alone to read and execute.
fn write_script(path: &Path, script: &[u8], identity: &Identity) -> io::Result<()> {
    if let Some(mut file) = script_of(path, identity) {
        // Written and then cut off, not the other way round: what is emptied first, ext4 sends to the disk at once.
        file.write_all(script)?;
        return file.set_len(script.len() as u64);
    }
    let mut new = OpenOptions::new();
    new.write(true).create_new(true).mode(0o700).custom_flags(libc::O_NOFOLLOW);
    let mut file = match new.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            new.open(path)?
        }
        opened => opened?,
    };
    file.write_all(script)?;
    // By descriptor, and of a file that nobody else could reach yet: no path is ever given away.
    if identity.switch {
        std::os::unix::fs::fchown(&file, Some(identity.uid), Some(identity.gid))?;
    }
    // The umask may have taken the user's bits.
    file.set_permissions(PermissionsExt::from_mode(0o700))
}

/// A script that is there, if it is the user's as it was made, and has no other name under which the user may have kept it.
fn script_of(path: &Path, identity: &Identity) -> Option<File> {
    let file = OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path).ok()?;
    let is = file.metadata().ok()?;
    let owned = (is.uid(), is.gid()) == (identity.uid, identity.gid);
    (owned && is.is_file() && is.nlink() == 1 && is.mode() & 0o7777 == 0o700).then_some(file)
}
