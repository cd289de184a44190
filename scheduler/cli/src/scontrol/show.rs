//! `scontrol show`.

use super::{Manner, config, hosts, job, json, node, partition, topology};
use crate::failure::{Advice, Failure};
use crate::invocation::Invocation;
use crate::terminal::escaped;

/// Every entity, in the order in which a beginning is taken for one.
const ENTITIES: [&str; 22] = [
    "jobs",
    "nodes",
    "partitions",
    "config",
    "hostnames",
    "hostlist",
    "hostlistsorted",
    "steps",
    "reservations",
    "licenses",
    "topology",
    "daemons",
    "aliases",
    "assoc_mgr",
    "bbstat",
    "burstbuffer",
    "dwstat",
    "federation",
    "frontend",
    "slurmd",
    "users",
    "cluster",
];

pub fn run(invocation: &mut Invocation<'_>, manner: Manner, words: &[String]) -> Result<i32, Failure> {
    let Some((word, words)) = words.split_first() else {
        return Err(Failure::plain("too few arguments for keyword:show"));
    };
    // `show job=7`, as well as `show job 7`.
    let (word, attached) = match word.split_once('=') {
        Some((word, value)) => (word, Some(value.to_owned())),
        None => (word.as_str(), None),
    };
    let id = attached.or_else(|| words.first().cloned());
    let id = id.as_deref().filter(|id| !id.is_empty());
    let entity = entity(word);
    match (entity, manner.notation) {
        (Some("jobs" | "nodes" | "partitions" | "steps") | None, _) | (_, None) => {}
        (Some(name @ ("licenses" | "reservations")), Some(notation)) => return json::none(invocation, notation, name),
        (Some(_), Some(_)) => return Err(only_text(word)),
    }
    match entity {
        Some("jobs") => job::show(invocation, manner, id),
        Some("nodes") => node::show(invocation, manner, id),
        Some("partitions") => partition::show(invocation, manner, id),
        Some("config") => config::show(invocation, id),
        Some("hostnames") => hosts::names(invocation, id),
        Some("hostlist") => hosts::list(invocation, id, false),
        Some("hostlistsorted") => hosts::list(invocation, id, true),
        Some("steps") => job::show_steps(invocation, manner, id),
        Some("reservations") => say(invocation, "No reservations in the system"),
        Some("licenses") => say(invocation, "No licenses configured in Slurm."),
        Some("daemons") => say(invocation, "slurmctld "),
        Some("aliases") => Ok(0),
        Some("topology") => topology::show(invocation, id),
        Some(_) => Ok(0),
        None => Err(unknown(word)),
    }
}

fn only_text(word: &str) -> Failure {
    Failure::error("scontrol", format_args!("{} is shown as text alone", escaped(word))).advising(Advice {
        limit: "jobs, nodes, partitions, steps, reservations and licenses are written as JSON or YAML".to_owned(),
        try_this: "the same without --json or --yaml".to_owned(),
        ..Advice::default()
    })
}

fn say(invocation: &mut Invocation<'_>, text: &str) -> Result<i32, Failure> {
    writeln!(invocation.out, "{text}")?;
    Ok(0)
}

/// An entity by its name with or without its `s`, or by any beginning of it, in any case.
fn entity(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    if word.is_empty() {
        return None;
    }
    let exact = ENTITIES.into_iter().find(|entity| entity.trim_end_matches('s') == word.trim_end_matches('s'));
    exact.or_else(|| ENTITIES.into_iter().find(|entity| entity.starts_with(&word)))
}

fn unknown(word: &str) -> Failure {
    let failure = Failure::plain(format!("invalid entity:{} for keyword:show ", escaped(word)));
    match squall_types::did_you_mean::closest(word, ENTITIES) {
        Some(meant) => failure.and_line(format!("scontrol: did you mean '{meant}'?")),
        None => failure,
    }
}
