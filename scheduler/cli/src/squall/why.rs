//! `squall why JOB`: every blocker, with numbers, and what would start the job now.

use super::wrong_call;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::select;
use crate::show::moments::Moments;
use crate::terminal::escaped;
use squall_types::api::Explanation;
use squall_types::{Span, hostlist};

/// How wide the words for reasons are.
const REASON_WIDTH: usize = 16;

pub fn run(invocation: &mut Invocation<'_>, words: &[String]) -> Result<i32, Failure> {
    let [id] = words else { return Err(wrong_call("why")) };
    let invalid = || Failure::error("squall", format_args!("Invalid job id: {}", escaped(id)));
    let named = select::job(id).ok_or_else(invalid)?;
    let told = invocation.controller.why(&named.job).map_err(|error| Failure::load("slurm_load_jobs", &error))?;
    let moments = Moments::of(invocation);
    invocation.out.write_all(told_of(&told, &moments).as_bytes())?;
    Ok(0)
}

fn told_of(told: &Explanation, moments: &Moments) -> String {
    let mut text = format!("{} {}", escaped(&told.state), about(told.waiting));
    if let Some(estimate) = &told.estimate {
        let start = estimate.start_at.map_or_else(|| "unknown".to_owned(), |at| moments.soon(at));
        text.push_str(&format!("  est. start {start}"));
        let names: Vec<&str> = estimate.nodes.iter().map(|node| node.as_str()).collect();
        if !names.is_empty() {
            text.push_str(&format!(" on {}", hostlist::compress(&names)));
        }
        if !estimate.purchase.is_empty() {
            text.push_str(&format!(", buying {} ({})", escaped(&estimate.purchase), estimate.hourly));
        }
    }
    text.push('\n');
    for (at, blocker) in told.blockers.iter().enumerate() {
        let until = blocker.until.map(|until| format!("  until {}", moments.soon(until))).unwrap_or_default();
        let reason = blocker.reason.word();
        text.push_str(&format!("{:>2} {reason:<REASON_WIDTH$} {}{until}\n", at + 1, escaped(&blocker.text)));
    }
    for line in &told.progress {
        text.push_str(&format!("   {}\n", escaped(line)));
    }
    if !told.would_start_with.is_empty() {
        let changes: Vec<_> = told.would_start_with.iter().map(|change| escaped(change)).collect();
        text.push_str(&format!(" would start now with: {}\n", changes.join("      or  ")));
    }
    if told.blockers.is_empty() && told.progress.is_empty() && told.estimate.is_none() {
        text.push_str(" nothing stands in its way\n");
    }
    text
}

/// `12m`, `2h05m`, `3d4h`: as exact as anybody wants to know.
fn about(span: Span) -> String {
    let seconds = span.as_secs().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, minutes) => format!("{hours}h{minutes:02}m"),
        (days, hours, _) => format!("{days}d{hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_told_as_exactly_as_anybody_wants_to_know() {
        let told: Vec<String> = [5, 720, 7500, 273_600].map(|seconds| about(Span::from_secs(seconds))).into();
        assert_eq!(told, ["5s", "12m", "2h05m", "3d4h"]);
        assert_eq!(about(Span(-5)), "0s");
    }
}
