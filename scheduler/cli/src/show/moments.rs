//! Moments as Slurm writes them, in the caller's time zone and by `SLURM_TIME_FORMAT`.

use crate::invocation::Invocation;
use jiff::Zoned;
use jiff::tz::TimeZone;
use squall_types::Timestamp;

/// How to write moments.
#[derive(Clone, Debug)]
pub struct Moments {
    zone: TimeZone,
    style: Style,
    now: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Style {
    /// `2026-11-25T10:30:00`.
    Standard,
    /// `10:30:00`, `Ystday 16:34`, `25 Nov 10:30`.
    Relative,
    /// By `strftime`.
    Pattern(String),
}

impl Moments {
    pub fn of(invocation: &Invocation<'_>) -> Self {
        let style = match invocation.environment.filled("SLURM_TIME_FORMAT") {
            None | Some("standard") => Style::Standard,
            Some("relative") => Style::Relative,
            Some(pattern) => Style::Pattern(pattern.to_owned()),
        };
        Moments { zone: invocation.zone.clone(), style, now: invocation.now() }
    }

    /// The same moments in one fixed form, as machines read them.
    pub fn standard(mut self) -> Self {
        self.style = Style::Standard;
        self
    }

    pub fn at(&self, at: Timestamp) -> String {
        let Some(moment) = self.zoned(at) else { return "Unknown".to_owned() };
        match &self.style {
            Style::Standard => written(&moment, "%Y-%m-%dT%H:%M:%S"),
            Style::Relative => written(&moment, self.relative(&moment)),
            Style::Pattern(pattern) => written(&moment, pattern),
        }
    }

    /// `14:32` today, `Thu 14:32` this week, else the whole date: for people.
    pub fn soon(&self, at: Timestamp) -> String {
        let (Some(moment), Some(now)) = (self.zoned(at), self.zoned(self.now)) else { return "unknown".to_owned() };
        let days = at.since(self.now).as_secs() / 86_400;
        match (moment.date() == now.date(), days) {
            (true, _) => written(&moment, "%H:%M"),
            (false, ..6) => written(&moment, "%a %H:%M"),
            (false, _) => written(&moment, "%Y-%m-%d %H:%M"),
        }
    }

    /// `Mon Nov 23 02:30:41 2026`, above long listings.
    pub fn headline(&self) -> String {
        self.headline_at(self.now)
    }

    /// The same of another moment.
    pub fn headline_at(&self, at: Timestamp) -> String {
        self.zoned(at).map(|moment| written(&moment, "%a %b %d %H:%M:%S %Y")).unwrap_or_default()
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    fn zoned(&self, at: Timestamp) -> Option<Zoned> {
        jiff::Timestamp::from_millisecond(at.0).ok().map(|instant| instant.to_zoned(self.zone.clone()))
    }

    /// As Slurm: counts days by `1000 * year + day of the year`, also where that is not a difference in days.
    fn relative(&self, moment: &Zoned) -> &'static str {
        let number = |day: &Zoned| 1000 * i32::from(day.year()) + i32::from(day.day_of_year());
        let today = self.zoned(self.now).map_or(0, |now| number(&now));
        match number(moment) - today {
            0 => "%H:%M:%S",
            -1 => "Ystday %H:%M",
            1 => "Tomorr %H:%M",
            distance if !(-365..=365).contains(&distance) => "%-d %b %Y",
            distance if !(-1..=6).contains(&distance) => "%-d %b %H:%M",
            _ => "%a %H:%M",
        }
    }
}

/// A pattern that means nothing is written as it is.
fn written(moment: &Zoned, pattern: &str) -> String {
    jiff::fmt::strtime::format(pattern, moment).unwrap_or_else(|_| pattern.to_owned())
}
