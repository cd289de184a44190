//! Which jobs a command is about: ids, users and states as people name them.

use crate::failure::Failure;
use crate::people;
use squall_types::api::{JobRef, JobState};
use squall_types::indices::{ArrayLimits, parse_indices};
use squall_types::{EndState, Gid, JobId, StepId, Uid};

/// A job, and perhaps a step of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub job: JobRef,
    pub step: Option<StepId>,
}

/// `123`, `123_4`, `123_[1-3,7]`, `123_*`, `123+1`, each perhaps with `.0`, `.batch` or `.extern`.
pub fn job(text: &str) -> Option<Named> {
    let (job, step) = match text.split_once('.') {
        None => (text, None),
        Some((job, step)) => (job, Some(step_id(step)?)),
    };
    let (job, component) = match job.split_once('+') {
        None => (job, None),
        Some((job, offset)) => (job, Some(offset.parse().ok().filter(|_| is_number(offset) && is_number(job))?)),
    };
    let (id, elements) = match job.split_once('_') {
        None => (job, None),
        Some((id, "*")) => (id, None),
        Some((id, list)) => {
            let bare = list.strip_prefix('[').and_then(|list| list.strip_suffix(']')).unwrap_or(list);
            // What `squeue` prints can be given back: the limit after `%` says nothing about which elements.
            let bare = bare.split_once('%').map_or(bare, |(list, _)| list);
            (id, Some(parse_indices(bare, ArrayLimits::DEFAULT).ok()?))
        }
    };
    if !is_number(id) {
        return None;
    }
    let id = id.parse().ok().filter(|id| *id > 0)?;
    Some(Named { job: JobRef { job: JobId(id), elements, component }, step })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn step_id(text: &str) -> Option<StepId> {
    match text.to_ascii_lowercase().as_str() {
        "batch" => Some(StepId::BATCH),
        "extern" => Some(StepId::EXTERN),
        "0" => Some(StepId(0)),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok().map(StepId),
        _ => None,
    }
}

/// Ids between commas that are not inside brackets, or between blanks.
pub fn split_ids(text: &str) -> Vec<&str> {
    let mut depth = 0usize;
    let pieces = text.split(|letter: char| {
        match letter {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && (letter == ',' || letter.is_whitespace())
    });
    pieces.filter(|piece| !piece.is_empty()).collect()
}

/// Names between commas.
pub fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty())
}

/// A user by name or number.
pub fn user(text: &str) -> Option<Uid> {
    people::uid_of(text).or_else(|| text.parse().ok().map(Uid))
}

/// A group by name or number.
pub fn group(text: &str) -> Option<Gid> {
    people::gid_of(text).or_else(|| text.parse().ok().map(Gid))
}

/// What a user is called here; their number where nobody knows.
pub fn user_name(uid: Uid) -> String {
    people::person(uid).map_or_else(|| uid.to_string(), |person| person.name)
}

/// What a group is called here; its number where nobody knows.
pub fn group_name(gid: Gid) -> String {
    people::group(gid).unwrap_or_else(|| gid.to_string())
}

/// All states that a job can be in.
pub const STATES: [JobState; 14] = [
    JobState::Pending,
    JobState::Running,
    JobState::Suspended,
    JobState::Ended(EndState::Completed),
    JobState::Ended(EndState::Cancelled),
    JobState::Ended(EndState::Failed),
    JobState::Ended(EndState::Timeout),
    JobState::Ended(EndState::NodeFail),
    JobState::Ended(EndState::Preempted),
    JobState::Ended(EndState::BootFail),
    JobState::Ended(EndState::Deadline),
    JobState::Ended(EndState::OutOfMemory),
    JobState::Completing,
    JobState::Configuring,
];

/// States that Slurm has and that no job here is ever in.
const NEVER: [(&str, &str); 10] = [
    ("RESIZING", "RS"),
    ("RESV_DEL_HOLD", "RD"),
    ("REQUEUED", "RQ"),
    ("REQUEUE_FED", "RF"),
    ("REQUEUE_HOLD", "RH"),
    ("REVOKED", "RV"),
    ("SIGNALING", "SI"),
    ("SPECIAL_EXIT", "SE"),
    ("STAGE_OUT", "SO"),
    ("STOPPED", "ST"),
];

/// States as given: `all`, or words of either length in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct States {
    pub all: bool,
    pub some: Vec<JobState>,
    /// Only states were named that no job is ever in.
    pub none: bool,
}

/// # Errors
/// The first word that is no state.
pub fn states(text: &str) -> Result<States, String> {
    let mut found = States::default();
    for word in names(text) {
        let is = |long: &str, short: &str| word.eq_ignore_ascii_case(long) || word.eq_ignore_ascii_case(short);
        if word.eq_ignore_ascii_case("all") {
            found.all = true;
        } else if let Some(state) = STATES.into_iter().find(|state| is(state.word(), state.compact())) {
            found.some.push(state);
            // A job whose nodes boot has been given them: to Slurm it runs.
            if state == JobState::Running {
                found.some.push(JobState::Configuring);
            }
        } else if NEVER.iter().any(|(long, short)| is(long, short)) {
            found.none = true;
        } else {
            return Err(word.to_owned());
        }
    }
    found.none &= found.some.is_empty() && !found.all;
    Ok(found)
}

/// `squeue: error: Invalid job state specified: X`, and the list of valid ones.
pub fn invalid_state(command: &str, word: &str) -> Failure {
    let ours = STATES.iter().map(|state| state.word());
    let valid: Vec<&str> = ours.chain(NEVER.iter().map(|(long, _)| *long)).collect();
    let shown = crate::terminal::escaped(word);
    Failure::error(command, format_args!("Invalid job state specified: {shown}"))
        .and_line(format!("{command}: error: Valid job states include: {}", valid.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_named_in_every_form_that_squeue_prints() {
        let named =
            |text| job(text).map(|named| (named.job.job.0, named.job.elements.map(|set| set.to_string()), named.step));
        assert_eq!(named("123"), Some((123, None, None)));
        assert_eq!(named("123_4"), Some((123, Some("4".into()), None)));
        assert_eq!(named("123_[0-3,7%2]"), Some((123, Some("0-3,7".into()), None)));
        assert_eq!(named("123_*"), Some((123, None, None)));
        assert_eq!(named("123.batch"), Some((123, None, Some(StepId::BATCH))));
        assert_eq!(named("123_4.0"), Some((123, Some("4".into()), Some(StepId(0)))));
        assert_eq!(job("123+1.0").map(|named| (named.job.component, named.step)), Some((Some(1), Some(StepId(0)))));
        for wrong in [
            "",
            "abc",
            "0",
            "-1",
            "1_",
            "1_[",
            "1_x",
            "1.",
            "1.x",
            "99999999999",
            "1_[0-99999999999]",
            "１",
            "1+",
            "+1",
            "1+x",
            "1_2+1",
        ] {
            assert_eq!(named(wrong), None, "{wrong}");
        }
        assert_eq!(split_ids("1,2_[3,4] 5"), ["1", "2_[3,4]", "5"]);
    }

    #[test]
    fn states_are_read_in_both_lengths() {
        let running = vec![JobState::Running, JobState::Configuring];
        assert_eq!(states("r").unwrap().some, running);
        assert_eq!(states("RUNNING").unwrap().some, running);
        assert!(states("PD,all").unwrap().all);
        assert!(states("STOPPED").unwrap().none);
        assert_eq!(states("foo"), Err("foo".to_owned()));
    }
}
