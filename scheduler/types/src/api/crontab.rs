//! `scrontab`.

use super::SubmitRequest;
use crate::Uid;

/// The most bytes of a crontab, and the most entries.
pub const MAX_CRONTAB: usize = 64 << 10;
pub const MAX_CRON_ENTRIES: usize = 100;

/// A crontab as its user wrote it, with what its client made of the entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CrontabRequest {
    /// Whose; `None` is whoever asks.
    pub user: Option<Uid>,
    /// Empty takes the crontab away.
    pub text: String,
    pub entries: Vec<CronEntry>,
}

/// An entry: the lines that it stands on, from 1, with the options before it; and its job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronEntry {
    pub first_line: u32,
    pub last_line: u32,
    pub submission: SubmitRequest,
}
