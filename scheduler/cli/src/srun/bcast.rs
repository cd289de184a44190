//! `srun --bcast`: the program is copied to the nodes of the step, and executed there from where it was put.

use super::request::Step;
use crate::failure::{Advice, Failure};
use crate::invocation::Invocation;
use crate::options::Given;
use crate::sbcast::{self, Manner};
use crate::terminal::{escaped, plain};
use nix::errno::Errno;
use squall_types::api::StepGrant;
use squall_types::visit::FileBegin;
use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

/// Copies the step's program where that was asked for, and lets the step execute the copy.
///
/// # Errors
/// A program that cannot be read, or a node that has not got it: then nothing runs anywhere.
pub fn carry(invocation: &Invocation<'_>, given: &Given, step: &mut Step, grant: &StepGrant) -> Result<(), Failure> {
    if !given.has("bcast") {
        return Ok(());
    }
    let (source, about) = program(invocation, &step.start.command[0])?;
    let job = grant.run.job;
    let asked = given.text("bcast").unwrap_or_default();
    let unnamed = asked.is_empty() || asked.ends_with('/');
    let name = if unnamed { format!("{asked}slurm_bcast_{job}.{}", grant.step) } else { asked.to_owned() };
    let path = PathBuf::from(&step.start.work_dir).join(name).to_string_lossy().into_owned();
    let what = format!("Failed to broadcast '{}'", escaped(&step.start.command[0]));
    let visit = invocation.controller.visit(job).map_err(|error| Failure::call("srun", &what, &error))?;
    let begin = FileBegin {
        credential: visit.credential.clone(),
        path: path.clone(),
        mode: about.mode() & 0o777,
        size: about.size(),
        force: true,
        accessed_at: None,
        modified_at: None,
    };
    let stored = sbcast::broadcast(&source, &begin, &visit, &grant.nodes, Manner::default())?;
    if let Some((node, _, text)) = sbcast::failed(&grant.nodes, stored).into_iter().next() {
        return Err(Failure::error("srun", format_args!("{what}: node {}: {}", node.name, escaped(&text))));
    }
    step.start.command[0] = path;
    Ok(())
}

/// The file that a shell here would execute.
fn program(invocation: &Invocation<'_>, name: &str) -> Result<(PathBuf, Metadata), Failure> {
    let path = invocation.environment.get("PATH").unwrap_or("/usr/bin:/bin");
    let places: Vec<PathBuf> = match name.contains('/') {
        true => vec![invocation.directory.join(name)],
        false => path.split(':').map(|folder| invocation.directory.join(folder).join(name)).collect(),
    };
    let mut last = std::io::Error::from(Errno::ENOENT);
    for place in places {
        match place.metadata() {
            Ok(about) if about.is_file() && about.permissions().mode() & 0o111 != 0 => return Ok((place, about)),
            Ok(_) => last = Errno::EACCES.into(),
            Err(_) => {}
        }
    }
    let first = format!("Can't open '{}': {}", escaped(name), plain(&last));
    Err(Failure::error("srun", first).advising(Advice {
        asked: "--bcast".to_owned(),
        limit: "the program that is copied is the one on this machine".to_owned(),
        try_this: "without --bcast, for a program that the nodes have".to_owned(),
        ..Advice::default()
    }))
}
