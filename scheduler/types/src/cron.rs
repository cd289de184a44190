//! Times that come again: the five fields of a crontab, and when they match next.
//!
//! The time zone is part of the value, as a rule, so that the same value gives the same times wherever and whenever it is
//! looked at.

mod civil;
mod text;
mod zone;

pub use text::CronError;
pub use zone::{Zone, ZoneError};

use crate::Timestamp;
use civil::Civil;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// When a job of a crontab runs again, as it is stored: in words that people can read.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
pub struct CronSpec {
    /// The five fields, or a word like `@daily`.
    #[n(0)]
    pub times: String,
    /// The rule of POSIX for the time zone that is meant.
    #[n(1)]
    pub zone: String,
}

impl CronSpec {
    /// The first time after `after`; `None` also where the words mean nothing, which whoever stored them has ruled out.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let zone = self.zone.parse().ok()?;
        Cron::of_line(&self.times, zone).ok()?.0.next(after)
    }
}

/// Times that come again. Sets are bits, the lowest for 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u32,
    /// Of the month, from 1.
    days: u32,
    /// From 1.
    months: u32,
    /// Sunday is 0.
    weekdays: u32,
    /// The fields of both kinds of days say something: as in every cron, a day of either kind will do.
    either_day: bool,
    pub zone: Zone,
    /// As it was typed.
    pub text: String,
}

/// The most days that are looked at: a leap day that is a Sunday may be forty years away, where a year like 2100 has none.
const DAYS: i64 = 366 * 41;
const MINUTE: i64 = 60;

impl Cron {
    /// The first time after `after`, to the minute; `None` where none comes in many years.
    ///
    /// A time that the clocks leave out comes when they have been put forward. One that they show twice comes the first
    /// time, unless every hour is meant.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let after = after.as_secs();
        let local = after + i64::from(self.zone.offset_at(after));
        let first = self.from(local.div_euclid(MINUTE) + 1)?;
        let mut at = self.zone.instant(first * MINUTE);
        if at <= after {
            // It names a time that the clocks show twice, and that was the first.
            at = self.zone.instant(self.from(first + MINUTE)? * MINUTE);
        }
        let repeated = if self.hours == ALL_HOURS { self.in_repeated_hour(after) } else { None };
        Some(Timestamp::from_secs(repeated.map_or(at, |other| other.min(at))))
    }

    /// The first match while the clocks show once more what they showed before.
    fn in_repeated_hour(&self, after: i64) -> Option<i64> {
        let (turn, before, since) = self.zone.turn_back_near(after)?;
        let start = turn.max(after + 1);
        let local = start + i64::from(since);
        let at = self.from(-(-local).div_euclid(MINUTE))? * MINUTE - i64::from(since);
        (at > after && at < turn + i64::from(before - since)).then_some(at)
    }

    /// The first minute of local time that matches, from this one on.
    fn from(&self, minute: i64) -> Option<i64> {
        let first_day = minute.div_euclid(DAY_MINUTES);
        let mut least = minute.rem_euclid(DAY_MINUTES);
        for day in first_day..first_day + DAYS {
            if self.has_day(day)
                && let Some(found) = (least..DAY_MINUTES).find(|at| self.has_minute(*at))
            {
                return Some(day * DAY_MINUTES + found);
            }
            least = 0;
        }
        None
    }

    fn has_day(&self, day: i64) -> bool {
        let civil = Civil::of_day(day);
        let by_month = self.days & (1 << civil.day) != 0;
        let by_week = self.weekdays & (1 << civil.weekday) != 0;
        let day = if self.either_day { by_month || by_week } else { by_month && by_week };
        day && self.months & (1 << civil.month) != 0
    }

    fn has_minute(&self, at: i64) -> bool {
        self.hours & (1 << (at / 60)) != 0 && self.minutes & (1 << (at % 60)) != 0
    }
}

const DAY_MINUTES: i64 = 24 * 60;
const ALL_HOURS: u32 = (1 << 24) - 1;

#[cfg(test)]
mod tests;
