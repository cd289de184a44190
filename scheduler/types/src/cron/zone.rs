//! Time zones as the rule that POSIX writes into `TZ`, and that ends every file of the time zone database.

use super::civil::{Civil, day_of};
use std::fmt;
use std::str::FromStr;

const HOUR: i32 = 3600;
const DAY: i64 = 86_400;

/// How far clocks are ahead of UTC, in seconds, and when that changes within a year.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    standard: i32,
    summer: Option<Summer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Summer {
    offset: i32,
    from: Turn,
    until: Turn,
}

/// A moment of each year, by the clocks as they stand before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    day: TurnDay,
    /// Seconds from midnight.
    at: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TurnDay {
    /// From 1, and the leap day is not counted.
    Julian(u16),
    /// From 0, and it is.
    OfYear(u16),
    /// The fifth week is the last.
    Weekday { month: u8, week: u8, weekday: u8 },
}

impl Turn {
    /// Seconds since 1970 on the clocks of the place.
    fn local(self, year: i64) -> i64 {
        let start = day_of(year, 1, 1);
        let day = match self.day {
            TurnDay::Julian(day) => {
                let leaps = day_of(year, 3, 1) - start == 60 && day > 59;
                start + i64::from(day) - 1 + i64::from(leaps)
            }
            TurnDay::OfYear(day) => start + i64::from(day),
            TurnDay::Weekday { month, week, weekday } => {
                let month = u32::from(month);
                let first = day_of(year, month, 1);
                let to_first = (i64::from(weekday) - i64::from(Civil::of_day(first).weekday)).rem_euclid(7);
                let next = if month == 12 { day_of(year + 1, 1, 1) } else { day_of(year, month + 1, 1) };
                let day = first + to_first + 7 * (i64::from(week) - 1);
                if day < next { day } else { day - 7 }
            }
        };
        day * DAY + i64::from(self.at)
    }
}

impl Zone {
    pub const UTC: Zone = Zone { standard: 0, summer: None };

    /// Seconds that clocks are ahead of UTC at this second since 1970.
    pub(super) fn offset_at(&self, at: i64) -> i32 {
        let Some(summer) = self.summer else { return self.standard };
        let year = Civil::of_day((at + i64::from(self.standard)).div_euclid(DAY)).year;
        let (from, until) = self.turns(summer, year);
        // In the south the summer lasts over the new year.
        let is_summer = if from < until { from <= at && at < until } else { at < until || from <= at };
        if is_summer { summer.offset } else { self.standard }
    }

    /// When the summer of a year begins and ends.
    fn turns(&self, summer: Summer, year: i64) -> (i64, i64) {
        let from = summer.from.local(year) - i64::from(self.standard);
        let until = summer.until.local(year) - i64::from(summer.offset);
        (from, until)
    }

    /// The first second at which clocks show this; where they leave it out, as much later as they are put forward.
    pub(super) fn instant(&self, local: i64) -> i64 {
        let offsets = [self.standard, self.summer.map_or(self.standard, |summer| summer.offset)];
        let shown = offsets.map(|offset| local - i64::from(offset)).into_iter().filter(|at| self.shows(*at) == local);
        shown.min().unwrap_or(local - i64::from(offsets[0].min(offsets[1])))
    }

    fn shows(&self, at: i64) -> i64 {
        at + i64::from(self.offset_at(at))
    }

    /// Where the clocks are put back within a day: when, and how far they are ahead before and since.
    pub(super) fn turn_back_near(&self, at: i64) -> Option<(i64, i32, i32)> {
        let summer = self.summer?;
        let year = Civil::of_day(at.div_euclid(DAY)).year;
        let turns = (year - 1..=year + 1).flat_map(|year| {
            let (from, until) = self.turns(summer, year);
            [(from, self.standard, summer.offset), (until, summer.offset, self.standard)]
        });
        turns
            .into_iter()
            .find(|(turn, before, since)| before > since && *turn <= at + DAY && at < *turn + i64::from(before - since))
    }
}

/// A rule that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneError(String);

impl fmt::Display for ZoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no rule of a time zone, as CET-1CEST,M3.5.0,M10.5.0/3 is", self.0)
    }
}

impl std::error::Error for ZoneError {}

impl FromStr for Zone {
    type Err = ZoneError;

    /// `std offset [dst [offset] [,start[/time],end[/time]]]`; without a rule, that of the United States.
    fn from_str(text: &str) -> Result<Zone, ZoneError> {
        let mut reader = Reader { rest: text };
        let zone = reader.zone().filter(|_| reader.rest.is_empty());
        zone.ok_or_else(|| ZoneError(text.chars().take(64).collect()))
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn zone(&mut self) -> Option<Zone> {
        self.name()?;
        let standard = -self.time(24)?;
        if self.rest.is_empty() {
            return Some(Zone { standard, summer: None });
        }
        self.name()?;
        let offset = match self.rest.chars().next() {
            Some(',') | None => standard + HOUR,
            Some(_) => -self.time(24)?,
        };
        let second = |day| Turn { day, at: 2 * HOUR };
        let sunday = |month, week| second(TurnDay::Weekday { month, week, weekday: 0 });
        let (from, until) = match self.rest.is_empty() {
            true => (sunday(3, 2), sunday(11, 1)),
            false => (self.turn()?, self.turn()?),
        };
        Some(Zone { standard, summer: Some(Summer { offset, from, until }) })
    }

    fn name(&mut self) -> Option<()> {
        let end = match self.rest.strip_prefix('<') {
            Some(quoted) => quoted.find('>')? + 2,
            None => self.rest.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(self.rest.len()),
        };
        self.rest = self.rest.get(end..).filter(|_| end >= 3)?;
        Some(())
    }

    fn takes(&mut self, letter: char) -> bool {
        let rest = self.rest.strip_prefix(letter);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn number(&mut self, most: u16) -> Option<u16> {
        let end = self.rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(self.rest.len());
        let number = self.rest.get(..end)?.parse().ok()?;
        self.rest = &self.rest[end..];
        (number <= most).then_some(number)
    }

    /// `[+-]hh[:mm[:ss]]` in seconds.
    fn time(&mut self, most: u16) -> Option<i32> {
        let negative = self.takes('-');
        if !negative {
            self.takes('+');
        }
        let mut seconds = i32::from(self.number(most)?) * HOUR;
        for unit in [60, 1] {
            if !self.takes(':') {
                break;
            }
            seconds += i32::from(self.number(59)?) * unit;
        }
        Some(if negative { -seconds } else { seconds })
    }

    fn turn(&mut self) -> Option<Turn> {
        if !self.takes(',') {
            return None;
        }
        let day = if self.takes('M') {
            let month = self.number(12).filter(|month| *month > 0)?;
            let week = self.takes('.').then(|| self.number(5))?.filter(|week| *week > 0)?;
            let weekday = self.takes('.').then(|| self.number(6))??;
            TurnDay::Weekday { month: month as u8, week: week as u8, weekday: weekday as u8 }
        } else if self.takes('J') {
            TurnDay::Julian(self.number(365).filter(|day| *day > 0)?)
        } else {
            TurnDay::OfYear(self.number(365)?)
        };
        // The database also writes times of a week around the day.
        let at = if self.takes('/') { self.time(167)? } else { 2 * HOUR };
        Some(Turn { day, at })
    }
}
