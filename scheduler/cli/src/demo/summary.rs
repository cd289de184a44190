//! The end of the demo, in figures.

use super::verdict::{Check, Evidence};
use crate::books::{Spread, seconds};
use crate::terminal::escaped;
use squall_types::api::JobView;
use squall_types::{NodeName, Span, Timestamp};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// # Errors
/// Output that cannot be written.
pub fn write(out: &mut dyn Write, evidence: &Evidence, checks: &[Check], took: Span, gpus: u32) -> io::Result<()> {
    writeln!(out, "\nwaited             jobs      min     mean      max")?;
    let kinds = [
        ("array elements", evidence.elements().map(|(_, job)| job).collect::<Vec<_>>()),
        ("gang of 2 nodes", evidence.job(evidence.cast.gang).into_iter().collect()),
        ("after the array", evidence.job(evidence.cast.after).into_iter().collect()),
    ];
    for (kind, jobs) in kinds {
        let waits = Spread::of(jobs.iter().filter_map(|job| waited(job)));
        let [min, mean, max] = [waits.min, waits.mean, waits.max].map(seconds);
        writeln!(out, "  {kind:<16} {:>4} {min:>8} {mean:>8} {max:>8}", waits.count)?;
    }
    let books = &evidence.books;
    let first = first_instructions(evidence);
    writeln!(out, "\nfrom order to agent ready         {} (mean of {})", seconds(books.boot.mean), books.boot.count)?;
    writeln!(out, "from order to first instruction   {} (mean of {})", seconds(first.mean), first.count)?;
    let percent = (books.used.0 * 100).checked_div(books.bought.0).unwrap_or(0);
    let (bought, used) = (seconds(books.bought), seconds(books.used));
    writeln!(out, "node time   {bought} bought on {} nodes, {used} of it used by jobs ({percent} %)", books.nodes)?;
    let (ledger, receipts, tail) = (books.ledger, books.receipts, books.idle_tail);
    writeln!(out, "cost        {ledger} at list price = {receipts} on receipts + {tail} idle")?;
    if evidence.real_gpus {
        let devices: std::collections::BTreeSet<&str> =
            evidence.tasks.iter().map(|task| task.device.as_str()).collect();
        writeln!(
            out,
            "GPUs        {gpus} of this machine: {}",
            escaped(&devices.into_iter().collect::<Vec<_>>().join("; "))
        )?;
    } else {
        writeln!(out, "GPUs        {gpus} declared on each node, as are its price and size: no device was touched")?;
    }
    writeln!(out)?;
    for check in checks {
        writeln!(out, "{}  {}", if check.held() { "held  " } else { "FAILED" }, escaped(&check.promise))?;
        for fault in &check.faults {
            writeln!(out, "          {}", escaped(fault))?;
        }
    }
    let failed = checks.iter().filter(|check| !check.held()).count();
    match failed {
        0 => writeln!(out, "\nall of it held, in {}", seconds(took)),
        _ => writeln!(out, "\n{failed} of {} promises did not hold, after {}", checks.len(), seconds(took)),
    }
}

/// From when nothing but capacity was missing.
pub fn waited(job: &JobView) -> Option<Span> {
    Some(job.start_at?.since(job.eligible_at.unwrap_or(job.submitted_at)))
}

/// From a node's order to the first thing that a job did there, by the job's own word.
fn first_instructions(evidence: &Evidence) -> Spread {
    let tasks = evidence.tasks.iter().map(|task| (task.node.as_str(), task.began_ms));
    let ranks = evidence.ranks.iter().map(|rank| (rank.node.as_str(), rank.began_ms));
    let mut first: BTreeMap<&str, i64> = BTreeMap::new();
    for (node, began_ms) in tasks.chain(ranks) {
        let earliest = first.entry(node).or_insert(began_ms);
        *earliest = began_ms.min(*earliest);
    }
    let after_order = |(name, ordered_at): (&NodeName, Timestamp)| {
        first.get(name.as_str()).map(|began_ms| Timestamp(*began_ms).since(ordered_at))
    };
    Spread::of(evidence.ledger.iter().map(|row| (&row.node, row.ordered_at)).filter_map(after_order))
}
