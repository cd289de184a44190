//! Who may submit where, in whose name, and how much: accounts, qualities of service, partitions and their limits.

use super::draft::Draft;
use crate::accounts::{Breach, Measure, Tally, holders_of, never, rules, submit_breach};
use crate::config::PartitionConfig;
use crate::job::Job;
use crate::kept::KeptSpec;
use crate::refuse::Rejection;
use squall_types::accounts::NORMAL;
use squall_types::did_you_mean::closest;
use squall_types::span_text::clock;
use squall_types::{AccountName, PartitionName, QosName, Span};
use std::collections::BTreeSet;
use std::fmt::Display;

/// Slurm's words, on which clients match.
const ACCOUNT: &str = "Invalid account or account/partition combination specified";
const QOS: &str = "Invalid qos specification";
const GROUP: &str = "User's group not permitted to use this partition";
const POLICY: &str = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)";

impl Draft<'_> {
    /// Whoever is in an account pays by one of hers; whoever is in none by the default account.
    pub(super) fn check_account(&self, spec: &mut KeptSpec) -> Result<(), Rejection> {
        let (config, accounts) = (&self.cluster.config, &self.cluster.accounts);
        let own = accounts.accounts_of(spec.uid);
        if spec.account.as_str().is_empty() {
            let preferred = accounts.users.get(&spec.uid).and_then(|user| user.default_account.clone());
            let first = own.iter().next().copied().cloned();
            spec.account = preferred.or(first).unwrap_or_else(|| config.default_account.clone());
        }
        let asked = || format!("--account={}", spec.account);
        let invalid = |limit: String| Rejection::new("SQ1040", ACCOUNT).asked(asked()).limit(limit);
        if !own.is_empty() {
            if own.contains(&spec.account) {
                return Ok(());
            }
            let near = closest(spec.account.as_str(), own.iter().map(|account| account.as_str()));
            let near = near.or_else(|| own.iter().next().map(|account| account.as_str()));
            return Err(invalid(format!("{} is in: {}", spec.user, joined(&own)))
                .try_this(near.map(|near| format!("--account={near}")).unwrap_or_default()));
        }
        if config.enforce.associations {
            return Err(invalid(format!("{} is in no account, and only users in one may submit here", spec.user))
                .try_this("ask an admin, or a coordinator of the account, to add you to it"));
        }
        if !config.accounts.is_empty() && !config.accounts.contains(&spec.account) {
            let known = config.accounts.iter().map(|account| account.as_str());
            let near = closest(spec.account.as_str(), known).map(|near| format!("--account={near}"));
            return Err(
                invalid(format!("accounts here: {}", joined(&config.accounts))).try_this(near.unwrap_or_default())
            );
        }
        // An invented name would be a way around the limits of those that exist.
        let open = |account: &AccountName| *account == config.default_account || config.accounts.contains(account);
        if accounts.has_accounts() && !open(&spec.account) {
            let default = &config.default_account;
            return Err(invalid(format!("{} is in no account but the default, \"{default}\"", spec.user))
                .try_this(format!("--account={default}, or ask a coordinator of \"{}\" to add you", spec.account)));
        }
        Ok(())
    }

    /// The quality of service that was named, or the default of whoever asks. Where nobody made any, names are labels.
    pub(super) fn check_qos(&self, spec: &mut KeptSpec) -> Result<(), Rejection> {
        let (config, accounts) = (&self.cluster.config, &self.cluster.accounts);
        let partition = spec.partitions.first();
        let default = accounts.default_qos(&spec.account, spec.uid, partition);
        let Some(named) = spec.qos.clone() else {
            spec.qos = (default.as_str() != NORMAL).then_some(default);
            return Ok(());
        };
        if !config.enforce.qos || !accounts.has_qos() {
            return Ok(());
        }
        let mut allowed = accounts.allowed_qos(&spec.account, spec.uid, partition);
        allowed.insert(default);
        let invalid = |limit: String| {
            let near = closest(named.as_str(), allowed.iter().map(|qos| qos.as_str()));
            let rejection = Rejection::new("SQ1044", QOS).asked(format!("--qos={named}")).limit(limit);
            rejection.try_this(near.map_or_else(|| "the same without --qos".to_owned(), |near| format!("--qos={near}")))
        };
        if accounts.qos.get(&named).is_none() {
            let known: BTreeSet<&QosName> = accounts.qos.keys().collect();
            return Err(invalid(format!("there are: {}", joined(&known))));
        }
        if !allowed.contains(&named) {
            let (user, account) = (&spec.user, &spec.account);
            return Err(invalid(format!("{user} in account \"{account}\" may use: {}", joined(&allowed))));
        }
        Ok(())
    }

    /// Whether a partition is open to such a job.
    pub(super) fn check_admission(
        &self,
        spec: &KeptSpec,
        name: &PartitionName,
        partition: &PartitionConfig,
    ) -> Result<(), Rejection> {
        let asked = |what: String| format!("{what} in partition \"{name}\"");
        let account = |limit: String| {
            let asked = asked(format!("--account={}", spec.account));
            Err(Rejection::new("SQ1043", ACCOUNT).asked(asked).limit(limit))
        };
        if !partition.allow_accounts.is_empty() && !partition.allow_accounts.contains(&spec.account) {
            return account(format!("that partition is open to: {}", joined(&partition.allow_accounts)));
        }
        // As in Slurm, a list of those who may leaves nothing to forbid.
        if partition.allow_accounts.is_empty() && partition.deny_accounts.contains(&spec.account) {
            return account(format!("that partition is closed to: {}", joined(&partition.deny_accounts)));
        }
        if !partition.allow_groups.is_empty() && !spec.groups.iter().any(|group| partition.allow_groups.contains(group))
        {
            return Err(Rejection::new("SQ1045", GROUP)
                .asked(asked(format!("a job of {}", spec.user)))
                .limit(format!("that partition is open to the groups: {}", joined(&partition.allow_groups))));
        }
        let qos = crate::accounts::qos_of(spec);
        let forbidden =
            |limit: String| Err(Rejection::new("SQ1046", QOS).asked(asked(format!("--qos={qos}"))).limit(limit));
        if !partition.allow_qos.is_empty() && !partition.allow_qos.contains(&qos) {
            return forbidden(format!("that partition is open to: {}", joined(&partition.allow_qos)));
        }
        if partition.allow_qos.is_empty() && partition.deny_qos.contains(&qos) {
            return forbidden(format!("that partition is closed to: {}", joined(&partition.deny_qos)));
        }
        Ok(())
    }

    /// How long a job may run in its first partition, as far as limits of accounts say: so long it gets that asks for
    /// nothing.
    pub(super) fn longest(&self, spec: &KeptSpec) -> Option<Span> {
        let rules = rules(self.cluster, spec, spec.partitions.first());
        let walls = rules.into_iter().filter(|rule| rule.measure == Measure::Wall);
        walls.map(|rule| Span(i64::try_from(rule.limit).unwrap_or(i64::MAX))).min()
    }

    /// Refuses what breaks a limit on submissions, and what breaks a limit by itself: it would wait for ever.
    /// `before` is the job as it was, where one changes.
    pub(super) fn check_limits(&self, spec: &KeptSpec, before: Option<&Job>) -> Result<(), Rejection> {
        let cluster = &self.cluster;
        if !cluster.accounts.is_limiting() {
            return Ok(());
        }
        let own = before.map(|job| (holders_of(&cluster.accounts, &cluster.config, job), Tally::of(job)));
        let count = match (&own, &spec.array) {
            (Some((_, own)), _) => own.submits,
            (None, Some(array)) => array.indices.len(),
            (None, None) => 1,
        };
        let except = own.as_ref().map(|(holders, own)| (holders.as_slice(), *own));
        let wall = spec.time_limit.unwrap_or(Span::ZERO);
        let breach = |name: &PartitionName| {
            never(cluster, spec, name, wall).or_else(|| submit_breach(cluster, spec, name, count, except))
        };
        // Where one of the partitions takes it, it waits for that one.
        let mut breaches = spec.partitions.iter().map(breach);
        let Some(first) = breaches.next().flatten() else { return Ok(()) };
        if breaches.any(|breach| breach.is_none()) {
            return Ok(());
        }
        Err(refusal(&first))
    }
}

fn refusal(breach: &Breach) -> Rejection {
    let limit = breach.rule.limit;
    let (asked, try_this) = match breach.rule.measure {
        Measure::Submits => {
            let room = limit.saturating_sub(breach.used);
            let try_this = match (breach.wanted, room) {
                (1, _) | (_, 0) => "when some of the jobs have ended".to_owned(),
                (_, room) => format!("{room} elements now, the others when some of the jobs have ended"),
            };
            (format!("{} more", counted(breach.wanted, "job")), try_this)
        }
        Measure::Jobs => ("a job".to_owned(), "another account or QOS: this one lets nothing start".to_owned()),
        Measure::Tres(kind) => {
            let size = format!("a job of {}={}", kind.word(), kind.amount(breach.wanted));
            (size, format!("at most {}={}", kind.word(), kind.amount(limit)))
        }
        Measure::Wall => {
            let span = |millis: u64| clock(Span(i64::try_from(millis).unwrap_or(i64::MAX)));
            (format!("--time={}", span(breach.wanted)), format!("--time={}", span(limit)))
        }
    };
    Rejection::new("SQ1080", POLICY).asked(asked).limit(breach.text()).try_this(try_this)
}

fn counted(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn joined<T: Display>(names: &BTreeSet<T>) -> String {
    names.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}
