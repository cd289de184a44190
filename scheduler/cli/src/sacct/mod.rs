//! `sacct`: what jobs did and cost, also long after they ended.

use crate::controller::Controller;
use squall_proto::ClientError;
use squall_types::api::{AccountedJob, AccountingQuery};

/// All pages of an answer.
///
/// # Errors
/// Those of the controller.
pub fn every_page(controller: &dyn Controller, mut query: AccountingQuery) -> Result<Vec<AccountedJob>, ClientError> {
    let mut jobs = Vec::new();
    loop {
        let page = controller.accounting(&query)?;
        jobs.extend(page.jobs);
        // A page that leads to itself would never end.
        if page.next.is_empty() || page.next == query.after {
            return Ok(jobs);
        }
        query.after = page.next;
    }
}
