//! `sdiag`: what the controller has to do, in Slurm's layout where Slurm has a line for it.

use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::options::{Given, Parsed};
use crate::show::json::{self, Answer, Surroundings};
use crate::show::moments::Moments;
use crate::terminal::escaped;

const RULE: &str = "*******************************************************";

/// # Errors
/// The controller's silence.
pub fn run(invocation: &mut Invocation<'_>, parsed: Parsed) -> Result<i32, Failure> {
    let given = Given::on_command_line(invocation.command, &parsed);
    given.refuse_what_cannot_be_kept()?;
    let summary = invocation.controller.summary().map_err(|error| Failure::load("slurm_get_statistics", &error))?;
    if let Some(notation) = json::asked(&given, invocation.command)? {
        let surroundings = Surroundings::of(invocation, notation.shape);
        return Answer::of("statistics", &summary, &surroundings).write(invocation, notation);
    }
    let moments = Moments::of(invocation);
    let at = |at: squall_types::Timestamp| format!("{} ({})", moments.headline_at(at), at.as_secs());
    let rows = [
        ("Jobs pending:", summary.jobs_pending),
        ("Jobs configuring:", summary.jobs_configuring),
        ("Jobs running:", summary.jobs_running),
        ("Jobs suspended:", summary.jobs_suspended),
        ("Jobs completing:", summary.jobs_completing),
        ("Jobs ended:", summary.jobs_ended),
        ("Nodes ordered:", summary.nodes_ordered),
        ("Nodes booting:", summary.nodes_booting),
        ("Nodes ready:", summary.nodes_ready),
        ("Nodes draining:", summary.nodes_draining),
        ("Nodes retiring:", summary.nodes_retiring),
        ("Nodes gone:", summary.nodes_gone),
        ("Orders open:", summary.orders_open),
        ("Journal records:", summary.seq),
        ("Controller starts:", summary.epoch),
    ];
    let mut text =
        format!("{RULE}\nsdiag output at {}\nData since      {}\n{RULE}\n", at(summary.now), at(summary.started_at));
    for (label, count) in rows {
        text.push_str(&format!("{label:<20} {count}\n"));
    }
    text.push_str(&format!("{:<20} {}\n{:<20} {}\n", "Spent:", summary.spent, "Reserved:", summary.reserved));
    if !summary.alarm.is_empty() {
        text.push_str(&format!("{:<20} {}\n", "Alarm:", escaped(&summary.alarm)));
    }
    invocation.out.write_all(text.as_bytes())?;
    Ok(0)
}
