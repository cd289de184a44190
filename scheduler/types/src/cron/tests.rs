use super::civil::day_of;
use super::*;

const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

fn at(year: i64, month: u32, day: u32, hour: i64, minute: i64) -> Timestamp {
    Timestamp::from_secs(day_of(year, month, day) * 86_400 + hour * 3600 + minute * 60)
}

fn cron(text: &str, zone: &str) -> Cron {
    let (cron, rest) = Cron::of_line(text, zone.parse().unwrap()).unwrap();
    assert_eq!(rest, "");
    cron
}

fn times(text: &str, zone: &str, from: Timestamp, count: usize) -> Vec<Timestamp> {
    let cron = cron(text, zone);
    std::iter::successors(Some(from), |at| cron.next(*at)).skip(1).take(count).collect()
}

#[test]
fn days_and_their_names_are_those_of_the_calendar() {
    for day in (-800_000..800_000).step_by(61) {
        let civil = Civil::of_day(day);
        assert_eq!(day_of(civil.year, civil.month, civil.day), day);
    }
    let civil = Civil::of_day(day_of(2026, 11, 29));
    assert_eq!((civil.year, civil.month, civil.day, civil.weekday), (2026, 11, 29, 0));
}

#[test]
fn lists_ranges_steps_and_names() {
    let from = at(2026, 1, 1, 0, 0);
    assert_eq!(times("*/20 * * * *", "UTC0", from, 3), [20, 40, 60].map(|minute| at(2026, 1, 1, 0, minute)));
    assert_eq!(times("5,1-2 0 * * *", "UTC0", from, 3), [1, 2, 5].map(|minute| at(2026, 1, 1, 0, minute)));
    assert_eq!(times("0 10-20/5 * * *", "UTC0", from, 3), [10, 15, 20].map(|hour| at(2026, 1, 1, hour, 0)));
    assert_eq!(times("0 0 * FEB mon-Tue", "UTC0", from, 2), [2, 3].map(|day| at(2026, 2, day, 0, 0)));
    assert_eq!(times("0 0 * * 7", "UTC0", from, 1), times("0 0 * * 0", "UTC0", from, 1));
    assert_eq!(times("@hourly", "UTC0", from, 1), [at(2026, 1, 1, 1, 0)]);
    assert_eq!(times("@fika", "UTC0", from, 1), [at(2026, 1, 1, 15, 0)]);
}

#[test]
fn either_kind_of_day_will_do_where_both_are_named() {
    // A Friday, and the 13th.
    assert_eq!(times("0 0 13 * 5", "UTC0", at(2026, 1, 8, 0, 0), 3), [9, 13, 16].map(|day| at(2026, 1, day, 0, 0)));
}

#[test]
fn a_leap_day_comes_after_a_century_without_one() {
    assert_eq!(times("0 0 29 2 *", "UTC0", at(2096, 3, 1, 0, 0), 1), [at(2104, 2, 29, 0, 0)]);
    // A leap day that is a Sunday, too.
    let sundays = [2032, 2060, 2088, 2128].map(|year| at(year, 2, 29, 0, 9));
    assert_eq!(times("9 0 29 2 */7", "UTC0", at(2026, 1, 1, 0, 0), 4), sundays);
    assert!(Cron::of_line("0 0 30 2 *", Zone::UTC).unwrap_err().to_string().contains("no month"));
}

#[test]
fn what_the_clocks_leave_out_comes_when_they_are_put_forward_and_what_they_repeat_comes_once() {
    // On the 29th of March 2026 two o'clock is three, at 01:00 UTC.
    let march = times("30 2 * * *", BERLIN, at(2026, 3, 28, 12, 0), 2);
    assert_eq!(march, [at(2026, 3, 29, 1, 30), at(2026, 3, 30, 0, 30)]);
    // On the 25th of October three o'clock is two again, at 01:00 UTC.
    let october = times("30 2 * * *", BERLIN, at(2026, 10, 24, 12, 0), 2);
    assert_eq!(october, [at(2026, 10, 25, 0, 30), at(2026, 10, 26, 1, 30)]);
}

#[test]
fn every_hour_is_every_hour_also_when_clocks_change() {
    let hours = |from: Timestamp| times("0 * * * *", BERLIN, from, 6);
    for from in [at(2026, 3, 28, 22, 0), at(2026, 10, 24, 22, 0)] {
        let expected: Vec<Timestamp> = (1..=6).map(|hour| from + crate::Span::from_hours(hour)).collect();
        assert_eq!(hours(from), expected);
    }
    let minutes = times("*/15 * * * *", BERLIN, at(2026, 10, 24, 23, 0), 16);
    assert!(minutes.windows(2).all(|pair| pair[1] - pair[0] == crate::Span::from_mins(15)), "{minutes:?}");
}

#[test]
fn rules_of_time_zones() {
    for rule in [
        "UTC0",
        "EST5EDT",
        "<+0330>-3:30",
        "NZST-12NZDT,M9.5.0,M4.1.0/3",
        "IST-1GMT0,M10.5.0,M3.5.0/1",
        "<-03>3<-02>,M3.5.0/-2,M10.5.0/-1",
        "A1B,J60,J300",
        "AAA3BBB,0/0,J365/25",
    ] {
        let parsed: Result<Zone, _> = rule.parse();
        assert_eq!(parsed.is_ok(), !rule.starts_with("A1B"), "{rule}");
    }
    for rule in
        ["", "UTC", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0", "CET-99", "CET-1CEST,M3.0.0,M10.5.0", "UTC0 "]
    {
        assert!(rule.parse::<Zone>().is_err(), "{rule}");
    }
    // In the south the summer lasts over the new year.
    let noon = times("0 12 * * *", "NZST-12NZDT,M9.5.0,M4.1.0/3", at(2026, 1, 1, 0, 0), 1);
    assert_eq!(noon, [at(2026, 1, 1, 23, 0)]);
}

#[test]
fn what_is_wrong_is_named_with_its_field() {
    for (line, field) in [
        ("60 * * * * x", "minute"),
        ("* 24 * * * x", "hour"),
        ("* * 0 * * x", "day of month"),
        ("* * * 13 * x", "month"),
        ("* * * * 8 x", "day of week"),
        ("* * * * fritag x", "day of week"),
        ("*/0 * * * * x", "minute"),
        ("5-1 * * * * x", "minute"),
        ("1, * * * * x", "minute"),
        ("* * *", "month"),
        ("@sometimes x", "time"),
    ] {
        assert_eq!(Cron::of_line(line, Zone::UTC).unwrap_err().field, field, "{line}");
    }
}
