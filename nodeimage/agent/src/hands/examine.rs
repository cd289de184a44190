//! What became of a run that may have been executed.

use super::{Hands, ending, prepare};
use crate::cell::Process;
use crate::clock;
use crate::duty::{Found, Remains};
use crate::shim::records::{self, Claim, CourseRecord, Folder};
use squall_types::ids::Run;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks at a shim that has claimed its launch and not yet said how that went.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// For a run of an earlier agent: what is found, and if it lives, watched from now on.
pub(super) async fn examine(hands: &Arc<Hands>, run: Run, remains: Remains) -> Found {
    let found = match remains {
        Remains::Damaged => {
            let hands = hands.clone();
            // Nothing says what this run was; what is left of it ends now.
            let _ = tokio::task::spawn_blocking(move || destroy(&hands, run)).await;
            return Found::Lost { detail: "its record on this node was damaged".to_owned() };
        }
        Remains::Accepted => Found::NeverBegan,
        Remains::Launched(launch) => resolve(hands, run, launch).await,
        Remains::BeforeBoot(_) => return before_boot(&hands.folder(run).record()),
    };
    let prepared = found == Found::NeverBegan && prepare::is_prepared(hands, run);
    if prepared || matches!(found, Found::Running(_)) {
        let record = hands.folder(run).record();
        if let Some(plan) = record.plan() {
            hands.bind_again(run, plan.cpus.clone());
        }
        if let Remains::Launched(launch) = remains
            && !prepared
        {
            let shim = record.claim(launch).and_then(|claim| claim.shim);
            tokio::spawn(ending::watch(hands.clone(), run, shim));
        }
    }
    if prepared { Found::Prepared } else { found }
}

/// With the machine its processes are gone, and so may be that they were: only an end is written to stay.
fn before_boot(record: &CourseRecord) -> Found {
    ending::of_record(record)
        .map_or_else(|| Found::Lost { detail: "the node restarted under it".to_owned() }, Found::Ended)
}

/// Claims the launch for nobody. Where that succeeds it never began; where it does not, its shim is asked.
pub(super) async fn resolve(hands: &Arc<Hands>, run: Run, launch: u32) -> Found {
    loop {
        let hands = hands.clone();
        let looked = tokio::task::spawn_blocking(move || look(&hands, run, launch)).await;
        match looked {
            Ok(Some(found)) => return found,
            Ok(None) => tokio::time::sleep(LOOK_AGAIN).await,
            Err(panicked) => return Found::Lost { detail: panicked.to_string() },
        }
    }
}

/// `None` where its shim is only just beginning.
fn look(hands: &Hands, run: Run, launch: u32) -> Option<Found> {
    let folder = &hands.folder(run);
    let boot_id = clock::boot_id();
    match folder.claim(launch, &Claim { shim: None, boot_id: boot_id.clone() }) {
        Ok(true) => return Some(Found::NeverBegan),
        Ok(false) => {}
        Err(error) => {
            destroy(hands, run);
            return Some(Found::Lost { detail: error.to_string() });
        }
    }
    let record = folder.record();
    let claim = record.claim(launch)?;
    let Some(shim) = claim.shim else { return Some(Found::NeverBegan) };
    if claim.boot_id != boot_id {
        return Some(before_boot(&record));
    }
    if !shim.is_alive() {
        return Some(over(hands, folder, run));
    }
    record.started().map(|started| Found::Running(started.began))
}

/// The shim is gone: what it left is cleared away, and what it wrote is the end.
fn over(hands: &Hands, folder: &Folder, run: Run) -> Found {
    ending::clear(hands, run);
    match ending::of_record(&folder.record()) {
        Some(end) => Found::Ended(end),
        None => Found::Lost { detail: ending::SHIM_GONE.to_owned() },
    }
}

/// Ends all that can be found of a run, its shims first.
fn destroy(hands: &Hands, run: Run) {
    // Nobody waits for its shims, which may have a last word to write.
    hands.share(run);
    for shim in records::shims(&hands.places.run(run)) {
        Process::signal(shim, libc::SIGKILL);
    }
    ending::clear(hands, run);
}
