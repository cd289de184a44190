//! Money in whole micro-dollars: no floats in state, no rounding that loses a cent.

use crate::Span;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub, SubAssign};

/// An amount in millionths of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct MicroUsd(#[n(0)] pub i64);

/// What one node costs in an hour, in micro-dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct HourlyPrice(#[n(0)] pub i64);

const MILLIS_PER_HOUR: i128 = 3_600_000;

impl HourlyPrice {
    /// The price of `span`, rounded up to the next micro-dollar so that a sum of parts never falls short.
    pub fn cost_of(self, span: Span) -> MicroUsd {
        let product = i128::from(self.0) * i128::from(span.0.max(0));
        MicroUsd(((product + MILLIS_PER_HOUR - 1) / MILLIS_PER_HOUR).min(i128::from(i64::MAX)) as i64)
    }
}

impl MicroUsd {
    pub const ZERO: MicroUsd = MicroUsd(0);

    pub const fn from_dollars(dollars: i64) -> Self {
        Self(dollars.saturating_mul(1_000_000))
    }
    pub const fn times(self, factor: i64) -> Self {
        Self(self.0.saturating_mul(factor))
    }
}

impl Add for MicroUsd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}
impl AddAssign for MicroUsd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}
impl Sub for MicroUsd {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}
impl SubAssign for MicroUsd {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}
impl Sum for MicroUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// Dollars with two decimals, or four below ten cents, where two would say nothing.
impl fmt::Display for MicroUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let micros = self.0.unsigned_abs();
        if micros == 0 || micros >= 100_000 {
            let cents = (micros + 5_000) / 10_000;
            write!(f, "{sign}${}.{:02}", cents / 100, cents % 100)
        } else {
            let parts = (micros + 50) / 100;
            write!(f, "{sign}${}.{:04}", parts / 10_000, parts % 10_000)
        }
    }
}

impl fmt::Display for HourlyPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/h", MicroUsd(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_rounds_up_to_the_next_micro_dollar() {
        assert_eq!(HourlyPrice(1).cost_of(Span::from_millis(1)), MicroUsd(1));
        assert_eq!(HourlyPrice(3_600_000).cost_of(Span::from_secs(1)), MicroUsd(1000));
        assert_eq!(
            HourlyPrice(98_320_000).cost_of(Span::from_hours(2)),
            MicroUsd::from_dollars(196) + MicroUsd(640_000)
        );
        assert_eq!(HourlyPrice(7).cost_of(Span(-5)), MicroUsd::ZERO);
    }

    #[test]
    fn small_amounts_keep_four_decimals() {
        assert_eq!(MicroUsd(0).to_string(), "$0.00");
        assert_eq!(MicroUsd(1_234).to_string(), "$0.0012");
        assert_eq!(MicroUsd(-41_204_999).to_string(), "-$41.20");
    }
}
