//! Events, inputs and answers as one short line each of the trace.

use squall_core::{Event, What};
use squall_engine::Input;
use squall_types::Allocation;
use squall_types::agent::AgentReport;

/// The longest that a part of a line may be.
const MAX_TEXT: usize = 300;

pub fn event(event: &Event) -> String {
    match &event.what {
        What::ConfigApplied { config } => {
            let pools =
                config.pools.iter().map(|(name, pool)| format!("{name} {}..{}", pool.min_nodes, pool.max_nodes));
            format!("ConfigApplied {{ pools: {:?} }}", pools.collect::<Vec<_>>())
        }
        What::JobSubmitted { job, spec, terms, eligible_at, .. } => {
            let array = spec.array.as_ref().map(ToString::to_string);
            format!(
                "JobSubmitted {job} = {} {:?} array {array:?} after {}{:?} {terms:?} eligible {:?} limit {:?} {:?}",
                spec.comment,
                spec.name,
                if spec.dependency.any { "any of " } else { "" },
                spec.dependency.terms,
                eligible_at.map(|at| at.0),
                spec.time_limit,
                spec.ask
            )
        }
        What::JobUpdated { job, spec, terms, eligible_at, time_limit } => format!(
            "JobUpdated {job} after {:?} {terms:?} eligible {eligible_at:?} limit {:?}, now {time_limit:?}, array {:?}",
            spec.dependency.terms,
            spec.time_limit,
            spec.array.as_ref().and_then(|array| array.limit)
        ),
        What::JobClaimed { job, allocations, .. } => format!("JobClaimed {job} {}", grants(allocations)),
        What::JobBound { run, allocations, time_limit, .. } => {
            format!("JobBound {run} {} for {} s", grants(allocations), time_limit.as_secs())
        }
        What::NodeRegistered { node, measured, .. } => {
            format!("NodeRegistered {node} {} {:?}", measured.hostname, measured.shape.resources())
        }
        What::OrderPlaced { request, nodes, for_job, reserved_each, budgets, .. } => format!(
            "OrderPlaced {} {} nodes {nodes:?} {:?} for {for_job:?} gang {} reserves {reserved_each} each of {budgets:?}",
            request.order, request.offer.name, request.names, request.gang
        ),
        What::OffersSeen { pool, offers } => format!("OffersSeen {pool} {}", offers.len()),
        other => short(format!("{other:?}")),
    }
}

fn grants(allocations: &[Allocation]) -> String {
    let each = allocations.iter().map(|held| {
        format!("node {} {}c {}M gpus {:?} tasks {}", held.node, held.cpus, held.memory_mib, held.gpus, held.tasks)
    });
    format!("[{}]", each.collect::<Vec<_>>().join(", "))
}

pub fn input(input: &Input) -> String {
    match input {
        Input::AgentSaid { session, report: AgentReport::Hello { epoch, generation, attempts, .. } } => {
            short(format!("AgentSaid {} Hello epoch {epoch} generation {generation} {attempts:?}", session.0))
        }
        other => short(format!("{other:?}")),
    }
}

pub fn short(mut text: String) -> String {
    if let Some((at, _)) = text.char_indices().nth(MAX_TEXT) {
        text.truncate(at);
    }
    text
}
