//! Money: what is reserved, settled and left in each budget.

use crate::config::{BudgetConfig, BudgetPeriod};
use minicbor::{Decode, Encode};
use squall_types::{MicroUsd, Timestamp};

#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct BudgetState {
    /// Start of the present period.
    #[n(0)]
    pub period_start: Timestamp,
    /// Held for nodes that are not settled yet.
    #[n(1)]
    pub reserved: MicroUsd,
    /// Settled in this period.
    #[n(2)]
    pub settled: MicroUsd,
}

impl BudgetState {
    /// What may still be reserved.
    pub fn left(&self, config: &BudgetConfig) -> MicroUsd {
        let reserved =
            if crate::canary::active("budget_forgets_reservations") { MicroUsd::ZERO } else { self.reserved };
        config.limit - self.settled - reserved
    }
}

const MILLIS_PER_DAY: i64 = 86_400_000;

/// The start of the period that `at` lies in.
pub fn period_start(period: BudgetPeriod, at: Timestamp) -> Timestamp {
    let day = at.0.div_euclid(MILLIS_PER_DAY);
    match period {
        BudgetPeriod::Total => Timestamp::ZERO,
        BudgetPeriod::Day => Timestamp(day * MILLIS_PER_DAY),
        BudgetPeriod::Month => Timestamp((day - i64::from(day_of_month(day)) + 1) * MILLIS_PER_DAY),
    }
}

/// Day of the month, from 1, of a day counted from 1970-01-01 (Howard Hinnant's civil-from-days).
fn day_of_month(day: i64) -> u32 {
    let shifted = day + 719_468;
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    (day_of_year - (153 * month + 2) / 5 + 1) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_starts_on_its_first_day_in_utc() {
        let at = |secs| Timestamp::from_secs(secs);
        // 2024-02-29T12:00:00Z and 2026-11-23T02:07:44Z.
        assert_eq!(period_start(BudgetPeriod::Month, at(1_709_208_000)), at(1_706_745_600));
        assert_eq!(period_start(BudgetPeriod::Month, at(1_795_399_664)), at(1_793_491_200));
        assert_eq!(period_start(BudgetPeriod::Day, at(1_709_208_000)), at(1_709_164_800));
        assert_eq!(period_start(BudgetPeriod::Month, Timestamp(-1)), Timestamp(-31 * MILLIS_PER_DAY));
    }
}
