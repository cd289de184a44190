//! `scontrol show hostnames` and `show hostlist`, which ask nobody.

use crate::failure::{Advice, Failure};
use crate::invocation::Invocation;
use crate::request::names_of_nodes;
use squall_types::hostlist;

/// One name a line; without a list, those of the job in which this runs.
pub fn names(invocation: &mut Invocation<'_>, list: Option<&str>) -> Result<i32, Failure> {
    let environment = &invocation.environment;
    let of_job = || environment.filled("SLURM_JOB_NODELIST").or_else(|| environment.filled("SLURM_NODELIST"));
    let Some(list) = list.or_else(of_job) else {
        // Slurm's exit code for this is 0, too.
        writeln!(invocation.err, "scontrol: error: host list is empty")?;
        return Ok(0);
    };
    let mut text = String::new();
    for name in names_of_nodes("scontrol", "", list)? {
        text.push_str(&name);
        text.push('\n');
    }
    invocation.out.write_all(text.as_bytes())?;
    Ok(0)
}

/// Names put together; `sorted` also puts them in order, each once.
pub fn list(invocation: &mut Invocation<'_>, list: Option<&str>, sorted: bool) -> Result<i32, Failure> {
    let Some(list) = list else {
        return Err(Failure::plain("invalid encode argument")
            .advising(Advice { try_this: "scontrol show hostlist n1,n2,n3".to_owned(), ..Advice::default() }));
    };
    let text = match list.starts_with('/') {
        true => std::fs::read_to_string(list)
            .map_err(|error| Failure::error("scontrol", format_args!("{list}: {}", crate::terminal::plain(&error))))?,
        false => list.to_owned(),
    };
    let names = names_of_nodes("scontrol", "", &text)?;
    let folded = if sorted { hostlist::compress_sorted(&names) } else { hostlist::compress(&names) };
    writeln!(invocation.out, "{folded}")?;
    Ok(0)
}
