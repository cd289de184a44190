//! What users want to be run again and again: their crontabs as they wrote them, and which job each entry is.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use squall_types::JobId;

/// The crontab of one user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Crontab {
    #[n(0)]
    pub text: String,
    #[n(1)]
    pub entries: Vec<Entry>,
}

/// An entry and its job. A job that no entry names does not run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Entry {
    #[n(0)]
    pub job: JobId,
    /// Where it stands in the text, with its options, from 1.
    #[n(1)]
    pub first_line: u32,
    #[n(2)]
    pub last_line: u32,
}

/// What a line begins with whose job was cancelled.
pub const DISABLED: &str = "#DISABLED: ";

impl Crontab {
    pub fn names(&self, job: JobId) -> bool {
        self.entries.iter().any(|entry| entry.job == job)
    }

    /// The same with the lines of this job made comments.
    pub fn without(&self, job: JobId) -> Crontab {
        let (gone, entries): (Vec<Entry>, Vec<Entry>) = self.entries.iter().partition(|entry| entry.job == job);
        let is_gone = |line: u32| gone.iter().any(|entry| (entry.first_line..=entry.last_line).contains(&line));
        let lines = self.text.split_inclusive('\n').zip(1u32..);
        let text =
            lines.map(|(line, number)| if is_gone(number) { format!("{DISABLED}{line}") } else { line.to_owned() });
        Crontab { text: text.collect(), entries }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_cancelled_job_become_comments() {
        let entry = |job, first_line, last_line| Entry { job: JobId(job), first_line, last_line };
        let text = "# mine\n#SCRON -t 5\n@daily a\n\n@hourly b \\\n  c".to_owned();
        let crontab = Crontab { text, entries: vec![entry(7, 2, 3), entry(8, 5, 6)] };
        let left = crontab.without(JobId(8));
        assert_eq!(left.entries, [entry(7, 2, 3)]);
        assert_eq!(left.text, "# mine\n#SCRON -t 5\n@daily a\n\n#DISABLED: @hourly b \\\n#DISABLED:   c");
        assert_eq!(left.without(JobId(7)).text.lines().filter(|line| line.starts_with(DISABLED)).count(), 4);
    }
}
