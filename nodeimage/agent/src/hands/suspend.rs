//! Which runs are frozen. Orders come one after another and are carried out on threads: each thread does what is wanted by
//! then, so that the last order holds, whichever thread comes last.

use super::{Hands, ending, lock};
use squall_types::ids::Run;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

#[derive(Default)]
pub(super) struct Suspended {
    wanted: Mutex<BTreeSet<Run>>,
    /// Held by whoever freezes or thaws.
    working: Mutex<()>,
}

pub(super) fn bring(hands: &Arc<Hands>, run: Run, frozen: bool) {
    want(hands, run, frozen);
    let hands = hands.clone();
    tokio::task::spawn_blocking(move || apply(&hands, run));
}

/// What is to be ended hears signals again, and stays so.
pub(super) fn let_go(hands: &Hands, run: Run) {
    if want(hands, run, false) {
        apply(hands, run);
    }
}

/// Whether that is news.
fn want(hands: &Hands, run: Run, frozen: bool) -> bool {
    let mut wanted = lock(&hands.suspended.wanted);
    if frozen { wanted.insert(run) } else { wanted.remove(&run) }
}

fn apply(hands: &Hands, run: Run) {
    let _working = lock(&hands.suspended.working);
    let frozen = lock(&hands.suspended.wanted).contains(&run);
    let cell = ending::whole(hands, run);
    if frozen { cell.freeze() } else { cell.thaw() }
}
