//! `scontrol update`.

use super::act;
use crate::failure::{Advice, Failure, refusal_lines};
use crate::invocation::Invocation;
use crate::moment::{self, Past};
use crate::request::{names_of_nodes, whole_number};
use crate::select;
use crate::terminal::escaped;
use squall_types::api::{JobAction, JobFilter, JobUpdate, NodeAction};
use squall_types::span_text::{TimeLimit, parse_span};
use squall_types::{AccountName, NodeCount, PartitionName, QosName, Span};

const VALID_STATES: &str = "DOWN DRAIN POWER_DOWN RESUME UNDRAIN";

pub fn run(invocation: &mut Invocation<'_>, words: &[String]) -> Result<i32, Failure> {
    if words.is_empty() {
        return Err(Failure::plain("too few arguments for update keyword"));
    }
    // `update job 7 …` is `update JobId=7 …`.
    let mut pairs = Vec::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match word.split_once('=') {
            // `TimeLimit+=10` adds.
            Some((key, value)) => match key.strip_suffix(['+', '-']) {
                Some(bare) => pairs.push((bare.to_owned(), format!("{}{value}", &key[bare.len()..]))),
                None => pairs.push((key.to_owned(), value.to_owned())),
            },
            None => match rest.next() {
                Some(value) => pairs.push((word.clone(), value.clone())),
                None => return Err(unsupported(word)),
            },
        }
    }
    let of = |keys: &[&str]| pairs.iter().position(|(key, _)| keys.iter().any(|known| known.eq_ignore_ascii_case(key)));
    if let Some(at) = of(&["JobId", "job", "jobs"]) {
        let (_, jobs) = pairs.remove(at);
        return job(invocation, &jobs, &pairs);
    }
    if let Some(at) = of(&["NodeName", "node", "nodes"]) {
        let (_, nodes) = pairs.remove(at);
        return node(invocation, &nodes, &pairs);
    }
    if of(&["PartitionName", "partition"]).is_some() && of(&["JobName", "name"]).is_none() {
        return Err(Failure::error("scontrol", "partitions are changed in the configuration").advising(Advice {
            try_this: "the configuration file, then scontrol reconfigure".to_owned(),
            code: "SQ0002",
            ..Advice::default()
        }));
    }
    Err(Failure::plain("No valid entity in update command").and_line(
        "Input line must include \"NodeName\", \"PartitionName\", \"Reservation\", \"JobId\", or \"SlurmctldDebug\"",
    ))
}

fn unsupported(what: &str) -> Failure {
    let failure = Failure::plain(format!("Update of this parameter is not supported: {}", escaped(what)));
    let failure = failure.and_line("Request aborted");
    let key = what.split('=').next().unwrap_or_default();
    match squall_types::did_you_mean::closest(key, KEYS) {
        Some(meant) => failure.and_line(format!("scontrol: did you mean '{meant}'?")),
        None => failure,
    }
}

/// What can be changed in a job.
const KEYS: [&str; 19] = [
    "Account",
    "ArrayTaskThrottle",
    "Comment",
    "Deadline",
    "Dependency",
    "EndTime",
    "ExcNodeList",
    "Features",
    "JobName",
    "Nice",
    "NumNodes",
    "Partition",
    "Prefer",
    "Priority",
    "QOS",
    "ReqNodeList",
    "Requeue",
    "StartTime",
    "TimeLimit",
];

fn job(invocation: &mut Invocation<'_>, jobs: &str, pairs: &[(String, String)]) -> Result<i32, Failure> {
    let mut update = JobUpdate::default();
    // A limit that is added to needs each job's own.
    let mut added = None;
    for (key, value) in pairs {
        match key.to_ascii_lowercase().as_str() {
            "timelimit" => match value.as_bytes().first() {
                Some(b'+') => added = Some(parse_span(&value[1..]).map_err(|_| invalid("TimeLimit"))?),
                Some(b'-') if value != "-1" => {
                    added = Some(Span::ZERO - parse_span(&value[1..]).map_err(|_| invalid("TimeLimit"))?);
                }
                _ => update.time_limit = Some(limit(value)?),
            },
            "jobname" | "name" => update.name = Some(value.clone()),
            "partition" => update.partition = Some(select::names(value).map(PartitionName::new).collect()),
            "qos" => update.qos = Some(QosName::new(value.as_str())),
            "account" => update.account = Some(AccountName::new(value.as_str())),
            "priority" => update.priority = Some(whole_number(value).ok_or_else(|| invalid("Priority"))?),
            "nice" => update.nice = Some(value.parse().map_err(|_| invalid("Nice"))?),
            "starttime" => {
                let at = moment::parse(value, invocation.now(), &invocation.zone, Past::Skipped);
                update.begin_at = Some(at.map_err(|error| Failure::plain(error.to_string()))?);
            }
            "deadline" | "endtime" => {
                let at = moment::parse(value, invocation.now(), &invocation.zone, Past::Skipped);
                update.end_by = Some(at.map_err(|error| Failure::plain(error.to_string()))?);
            }
            "comment" => update.comment = Some(value.clone()),
            "dependency" => {
                update.dependency = Some(match value.as_str() {
                    "" => Default::default(),
                    text => text.parse().map_err(|_| invalid("Dependency"))?,
                });
            }
            "features" => {
                update.constraint = Some(match value.as_str() {
                    "" => None,
                    text => Some(text.parse().map_err(|_| invalid("Features"))?),
                });
            }
            "prefer" => {
                update.prefer = Some(match value.as_str() {
                    "" => None,
                    text => Some(text.parse().map_err(|_| invalid("Prefer"))?),
                });
            }
            "requeue" => update.requeue = Some(flag(value).ok_or_else(|| invalid("Requeue"))?),
            "arraytaskthrottle" => {
                update.array_limit = Some(whole_number(value).ok_or_else(|| invalid("ArrayTaskThrottle"))?);
            }
            "numnodes" | "reqnodes" => update.nodes = Some(node_count(value)?),
            "excnodelist" => update.exclude = Some(names_of_nodes("scontrol", "", value)?),
            "reqnodelist" | "nodelist" => {
                update.node_list = Some(names_of_nodes("scontrol", "", value)?);
            }
            _ => return Err(unsupported(&format!("{key}={value}"))),
        }
    }
    let mut code = 0;
    for id in select::split_ids(jobs) {
        let mut update = update.clone();
        if let Some(added) = added {
            update.time_limit = Some(longer(invocation, id, added)?);
        }
        code = code.max(act::on_job(invocation, id, &JobAction::Update(Box::new(update)))?);
    }
    Ok(code)
}

fn longer(invocation: &Invocation<'_>, id: &str, added: Span) -> Result<Span, Failure> {
    let unknown = || Failure::plain(format!("Invalid job id specified for job {}", escaped(id)));
    let named = select::job(id).ok_or_else(unknown)?;
    let filter = JobFilter { jobs: vec![named.job], all_states: true, ..JobFilter::default() };
    let jobs = invocation.controller.jobs(&filter).map_err(|error| Failure::load("slurm_load_jobs", &error))?;
    let limit = jobs.first().ok_or_else(unknown)?.time_limit.unwrap_or(Span::FOREVER);
    let changed = limit + added;
    if changed <= Span::ZERO { Err(invalid("TimeLimit")) } else { Ok(changed.min(Span::FOREVER)) }
}

fn limit(value: &str) -> Result<Span, Failure> {
    let limit: TimeLimit = value.parse().map_err(|_| invalid("TimeLimit"))?;
    Ok(limit.whole_minutes().span().unwrap_or(Span::FOREVER))
}

fn invalid(key: &str) -> Failure {
    Failure::error("scontrol", format_args!("Invalid {key} value"))
}

fn flag(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" => Some(true),
        "0" | "no" | "n" | "false" => Some(false),
        _ => None,
    }
}

fn node_count(value: &str) -> Result<NodeCount, Failure> {
    let (min, max) = value.split_once('-').unwrap_or((value, value));
    match (whole_number(min), whole_number(max)) {
        (Some(min), Some(max)) if min > 0 && max >= min => Ok(NodeCount { min, max }),
        _ => Err(invalid("NumNodes")),
    }
}

fn node(invocation: &mut Invocation<'_>, nodes: &str, pairs: &[(String, String)]) -> Result<i32, Failure> {
    let (mut state, mut reason) = (None, String::new());
    for (key, value) in pairs {
        match key.to_ascii_lowercase().as_str() {
            "state" => state = Some(value.as_str()),
            "reason" => reason.clone_from(value),
            _ => return Err(unsupported(&format!("{key}={value}"))),
        }
    }
    names_of_nodes("scontrol", "", nodes)?;
    let needs_reason = || match reason.is_empty() {
        true => Err(Failure::plain("You must specify a reason when DOWNING or DRAINING a node. Request denied")),
        false => Ok(reason.clone()),
    };
    let action = match state.map(str::to_ascii_lowercase).as_deref() {
        Some("drain") => NodeAction::Drain { reason: needs_reason()? },
        Some("down") => NodeAction::Down { reason: needs_reason()? },
        Some("resume" | "undrain" | "idle") => NodeAction::Resume,
        Some("power_down" | "power_down_asap" | "power_down_force") => NodeAction::PowerDown,
        Some(other) => {
            return Err(Failure::plain(format!("Invalid input: State={}", escaped(other)))
                .and_line("Request aborted")
                .and_line(format!("Valid states are: {VALID_STATES}"))
                .and_line("Not all states are valid given a node's prior state"));
        }
        None => return Err(Failure::plain("No changes specified")),
    };
    let results = invocation.controller.act_on_nodes(nodes, &action);
    let results = results.map_err(|error| Failure::load("slurm_update", &error))?;
    let mut code = 0;
    for result in results {
        if let Some(refusal) = result.refusal {
            let asked = &result.node.0;
            let first = format!("slurm_update error: {}", escaped(&refusal.slurm));
            // One of several is named.
            let first = if nodes == asked { first } else { format!("{first} for node {}", escaped(asked)) };
            writeln!(invocation.err, "{first}")?;
            for line in refusal_lines(&refusal) {
                writeln!(invocation.err, "{line}")?;
            }
            code = 1;
        }
    }
    Ok(code)
}
