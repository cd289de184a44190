//! The way to the nodes of what runs, as `sattach`, `sbcast` and `sstat` take it.

use crate::invocation::Invocation;
use crate::sacct::every_page;
use squall_proto::ClientError;
use squall_proto::connect::Target;
use squall_proto::step_client::StepClient;
use squall_types::api::{AccountedJob, AccountedStep, AccountingQuery, JobRef, JobState, StepNode, VisitGrant};

/// Jobs of this name that run, each with the steps that do.
///
/// # Errors
/// What became of the question.
pub fn running(invocation: &Invocation<'_>, job: &JobRef) -> Result<Vec<AccountedJob>, ClientError> {
    let query = AccountingQuery { jobs: vec![job.clone()], with_steps: true, ..AccountingQuery::default() };
    let mut jobs = every_page(invocation.controller, query)?;
    jobs.retain(|job| !matches!(job.state, JobState::Ended(_)));
    for job in &mut jobs {
        let attempt = job.attempt;
        job.steps.retain(|step| step.ended_at.is_none() && step.attempt == attempt);
    }
    Ok(jobs)
}

/// The nodes of a step, of those that may be visited.
pub fn nodes_of<'a>(grant: &'a VisitGrant, step: &AccountedStep) -> Vec<&'a StepNode> {
    grant.nodes.iter().filter(|node| step.nodes.contains(&node.name)).collect()
}

/// # Errors
/// A node that cannot be reached, or is not who it should be.
pub async fn reach(node: &StepNode, ca_pem: &str) -> Result<StepClient, ClientError> {
    let target = Target::node(&node.address, &node.name, ca_pem);
    StepClient::connect(&target.map_err(|error| ClientError::Other(error.to_string()))?).await
}
