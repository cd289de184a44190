//! `squeue --json` and `--yaml`.

use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::show::json::{Notation, write_jobs};
use squall_types::api::{JobDetail, JobFilter};

pub fn print(invocation: &mut Invocation<'_>, notation: Notation, filter: Option<&JobFilter>) -> Result<i32, Failure> {
    let mut jobs: Vec<JobDetail> = Vec::new();
    super::each(invocation, filter, |controller, filter, show| controller.each_details(filter, show), &mut |page| {
        jobs.extend(page);
    })?;
    write_jobs(invocation, notation, &jobs)
}
