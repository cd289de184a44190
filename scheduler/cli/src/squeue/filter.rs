//! Which jobs are asked for.

use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::options::Given;
use crate::request::names_of_nodes;
use crate::select;
use crate::terminal::escaped;
use squall_types::api::JobFilter;
use squall_types::{AccountName, NodeName, PartitionName, QosName};

/// The conditions; `None` where no job can meet them.
///
/// # Errors
/// A condition that means nothing.
pub fn of(invocation: &mut Invocation<'_>, given: &Given) -> Result<Option<JobFilter>, Failure> {
    let mut filter = JobFilter::default();
    let texts = |long: &str| given.text(long).map(|text| select::names(text).map(str::to_owned).collect::<Vec<_>>());
    if let Some(text) = given.text("job") {
        for id in select::split_ids(text) {
            // A step names its job.
            let named = select::job(id).ok_or_else(|| invalid_id(id))?;
            filter.jobs.push(named.job);
        }
        if filter.jobs.is_empty() {
            return Ok(None);
        }
    }
    if let Some(text) = given.text("states") {
        let states = select::states(text).map_err(|word| select::invalid_state("squeue", &word))?;
        if states.none {
            return Ok(None);
        }
        (filter.states, filter.all_states) = (states.some, states.all);
    }
    if given.has("start") && given.text("states").is_none() {
        filter.states = vec![squall_types::api::JobState::Pending];
    }
    if !users(invocation, given, &mut filter)? || given.has("reservation") {
        return Ok(None);
    }
    filter.names = texts("name").unwrap_or_default();
    filter.accounts = texts("account").unwrap_or_default().into_iter().map(AccountName).collect();
    filter.partitions = texts("partition").unwrap_or_default().into_iter().map(PartitionName).collect();
    filter.qos = texts("qos").unwrap_or_default().into_iter().map(QosName).collect();
    if let Some(text) = given.text("nodelist") {
        let names = names_of_nodes("squeue", "nodelist", text)?;
        filter.nodes = names.into_iter().map(NodeName).collect();
    }
    Ok(Some(filter))
}

pub fn invalid_id(id: &str) -> Failure {
    Failure::error("squeue", format_args!("Invalid job id: {}", escaped(id)))
}

/// Whether any of the users that were named is one.
fn users(invocation: &mut Invocation<'_>, given: &Given, filter: &mut JobFilter) -> Result<bool, Failure> {
    if given.has("me") {
        filter.users = vec![invocation.caller.uid];
        return Ok(true);
    }
    let Some(text) = given.text("user").filter(|text| !text.is_empty()) else { return Ok(true) };
    for name in select::names(text) {
        match select::user(name) {
            Some(uid) => filter.users.push(uid),
            None => writeln!(invocation.err, "squeue: error: Invalid user: {}", escaped(name))?,
        }
    }
    Ok(!filter.users.is_empty())
}
