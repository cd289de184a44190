//! Amounts of memory as Slurm reads and prints them.

use crate::quoted::{Quoted, digits};

/// The most memory that can be asked for or shown, in MiB: one EiB, so that sums stay far from overflow.
pub const MAX_MIB: u64 = 1 << 40;

/// Why a text is no amount of memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    #[error("invalid memory size {given}: expected a number with K, M, G or T, for example 512M or 64G")]
    Form { given: Quoted },
    #[error("the memory size {given} is more than {MAX_MIB} MB")]
    TooLarge { given: Quoted },
}

/// A number in MiB or with the unit `K`, `M`, `G` or `T` in any case, which a `B` may follow; rounded up to MiB.
pub fn parse_mib(text: &str) -> Result<u64, SizeError> {
    let form = || SizeError::Form { given: Quoted::new(text) };
    let too_large = || SizeError::TooLarge { given: Quoted::new(text) };
    let number_len = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(number_len);
    if number.is_empty() {
        return Err(form());
    }
    let number = digits(number).ok_or_else(too_large)?;
    let mib = match unit.to_ascii_uppercase().as_str() {
        "K" | "KB" => Some(number.div_ceil(1024)),
        "" | "M" | "MB" => Some(number),
        "G" | "GB" => number.checked_mul(1 << 10),
        "T" | "TB" => number.checked_mul(1 << 20),
        _ => return Err(form()),
    };
    mib.filter(|mib| *mib <= MAX_MIB).ok_or_else(too_large)
}

const UNITS: [char; 6] = ['K', 'M', 'G', 'T', 'P', 'E'];

/// In the largest unit that loses nothing: 1000 is `1000M`, 4096 is `4G`, 0 is `0`. As `squeue`'s `%m` and
/// `sacct`'s ReqMem print it.
pub fn mib(mib: u64) -> String {
    exact(mib, 1)
}

/// The same for an amount in KiB, as in `sacct`'s MaxRSS.
pub fn kib(kib: u64) -> String {
    exact(kib, 0)
}

/// With `--noconvert`: the unit that it is kept in, `4096M`.
pub fn mib_unconverted(mib: u64) -> String {
    if mib == 0 { "0".to_owned() } else { format!("{mib}M") }
}

fn exact(mut amount: u64, mut unit: usize) -> String {
    if amount == 0 {
        return "0".to_owned();
    }
    while amount.is_multiple_of(1024) && unit + 1 < UNITS.len() {
        amount /= 1024;
        unit += 1;
    }
    format!("{amount}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_in_any_case_and_megabytes_without_one() {
        for (text, mib) in [
            ("512", 512),
            ("512MB", 512),
            ("4GB", 4096),
            ("4g", 4096),
            ("4Gb", 4096),
            ("1T", 1 << 20),
            ("7K", 1),
            ("1025k", 2),
            ("373M", 373),
            ("0", 0),
            ("1048576T", MAX_MIB),
        ] {
            assert_eq!(parse_mib(text), Ok(mib), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_named() {
        for text in ["", "M", "-1", "+4", "1.5G", "4 G", "4GiB", "4B", "4GBX", "0x10", "4P", "4Ġ", "NaN", " 4"] {
            let error = parse_mib(text).expect_err(text).to_string();
            assert!(error.starts_with(&format!("invalid memory size \"{text}\"")), "{text}: {error}");
        }
        for text in ["18446744073709551615K", "18446744073709551616", "99999999999999T", "1048577T"] {
            assert_eq!(parse_mib(text), Err(SizeError::TooLarge { given: Quoted::new(text) }));
        }
    }

    #[test]
    fn printing_loses_nothing() {
        assert_eq!(
            [mib(1000), mib(4096), mib(1536), mib(1 << 21), mib(0)],
            ["1000M", "4G", "1536M", "2T", "0"].map(str::to_owned)
        );
        assert_eq!([kib(12_345), kib(2048)], ["12345K", "2M"].map(str::to_owned));
        assert_eq!([mib_unconverted(4096), mib_unconverted(0)], ["4096M", "0"].map(str::to_owned));
        assert_eq!(kib(u64::MAX), "18446744073709551615K");
    }
}
