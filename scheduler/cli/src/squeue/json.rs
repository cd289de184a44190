//! `squeue --json` and `--yaml`.

use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::show::json::{Notation, write_jobs};
use squall_types::api::{JobDetail, JobFilter};

pub fn print(invocation: &mut Invocation<'_>, notation: Notation, filter: Option<&JobFilter>) -> Result<i32, Failure> {
    let mut jobs: Vec<JobDetail> = Vec::new();
    if let Some(filter) = filter {
        let told = invocation.controller.each_details(filter, &mut |page| jobs.extend(page));
        told.map_err(|error| Failure::load("slurm_load_jobs", &error))?;
        super::one_has_to_be_known(invocation, filter, jobs.is_empty())?;
    }
    write_jobs(invocation, notation, &jobs)
}
