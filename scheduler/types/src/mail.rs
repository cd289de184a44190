//! `--mail-type`.

use crate::quoted::Quoted;
use crate::{MailEvents, did_you_mean};
use std::fmt;

const WORDS: [&str; 13] = [
    "NONE",
    "BEGIN",
    "END",
    "FAIL",
    "REQUEUE",
    "ALL",
    // Known to Slurm; nothing is sent for these.
    "INVALID_DEPEND",
    "STAGE_OUT",
    "TIME_LIMIT",
    "TIME_LIMIT_90",
    "TIME_LIMIT_80",
    "TIME_LIMIT_50",
    "ARRAY_TASKS",
];

/// A word that is no mail event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown mail type {given}{}", meant.map(|word| format!("; did you mean {word}?")).unwrap_or_default())]
pub struct MailError {
    pub given: Quoted,
    pub meant: Option<&'static str>,
}

impl std::str::FromStr for MailEvents {
    type Err = MailError;

    /// A list of words in any case. `NONE` anywhere silences all others, as in Slurm.
    fn from_str(text: &str) -> Result<Self, MailError> {
        let mut events = MailEvents::default();
        let mut silent = false;
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty() || text.is_empty()) {
            match item.to_ascii_uppercase().as_str() {
                "NONE" => silent = true,
                "BEGIN" => events.begin = true,
                "END" => events.end = true,
                "FAIL" => events.fail = true,
                "REQUEUE" => events.requeue = true,
                "ALL" => events = MailEvents { begin: true, end: true, fail: true, requeue: true },
                word if WORDS.contains(&word) => {}
                _ => return Err(MailError { given: Quoted::new(item), meant: did_you_mean::closest(item, WORDS) }),
            }
        }
        Ok(if silent { MailEvents::default() } else { events })
    }
}

/// `BEGIN,END`, or `NONE`.
impl fmt::Display for MailEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [(self.begin, "BEGIN"), (self.end, "END"), (self.fail, "FAIL"), (self.requeue, "REQUEUE")];
        let words: Vec<_> = all.into_iter().filter_map(|(told, word)| told.then_some(word)).collect();
        f.pad(&if words.is_empty() { "NONE".to_owned() } else { words.join(",") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_by_word() {
        for (text, printed) in [
            ("NONE", "NONE"),
            ("begin,END", "BEGIN,END"),
            ("ALL", "BEGIN,END,FAIL,REQUEUE"),
            ("END, FAIL,,", "END,FAIL"),
            ("NONE,END", "NONE"),
            ("TIME_LIMIT_80,ARRAY_TASKS,REQUEUE", "REQUEUE"),
        ] {
            assert_eq!(text.parse::<MailEvents>().map(|events| events.to_string()), Ok(printed.to_owned()), "{text}");
        }
        let error = |text: &str| text.parse::<MailEvents>().expect_err(text).to_string();
        assert_eq!(error("END,FIAL"), "unknown mail type \"FIAL\"; did you mean FAIL?");
        assert_eq!(error(""), "unknown mail type \"\"");
    }
}
