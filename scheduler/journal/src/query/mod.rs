//! Answers from the accounting tables: always in pages, always by an index, never more work than a stated limit.

mod accounting;
mod jobs;
mod ledger;
mod paths;

pub(crate) use accounting::{accounting, attempts};
pub use ledger::{OrderPage, OrderView, ReceiptLine};
pub(crate) use ledger::{ledger, orders, receipt};

use crate::JournalError;
use crate::options::{DEFAULT_PAGE, MAX_PAGE};

/// Where a page starts: behind this key. The client hands back what it was given.
fn behind(after: &str) -> Result<i64, JournalError> {
    match after {
        "" => Ok(-1),
        text => text.parse().ok().filter(|key| *key >= 0).ok_or_else(|| {
            JournalError::BadQuery("the next page was asked for by something that no page gave out".to_owned())
        }),
    }
}

/// Rows of a page.
fn page_size(asked: u32) -> u32 {
    match asked {
        0 => DEFAULT_PAGE,
        rows => rows.min(MAX_PAGE),
    }
}
