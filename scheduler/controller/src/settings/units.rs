//! Values in the units that people write: `"15m"`, `"192G"`, `"$12.50"`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use squall_types::size::parse_mib;
use squall_types::span_text::parse_span;
use squall_types::{HourlyPrice, MicroUsd, Span};
use std::borrow::Cow;

/// A length of time; `"never"` and `"unlimited"` are [`Span::FOREVER`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub Span);

/// An amount of memory in MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

/// An amount of dollars; as a price, what one node costs in an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dollars(pub MicroUsd);

impl Time {
    /// `None` where there is no limit.
    pub fn limited(self) -> Option<Span> {
        (self.0 < Span::FOREVER).then_some(self.0)
    }
}

impl Dollars {
    pub fn hourly(self) -> HourlyPrice {
        HourlyPrice(self.0.0)
    }
}

const MILLIS: [(&str, i64); 6] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];
/// Longer lengths are not configured but meant as `"never"`.
const MAX_DAYS: i64 = 36_500;

/// `90s`, `1h30m`, `2d`; Slurm's `4:00:00` and `1-12`; `never`.
pub(super) fn time(text: &str) -> Result<Time, String> {
    if ["never", "unlimited", "infinite"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return Ok(Time(Span::FOREVER));
    }
    let form = || {
        let unit = if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
            format!("{text:?} has no unit: write \"{text}s\" or \"{text}m\"")
        } else {
            format!(
                "{text:?} is no length of time: write one like \"90s\", \"15m\", \"1h30m\", \"2d\" or \"1-12:00:00\""
            )
        };
        Err(unit)
    };
    let millis = match text.contains([':', '-']) {
        true => parse_span(text).map_err(|error| error.to_string())?.0,
        false => match parts(text) {
            Some(millis) => millis,
            None => return form(),
        },
    };
    if millis > MAX_DAYS * 86_400_000 {
        return Err(format!("{text:?} is longer than {MAX_DAYS} days: write \"never\""));
    }
    Ok(Time(Span(millis)))
}

fn parts(text: &str) -> Option<i64> {
    let (mut left, mut sum) = (text, 0i64);
    while !left.is_empty() {
        let (number, rest) = left.split_at(left.find(|c: char| !c.is_ascii_digit())?);
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(unit);
        let (_, millis) = MILLIS.iter().find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(number.parse::<i64>().ok()?.checked_mul(*millis)?)?;
        left = rest;
    }
    (!text.is_empty()).then_some(sum)
}

fn shown_time(span: Span) -> String {
    if span >= Span::FOREVER {
        return "never".to_owned();
    }
    let (unit, millis) = MILLIS[..5].iter().rev().find(|(_, millis)| span.0 % millis == 0).unwrap_or(&MILLIS[0]);
    match span.0 {
        0 => "0s".to_owned(),
        whole => format!("{}{unit}", whole / millis),
    }
}

/// `512M`, `192G`; a bare number is in MiB as in Slurm.
pub(super) fn size(text: &str) -> Result<Size, String> {
    parse_mib(text).map(Size).map_err(|error| error.to_string())
}

/// `$100`, `100.00`, `0.000001`; nothing below a micro-dollar.
pub(super) fn dollars(text: &str) -> Result<Dollars, String> {
    let form = || format!("{text:?} is no amount of dollars: write one like \"$100\" or 12.50");
    let bare = text.trim();
    let bare = bare.strip_suffix("/h").unwrap_or(bare);
    if bare.starts_with('-') || bare.starts_with("$-") {
        return Err(format!("{text:?} is less than nothing"));
    }
    let bare = bare.strip_prefix('$').unwrap_or(bare);
    let (whole, fraction) = bare.split_once('.').unwrap_or((bare, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || bare.ends_with('.') {
        return Err(form());
    }
    if fraction.len() > 6 {
        return Err(format!("{text:?} has more than six decimals, and a micro-dollar is the smallest amount"));
    }
    let micros: i64 = format!("{fraction:0<6}").parse().map_err(|_| form())?;
    let whole: i64 = whole
        .parse()
        .ok()
        .filter(|whole| *whole <= 1_000_000_000)
        .ok_or_else(|| format!("{text:?} is more than a billion dollars"))?;
    Ok(Dollars(MicroUsd(whole * 1_000_000 + micros)))
}

fn shown_dollars(amount: MicroUsd) -> String {
    let (whole, micros) = (amount.0 / 1_000_000, amount.0 % 1_000_000);
    let fraction = format!("{micros:06}");
    let fraction = fraction.trim_end_matches('0');
    format!("${whole}.{fraction:0<2}")
}

/// What the schema calls each of them, and how a text or number is read as one.
macro_rules! human {
    ($type:ident, $format:literal, $description:literal, $json:tt, $parse:path, $show:expr) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": $json, "format": $format, "description": $description })
            }
            fn inline_schema() -> bool {
                true
            }
        }
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&$show(self.0))
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                $parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

human!(Time, "time", "A length of time: 90s, 15m, 1h30m, 2d, 1-12:00:00, never.", "string", time, shown_time);
human!(
    Size,
    "size",
    "An amount of memory or disk: 512M, 192G; a bare number is in MiB.",
    ["string", "integer"],
    size,
    |mib| { squall_types::size::mib(mib) }
);
human!(Dollars, "dollars", "An amount of US dollars: \"$100\", 12.50.", ["string", "number"], dollars, shown_dollars);

/// Why a text cannot be read as the value that a `format` of the schema names; `None` for other formats.
pub(super) fn problem_with(format: &str, text: &str) -> Option<String> {
    match format {
        "time" => time(text).err(),
        "size" => size(text).err(),
        "dollars" => dollars(text).err(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_units_that_people_write() {
        let check = |text, millis| assert_eq!(time(text), Ok(Time(Span(millis))), "{text}");
        check("90s", 90_000);
        check("1h30m", 5_400_000);
        check("250ms", 250);
        check("2d", 172_800_000);
        check("4:00:00", 14_400_000);
        check("1-12", 129_600_000);
        check("0s", 0);
        check("never", Span::FOREVER.0);
        for wrong in ["", "5", "5 m", "m", "1.5h", "-5m", "5y", "99999999999999999999s", "99999w", "h5"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn money_is_exact_to_the_micro_dollar() {
        let check = |text, micros| assert_eq!(dollars(text), Ok(Dollars(MicroUsd(micros))), "{text}");
        check("$100", 100_000_000);
        check("12.50", 12_500_000);
        check("0.000001", 1);
        check("$98.32/h", 98_320_000);
        for wrong in ["", "$", "-5", "$-5", "1e9", "1,000", ".5", "5.", "0.0000001", "NaN", "2000000000"] {
            assert!(dollars(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_shown_reads_as_the_same_value() {
        for millis in [0, 1, 999, 1_000, 90_000, 3_600_000, 86_400_000, 5_400_000, Span::FOREVER.0] {
            assert_eq!(time(&shown_time(Span(millis))), Ok(Time(Span(millis))));
        }
        for micros in [0, 1, 10, 12_500_000, 100_000_000, 98_320_001] {
            assert_eq!(dollars(&shown_dollars(MicroUsd(micros))), Ok(Dollars(MicroUsd(micros))));
        }
        for mib in [0, 1, 1000, 4096, 196_608] {
            assert_eq!(size(&squall_types::size::mib(mib)), Ok(Size(mib)));
        }
    }
}
