//! Moments as people write them: `--begin`, `--deadline`, `sacct -S`.

use crate::terminal::escaped;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};
use squall_types::{Span, Timestamp};

/// Longer texts are no moments.
const MAX_TEXT: usize = 64;

/// Whether a time of day that is over means today's or tomorrow's, and a day without a year this year's or the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// `sacct -S 08:00` asks for this morning.
    Allowed,
    /// `--begin=08:00` means the next 8 o'clock.
    Skipped,
}

/// A text that names no moment, in Slurm's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid time specification (pos={pos}): {}", escaped(.text))]
pub struct MomentError {
    pub pos: usize,
    pub text: String,
}

/// `now[{+|-}COUNT[UNIT]]`, `today`, `tomorrow`, `midnight`, `noon`, `teatime`, `HH:MM[:SS][ AM|PM]`,
/// `YYYY-MM-DD[THH:MM[:SS]]`, `MM/DD[/YY]`, `MM.DD[.YY]`, `MMDD[YY]`, `uts SECONDS`, and a day with a time of day.
///
/// # Errors
/// Where in the text it ends to make sense.
pub fn parse(text: &str, now: Timestamp, zone: &TimeZone, past: Past) -> Result<Timestamp, MomentError> {
    let mut reader = Reader { text, at: 0 };
    if text.is_empty() || text.len() > MAX_TEXT {
        return Err(reader.error());
    }
    if reader.word("now") {
        return reader.offset().map(|offset| now + offset);
    }
    if reader.word("uts") {
        let seconds = reader.number(12)?;
        return reader.ended().map(|()| Timestamp::from_secs(seconds as i64));
    }
    let here = zoned(now, zone).ok_or_else(|| reader.error())?;
    reader.day_and_time(&here, past)
}

fn zoned(at: Timestamp, zone: &TimeZone) -> Option<Zoned> {
    jiff::Timestamp::from_millisecond(at.0).ok().map(|instant| instant.to_zoned(zone.clone()))
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

/// A day as written: perhaps without its year.
enum Day {
    Full(Date),
    Yearless(i8, i8),
}

impl Reader<'_> {
    fn error(&self) -> MomentError {
        MomentError { pos: self.at, text: self.text.to_owned() }
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn ended(&self) -> Result<(), MomentError> {
        if self.rest().trim().is_empty() { Ok(()) } else { Err(self.error()) }
    }

    /// Takes `word` in any case, if it stands here.
    fn word(&mut self, word: &str) -> bool {
        let found = self.rest().get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        if found {
            self.at += word.len();
        }
        found
    }

    fn one_of(&mut self, separators: &[char]) -> Option<char> {
        let next = self.rest().chars().next().filter(|letter| separators.contains(letter))?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// Blanks and dashes, and the `T` between a day and a time (but not that of `Tomorrow`).
    fn skip_separators(&mut self) {
        while let Some(next @ (b' ' | b'-' | b'T')) = self.rest().bytes().next() {
            if next == b'T' && !self.rest()[1..].starts_with(|after: char| after.is_ascii_digit()) {
                return;
            }
            self.at += 1;
        }
    }

    fn digits(&self) -> usize {
        self.rest().bytes().take_while(u8::is_ascii_digit).count()
    }

    fn number(&mut self, most_digits: usize) -> Result<u64, MomentError> {
        let digits = self.digits();
        if digits == 0 || digits > most_digits {
            return Err(self.error());
        }
        let number = self.rest()[..digits].parse().map_err(|_| self.error())?;
        self.at += digits;
        Ok(number)
    }

    /// What follows `now`.
    fn offset(&mut self) -> Result<Span, MomentError> {
        let sign = match self.one_of(&['+', '-']) {
            None => return self.ended().map(|()| Span::ZERO),
            Some('-') => -1,
            Some(_) => 1,
        };
        let count = self.number(9)? as i64;
        const UNITS: [(&str, i64); 5] =
            [("week", 604_800), ("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)];
        let seconds = match UNITS.iter().find(|(unit, _)| self.word(unit)) {
            Some((_, seconds)) => {
                self.word("s");
                *seconds
            }
            None if self.rest().is_empty() => 1,
            // Slurm points at the digit before the word that is no unit.
            None => {
                self.at -= 1;
                return Err(self.error());
            }
        };
        self.ended().map(|()| Span::from_secs(sign * count * seconds))
    }

    fn day_and_time(&mut self, here: &Zoned, past: Past) -> Result<Timestamp, MomentError> {
        let (mut day, mut time) = (None, None);
        loop {
            self.skip_separators();
            if self.rest().is_empty() {
                break;
            }
            if time.is_none()
                && let Some(found) = self.time()?
            {
                time = Some(found);
            } else if day.is_none()
                && let Some(found) = self.day(here)?
            {
                day = Some(found);
            } else {
                return Err(self.error());
            }
        }
        let at_time = time.unwrap_or_else(Time::midnight);
        let date = match day {
            Some(Day::Full(date)) => date,
            Some(Day::Yearless(month, day)) => self.yearless(here, month, day, at_time, past)?,
            None if past == Past::Skipped && at_time <= here.time() => here.date().saturating_add(1.day()),
            None => here.date(),
        };
        let moment = date.to_datetime(at_time).to_zoned(here.time_zone().clone()).map_err(|_| self.error())?;
        Ok(Timestamp(moment.timestamp().as_millisecond()))
    }

    fn yearless(&self, here: &Zoned, month: i8, day: i8, time: Time, past: Past) -> Result<Date, MomentError> {
        let date = Date::new(here.year(), month, day).map_err(|_| self.error())?;
        if past == Past::Skipped && date.to_datetime(time) < here.datetime() {
            return Date::new(here.year() + 1, month, day).map_err(|_| self.error());
        }
        Ok(date)
    }

    fn time(&mut self) -> Result<Option<Time>, MomentError> {
        const NAMED: [(&str, i8); 5] =
            [("midnight", 0), ("noon", 12), ("fika", 15), ("teatime", 16), ("elevenses", 11)];
        if let Some((_, hour)) = NAMED.iter().find(|(name, _)| self.word(name)) {
            return Time::new(*hour, 0, 0, 0).map(Some).map_err(|_| self.error());
        }
        let digits = self.digits();
        if !(1..=2).contains(&digits) || self.rest().as_bytes().get(digits) != Some(&b':') {
            return Ok(None);
        }
        let mut hour = self.number(2)?;
        self.one_of(&[':']);
        let minute = self.number(2)?;
        let second = if self.one_of(&[':']).is_some() { self.number(2)? } else { 0 };
        let blanks = self.rest().len() - self.rest().trim_start().len();
        self.at += blanks;
        let half = if self.word("am") {
            Some(0)
        } else if self.word("pm") {
            Some(12)
        } else {
            None
        };
        if let Some(half) = half {
            if !(1..=12).contains(&hour) {
                return Err(self.error());
            }
            hour = hour % 12 + half;
        }
        Time::new(hour as i8, minute as i8, second as i8, 0).map(Some).map_err(|_| self.error())
    }

    fn day(&mut self, here: &Zoned) -> Result<Option<Day>, MomentError> {
        if self.word("today") {
            return Ok(Some(Day::Full(here.date())));
        }
        if self.word("tomorrow") {
            return Ok(Some(Day::Full(here.date().saturating_add(1.day()))));
        }
        let digits = self.digits();
        let follows = self.rest().as_bytes().get(digits).copied();
        match (digits, follows) {
            (4, Some(b'-')) => {
                let year = self.number(4)?;
                self.one_of(&['-']);
                let month = self.number(2)?;
                self.one_of(&['-']).ok_or_else(|| self.error())?;
                let day = self.number(2)?;
                Date::new(year as i16, month as i8, day as i8)
                    .map(|date| Some(Day::Full(date)))
                    .map_err(|_| self.error())
            }
            (1 | 2, Some(separator @ (b'/' | b'.'))) => {
                let separator = char::from(separator);
                let month = self.number(2)?;
                self.one_of(&[separator]);
                let day = self.number(2)?;
                let year = if self.one_of(&[separator]).is_some() { Some(self.number(4)?) } else { None };
                self.american(month, day, year)
            }
            (4 | 6, _) => {
                let packed = self.number(6)?;
                if digits == 4 {
                    return self.american(packed / 100, packed % 100, None);
                }
                self.american(packed / 10_000, packed / 100 % 100, Some(packed % 100))
            }
            _ => Ok(None),
        }
    }

    fn american(&self, month: u64, day: u64, year: Option<u64>) -> Result<Option<Day>, MomentError> {
        let (month, day) = (month as i8, day as i8);
        match year {
            None if (1..=12).contains(&month) && (1..=31).contains(&day) => Ok(Some(Day::Yearless(month, day))),
            None => Err(self.error()),
            Some(year) => {
                let year = if year < 100 { 2000 + year } else { year };
                Date::new(year as i16, month, day).map(|date| Some(Day::Full(date))).map_err(|_| self.error())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Wednesday, 10:30:00 UTC.
    const NOW: Timestamp = Timestamp::from_secs(1_795_602_600);

    fn said(text: &str, past: Past) -> String {
        match parse(text, NOW, &TimeZone::UTC, past) {
            Ok(at) => zoned(at, &TimeZone::UTC).expect("in range").strftime("%F %T").to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn moments_are_read_in_every_form() {
        let cases = [
            ("now", "2026-11-25 10:30:00"),
            ("now+60", "2026-11-25 10:31:00"),
            ("now+1hour", "2026-11-25 11:30:00"),
            ("NOW+2HOURS", "2026-11-25 12:30:00"),
            ("now-2days", "2026-11-23 10:30:00"),
            ("now+1week", "2026-12-02 10:30:00"),
            ("16:00", "2026-11-25 16:00:00"),
            ("8:00", "2026-11-26 08:00:00"),
            ("6:30 PM", "2026-11-25 18:30:00"),
            ("12:15am", "2026-11-26 00:15:00"),
            ("tomorrow", "2026-11-26 00:00:00"),
            ("tomorrow 09:00", "2026-11-26 09:00:00"),
            ("midnight", "2026-11-26 00:00:00"),
            ("noon", "2026-11-25 12:00:00"),
            ("teatime", "2026-11-25 16:00:00"),
            ("2027-01-20T12:34:00", "2027-01-20 12:34:00"),
            ("2027-01-20T12:34", "2027-01-20 12:34:00"),
            ("2027-01-20", "2027-01-20 00:00:00"),
            ("1970-01-01-00:00:01", "1970-01-01 00:00:01"),
            ("01/20", "2027-01-20 00:00:00"),
            ("12/25/26", "2026-12-25 00:00:00"),
            ("12.25.26", "2026-12-25 00:00:00"),
            ("12/25-16:00", "2026-12-25 16:00:00"),
            ("122526", "2026-12-25 00:00:00"),
            ("1225", "2026-12-25 00:00:00"),
            ("uts1795602600", "2026-11-25 10:30:00"),
        ];
        for (text, expected) in cases {
            assert_eq!(said(text, Past::Skipped), expected, "{text}");
        }
        assert_eq!(said("8:00", Past::Allowed), "2026-11-25 08:00:00");
        assert_eq!(said("01/20", Past::Allowed), "2026-01-20 00:00:00");
    }

    #[test]
    fn what_is_no_moment_is_told_with_its_place() {
        assert_eq!(said("garbage", Past::Skipped), "Invalid time specification (pos=0): garbage");
        assert_eq!(said("now+5foo", Past::Skipped), "Invalid time specification (pos=4): now+5foo");
        for wrong in
            ["", "25:00", "12:61", "2026-13-01", "2026-02-30", "13/45", "now+", "now 5", "12:00x", "13:00pm", "T"]
        {
            assert!(parse(wrong, NOW, &TimeZone::UTC, Past::Skipped).is_err(), "{wrong}");
        }
    }
}
