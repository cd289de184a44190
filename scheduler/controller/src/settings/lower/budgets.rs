//! Budgets, and what may be spent without a limit on time.

use super::{Lower, keys};
use crate::settings::schema::{BudgetSettings, Kind, Period};
use squall_core::config::{BudgetConfig, BudgetPeriod, BudgetScope};
use squall_types::{AccountName, BudgetName, PartitionName, PoolName};
use std::collections::BTreeMap;

impl Lower<'_> {
    pub(super) fn budgets(&mut self) -> BTreeMap<BudgetName, BudgetConfig> {
        let budgets = &self.settings.budgets;
        let read: BTreeMap<BudgetName, BudgetConfig> = budgets
            .iter()
            .filter_map(|(name, budget)| Some((BudgetName::new(name), self.budget(name, budget)?)))
            .collect();
        self.limited_time(&read);
        read
    }

    fn budget(&mut self, name: &str, budget: &BudgetSettings) -> Option<BudgetConfig> {
        self.name(name, &keys!["budgets", name]);
        let scope = self.scope(name, &budget.scope)?;
        let period = match budget.period {
            Period::Day => BudgetPeriod::Day,
            Period::Month => BudgetPeriod::Month,
            Period::Total => BudgetPeriod::Total,
        };
        Some(BudgetConfig { scope, limit: budget.limit.0, period })
    }

    fn scope(&mut self, budget: &str, text: &str) -> Option<BudgetScope> {
        let place = keys!["budgets", budget, "scope"];
        if text == "cluster" {
            return Some(BudgetScope::Cluster);
        }
        let (kind, name) = text.split_once(':').unwrap_or((text, ""));
        let settings = self.settings;
        let not_configured = format!("budget `{budget}` covers the {kind} {name:?}, which is not configured");
        match kind {
            "pool" if settings.pools.contains_key(name) => Some(BudgetScope::Pool(PoolName::new(name))),
            "pool" => {
                self.unknown(&place, &not_configured, name, settings.pools.keys());
                None
            }
            "partition" if settings.partitions.contains_key(name) => {
                Some(BudgetScope::Partition(PartitionName::new(name)))
            }
            "partition" => {
                self.unknown(&place, &not_configured, name, settings.partitions.keys());
                None
            }
            "account"
                if name.is_empty()
                    || (!settings.accounts.is_empty() && !settings.accounts.iter().any(|one| one == name)) =>
            {
                self.unknown(&place, &not_configured, name, settings.accounts.iter());
                None
            }
            "account" => Some(BudgetScope::Account(AccountName::new(name))),
            "user" => self.user(name, &place).map(BudgetScope::User),
            _ => {
                let problem = format!(
                    "budget `{budget}` covers {text:?}: write \"cluster\", \"pool:NAME\", \"partition:NAME\", \"account:NAME\" or \"user:NAME\""
                );
                self.wrong(&place, &problem);
                None
            }
        }
    }

    /// Money for a job is reserved for as long as it may run, so under a budget that has to end some time.
    fn limited_time(&mut self, budgets: &BTreeMap<BudgetName, BudgetConfig>) {
        let settings = self.settings;
        for (name, partition) in &settings.partitions {
            let buys = |pool: &String| settings.pools.get(pool).is_some_and(|pool| pool.provisioner != Kind::Static);
            let limited = partition.max_time.is_some_and(|time| time.limited().is_some());
            if limited || !partition.pools.iter().any(buys) {
                continue;
            }
            let over = budgets.iter().find(|(_, budget)| match &budget.scope {
                BudgetScope::Cluster => true,
                BudgetScope::Partition(covered) => covered.as_str() == name,
                BudgetScope::Pool(pool) => partition.pools.iter().any(|one| one == pool.as_str()),
                BudgetScope::Account(_) | BudgetScope::User(_) => false,
            });
            if let Some((budget, _)) = over {
                let problem = format!("partition `{name}` is under the budget `{budget}` and needs a `max_time`");
                self.wrong_key(&keys!["partitions", name], &problem);
            }
        }
    }
}
