//! A replay on a cluster of its own: an elastic pool of declared nodes that starts and ends empty.

use super::report::Report;
use super::{Plan, Played, environment, play};
use crate::books::{self, Books};
use crate::invocation::Invocation;
use crate::personal::config::{self, Machine, Pace};
use crate::personal::controller::{self, own_program};
use crate::personal::remains::{self, Search};
use crate::personal::{Place, empty, listed, runtime};
use squall_proto::client::Client;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// For what is left of an interrupted replay.
const END_PATIENCE: Duration = Duration::from_secs(30);
/// For processes to be gone after the controller has ended.
const GONE_PATIENCE: Duration = Duration::from_secs(10);

/// Plays it on a fresh cluster, which is gone afterwards.
///
/// # Errors
/// In words.
pub fn on_own_cluster(
    invocation: &mut Invocation<'_>,
    mut plan: Plan,
    nodes: u32,
    gpus: u32,
    keep: bool,
) -> Result<(Plan, Report), String> {
    let dir = std::env::temp_dir().join(format!("squall-replay-{}", plan.setting.run));
    let place = Place::make(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let work = place.dir().join("work");
    prepare(&place, &work, nodes, gpus)?;
    plan.setting.work_dir = work.to_string_lossy().into_owned();
    plan.setting.environment = environment(invocation, Some(&place.bin()));
    let began = Instant::now();
    let runtime = runtime().map_err(|error| error.to_string())?;
    let mut child = controller::start(&place).map_err(|error| error.to_string())?;
    let played = runtime.block_on(async {
        let (client, _) = controller::wait_ready(&place, &mut child).await.map_err(|error| error.to_string())?;
        let played = play_and_close(&client, &plan, invocation).await;
        if played.is_err() {
            empty(&client, END_PATIENCE).await;
        }
        played
    });
    controller::stop(&place);
    let _ = child.wait();
    let left = remains::wait_for_none(&place, Search::AnyTrace, GONE_PATIENCE);
    let kept = || format!("logs and journal are kept in {}", place.dir().display());
    let (played, books) = played.map_err(|why| format!("{why}; {}", kept()))?;
    let mut report = played.report(&plan, began).with_books(&books, true);
    report.faults.extend(listed(&left).into_iter().map(|line| format!("left: {line}")));
    if keep || !report.held() {
        let _ = writeln!(invocation.err, "{}", kept());
    } else {
        fs::remove_dir_all(place.dir()).map_err(|error| format!("{}: {error}", place.dir().display()))?;
    }
    Ok((plan, report))
}

fn prepare(place: &Place, work: &Path, nodes: u32, gpus: u32) -> Result<(), String> {
    let pace = Pace { max_nodes: nodes, ..Pace::REPLAY };
    config::write(place, "replay", &pace, &Machine::new(&pace, Some(gpus))).map_err(|error| error.to_string())?;
    let program = own_program().map_err(|error| error.to_string())?;
    place.link_commands(&program).map_err(|error| error.to_string())?;
    fs::create_dir(work).map_err(|error| format!("{}: {error}", work.display()))
}

/// Plays, and reads the books of a cluster that did nothing else.
async fn play_and_close(
    client: &Client,
    plan: &Plan,
    invocation: &mut Invocation<'_>,
) -> Result<(Played, Books), String> {
    let played = play(client, plan, true, invocation.err).await?;
    let rows = books::ledger(client).await.map_err(|error| error.to_string())?;
    let books = Books::close(&rows, &played.receipts, &played.summary);
    Ok((played, books))
}
