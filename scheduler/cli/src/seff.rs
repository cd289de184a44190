//! `seff`: how much of what a job was given it used.

use crate::failure::{Advice, Failure};
use crate::invocation::Invocation;
use crate::options::Parsed;
use crate::sacct::every_page;
use crate::select;
use crate::terminal::escaped;
use squall_types::api::{AccountedJob, AccountingQuery, ArrayView, JobState};
use squall_types::{Span, span_text};
use std::fmt::Write;

/// # Errors
/// No job of this number, or the controller's silence.
pub fn run(invocation: &mut Invocation<'_>, parsed: Parsed) -> Result<i32, Failure> {
    let [id] = parsed.rest.as_slice() else { return Err(Failure::plain("Usage: seff [Options] <Jobid>")) };
    let named = select::job(id).filter(|named| named.step.is_none());
    let named = named.ok_or_else(|| Failure::plain(format!("Invalid job id: {}", escaped(id))))?;
    let query = AccountingQuery { jobs: vec![named.job], with_steps: true, ..AccountingQuery::default() };
    let jobs = every_page(invocation.controller, query)
        .map_err(|error| Failure::call("seff", "Problem talking to the database", &error))?;
    if jobs.is_empty() {
        return Err(Failure::plain("Job not found.").advising(Advice {
            asked: format!("job {id}"),
            try_this: "sacct -j, with the number that sbatch printed".to_owned(),
            ..Advice::default()
        }));
    }
    let cluster = invocation.controller.ping().map(|reply| reply.cluster).unwrap_or_default();
    for job in &jobs {
        let text = efficiency(job, &cluster, invocation.now());
        invocation.out.write_all(text.as_bytes())?;
    }
    Ok(0)
}

fn efficiency(job: &AccountedJob, cluster: &str, now: squall_types::Timestamp) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{label}: {value}");
    };
    line("Job ID", job.job.to_string());
    if let Some(ArrayView::Element { array, index }) = &job.array {
        line("Array Job ID", format!("{array}_{index}"));
    }
    line("Cluster", cluster.to_owned());
    line("User/Group", format!("{}/{}", escaped(&job.user), select::group_name(job.gid)));
    let over = matches!(job.state, JobState::Ended(_));
    line(
        "State",
        match over {
            true => format!("{} (exit code {})", job.state.word(), job.exit.code),
            false => job.state.word().to_owned(),
        },
    );
    let (cpus, nodes) = (job.cpus.max(1), job.node_count.max(1));
    match nodes {
        1 => line("Cores", cpus.to_string()),
        _ => {
            line("Nodes", nodes.to_string());
            line("Cores per node", cpus.div_ceil(nodes).to_string());
        }
    }
    let wall = job.elapsed(now);
    let core_wall = wall.times(i64::from(cpus));
    let cpu = job.steps.iter().map(|step| step.usage.user_cpu + step.usage.system_cpu);
    let cpu = cpu.fold(Span::ZERO, |sum, span| sum + span);
    line("CPU Utilized", span_text::clock(cpu));
    let percent = |part: f64, whole: f64| if whole > 0.0 { part / whole * 100.0 } else { 0.0 };
    let efficiency = percent(cpu.as_millis() as f64, core_wall.as_millis() as f64);
    line("CPU Efficiency", format!("{efficiency:.2}% of {} core-walltime", span_text::clock(core_wall)));
    line("Job Wall-clock time", span_text::clock(wall));
    let used_kib = job.steps.iter().map(|step| step.usage.max_rss_kib).max().unwrap_or(0);
    let given_mib = job.memory_mib;
    line("Memory Utilized", bytes(used_kib as f64));
    let efficiency = percent(used_kib as f64, given_mib as f64 * 1024.0);
    line("Memory Efficiency", format!("{efficiency:.2}% of {}", bytes(given_mib as f64 * 1024.0)));
    if job.gpus > 0 {
        line("GPUs", job.gpus.to_string());
    }
    line("Cost", job.cost.to_string());
    if !over {
        text.push_str("WARNING: Efficiency statistics may be misleading for RUNNING jobs.\n");
    }
    text
}

/// An amount in KiB in the unit that reads best.
fn bytes(kib: f64) -> String {
    const UNITS: [&str; 5] = ["KB", "MB", "GB", "TB", "PB"];
    let (mut amount, mut unit) = (kib, 0);
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    format!("{amount:.2} {}", UNITS[unit])
}
