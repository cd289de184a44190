//! From settings to what the core knows: names are looked up, units become numbers, and impossible values are told.

mod budgets;
mod pools;
mod switches;

use super::error::ConfigError;
use super::schema::{Enforced, PartitionSettings, Settings, SwitchSettings};
use super::sources::{KeyPath, Part, Sources};
use super::units::{Size, Time};
use squall_core::config::{ClusterConfig, Enforce, Limits, PartitionConfig, PriorityWeights, Timing};
use squall_types::did_you_mean::closest;
use squall_types::{AccountName, JobId, PartitionName, PoolName, QosName, Span, Uid};
use std::collections::BTreeSet;

/// People wait for a hook, and their commands for no longer than this controller answers.
const MAX_HOOK_TIME: Span = Span::from_secs(30);
/// Longest name of a cluster, partition, pool, account or budget.
const MAX_NAME: usize = 64;

pub struct Lower<'a> {
    settings: &'a Settings,
    sources: &'a Sources,
    errors: Vec<ConfigError>,
}

/// The path of a value, from names and numbers.
macro_rules! keys {
    ($($part:expr),+) => { [$($part.to_string()),+] };
}
use keys;

/// # Errors
/// Everything that is impossible or names nothing.
pub fn lower(settings: &Settings, sources: &Sources) -> Result<ClusterConfig, Vec<ConfigError>> {
    let mut lower = Lower { settings, sources, errors: Vec::new() };
    let config = lower.cluster();
    if lower.errors.is_empty() { Ok(config) } else { Err(lower.errors) }
}

impl Lower<'_> {
    fn cluster(&mut self) -> ClusterConfig {
        let settings = self.settings;
        self.name(&settings.cluster, &keys!["cluster"]);
        self.name(&settings.default_account, &keys!["default_account"]);
        if settings.first_job == 0 {
            self.wrong(&keys!["first_job"], "`first_job` is 0, and job ids begin at 1");
        }
        let accounts: BTreeSet<AccountName> = settings.accounts.iter().map(AccountName::new).collect();
        if !accounts.is_empty() && !accounts.contains(&AccountName::new(&settings.default_account)) {
            let problem =
                format!("`default_account` is {:?}, which `accounts` does not allow", settings.default_account);
            self.wrong(&keys!["default_account"], &problem);
        }
        self.controller();
        self.submit_hook();
        ClusterConfig {
            cluster: settings.cluster.clone(),
            first_job: JobId(settings.first_job),
            partitions: self.partitions(),
            pools: self.pools(),
            budgets: self.budgets(),
            default_account: AccountName::new(&settings.default_account),
            accounts,
            admins: self.admins(),
            limits: self.limits(),
            timing: self.timing(),
            priority: self.priority(),
            enforce: Enforce {
                associations: settings.enforce.contains(&Enforced::Associations),
                limits: settings.enforce.contains(&Enforced::Limits),
                qos: settings.enforce.contains(&Enforced::Qos),
            },
            switches: self.switches(),
        }
    }

    fn partitions(&mut self) -> std::collections::BTreeMap<PartitionName, PartitionConfig> {
        let settings = &self.settings.partitions;
        if settings.is_empty() {
            self.wrong(&[], "no partition is configured: jobs would have nowhere to go");
        }
        let defaults: Vec<&String> = settings.iter().filter(|(_, one)| one.default).map(|(name, _)| name).collect();
        if let [first, others @ ..] = defaults.as_slice() {
            for other in others {
                let problem = format!("both `{first}` and `{other}` are the default partition");
                self.wrong(&keys!["partitions", other, "default"], &problem);
            }
        }
        let mut partitions: std::collections::BTreeMap<_, _> =
            settings.iter().map(|(name, one)| (PartitionName::new(name), self.partition(name, one))).collect();
        if let (1, Some(only)) = (partitions.len(), partitions.values_mut().next()) {
            only.default = true;
        }
        partitions
    }

    fn partition(&mut self, name: &str, one: &PartitionSettings) -> PartitionConfig {
        self.name(name, &keys!["partitions", name]);
        let at = |key: &str| keys!["partitions", name, key];
        if one.pools.is_empty() {
            self.wrong(&at("pools"), &format!("partition `{name}` has no pool to run anything on"));
        }
        for (index, pool) in one.pools.iter().enumerate() {
            let place = [&at("pools")[..], &[format!("[{index}]")]].concat();
            if !self.settings.pools.contains_key(pool) {
                let known = self.settings.pools.keys();
                self.unknown(
                    &place,
                    &format!("partition `{name}` names the pool {pool:?}, which is not configured"),
                    pool,
                    known,
                );
            } else if one.pools[..index].contains(pool) {
                self.wrong(&place, &format!("partition `{name}` names the pool {pool:?} twice"));
            }
        }
        let limit = |time: Option<Time>| time.and_then(Time::limited);
        let (max_time, default_time) = (limit(one.max_time), limit(one.default_time));
        self.positive(&at("max_time"), max_time);
        self.positive(&at("default_time"), default_time);
        if let (Some(max), Some(default)) = (max_time, default_time)
            && default > max
        {
            self.wrong(&at("default_time"), &format!("partition `{name}` has a `default_time` above its `max_time`"));
        }
        if one.max_nodes == Some(0) {
            self.wrong(&at("max_nodes"), &format!("partition `{name}` has `max_nodes` = 0: no job could run"));
        }
        if one.reservation_depth == Some(0) {
            let problem = format!(
                "partition `{name}` has `reservation_depth` = 0: large jobs would wait for ever behind small ones; 1 promises \
                 a start to the first job alone"
            );
            self.wrong(&at("reservation_depth"), &problem);
        }
        for (index, account) in one.allow_accounts.iter().enumerate() {
            let known = &self.settings.accounts;
            if !known.is_empty() && !known.contains(account) {
                let place = [&at("allow_accounts")[..], &[format!("[{index}]")]].concat();
                let problem = format!("partition `{name}` allows the account {account:?}, which `accounts` does not");
                self.unknown(&place, &problem, account, known.iter());
            }
        }
        let mib = |size: Option<Size>| size.map(|size| size.0);
        PartitionConfig {
            pools: one.pools.iter().map(PoolName::new).collect(),
            default: one.default,
            up: one.up,
            max_time,
            default_time,
            max_nodes: one.max_nodes,
            def_mem_per_cpu: mib(one.def_mem_per_cpu),
            def_mem_per_gpu: mib(one.def_mem_per_gpu),
            def_mem_per_node: mib(one.def_mem_per_node),
            def_cpu_per_gpu: one.def_cpu_per_gpu,
            allow_accounts: one.allow_accounts.iter().map(AccountName::new).collect(),
            priority_tier: one.priority_tier,
            spot: one.spot,
            requeue: one.requeue,
            exclusive: one.exclusive,
            max_mem_per_node: mib(one.max_mem_per_node),
            deny_accounts: one.deny_accounts.iter().map(AccountName::new).collect(),
            allow_groups: one.allow_groups.iter().cloned().collect(),
            allow_qos: one.allow_qos.iter().map(QosName::new).collect(),
            deny_qos: one.deny_qos.iter().map(QosName::new).collect(),
            qos: one.qos.as_ref().map(QosName::new),
            reservation_depth: one.reservation_depth,
        }
    }

    fn admins(&mut self) -> BTreeSet<Uid> {
        let admins = self.settings.admins.iter().enumerate();
        admins.filter_map(|(index, name)| self.user(name, &keys!["admins", format!("[{index}]")])).collect()
    }

    /// A user by number or by the name that this machine knows.
    fn user(&mut self, name: &str, place: &[String]) -> Option<Uid> {
        if let Ok(uid) = name.parse() {
            return Some(Uid(uid));
        }
        match nix::unistd::User::from_name(name) {
            Ok(Some(user)) => Some(Uid(user.uid.as_raw())),
            Ok(None) => {
                self.wrong(place, &format!("{name:?} is no user of this machine"));
                None
            }
            Err(error) => {
                self.wrong(place, &format!("the user {name:?} cannot be looked up: {error}"));
                None
            }
        }
    }

    fn limits(&mut self) -> Limits {
        let limits = &self.settings.limits;
        let mut bytes = |size: Size, key: &str| {
            let most = squall_proto::limits::MAX_BYTES;
            let bytes = size.0.saturating_mul(1 << 20);
            if bytes > most as u64 || bytes == 0 {
                let problem = format!("`limits.{key}` has to be between 1M and {}M", most >> 20);
                self.wrong(&keys!["limits", key], &problem);
            }
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let max_script_bytes = bytes(limits.max_script, "max_script");
        let max_environment_bytes = bytes(limits.max_environment, "max_environment");
        for (key, value) in
            [("max_jobs", limits.max_jobs), ("max_array_size", limits.max_array_size), ("max_nodes", limits.max_nodes)]
        {
            if value == 0 {
                self.wrong(&keys!["limits", key], &format!("`limits.{key}` is 0: nothing could run"));
            }
        }
        Limits {
            max_jobs: limits.max_jobs,
            max_array_size: limits.max_array_size,
            max_script_bytes,
            max_environment_bytes,
            max_requeues: limits.max_requeues,
            max_dependency_terms: limits.max_dependency_terms,
            max_nodes: limits.max_nodes,
        }
    }

    fn timing(&mut self) -> Timing {
        let timing = &self.settings.timing;
        if timing.batch_max.0 < timing.batch_idle.0 {
            self.wrong(&keys!["timing", "batch_max"], "`timing.batch_max` is below `timing.batch_idle`");
        }
        if timing.requeue_max.0 < timing.requeue_after.0 {
            self.wrong(&keys!["timing", "requeue_max"], "`timing.requeue_max` is below `timing.requeue_after`");
        }
        if timing.contact_timeout.0 < self.settings.controller.heartbeat.0.times(2) {
            let problem = "`timing.contact_timeout` is below two heartbeats of `controller.heartbeat`: one that is late \
                           would count as lost contact";
            self.wrong(&keys!["timing", "contact_timeout"], problem);
        }
        Timing {
            min_job_age: timing.min_job_age.0,
            kill_wait: timing.kill_wait.0,
            batch_idle: timing.batch_idle.0,
            batch_max: timing.batch_max.0,
            contact_timeout: timing.contact_timeout.0,
            requeue_after: timing.requeue_after.0,
            requeue_max: timing.requeue_max.0,
            orphan_grace: timing.orphan_grace.0,
            ledger_age: timing.ledger_age.0,
        }
    }

    fn priority(&mut self) -> PriorityWeights {
        let priority = &self.settings.priority;
        self.positive(&keys!["priority", "point"], priority.point.limited());
        PriorityWeights { point: priority.point.0, base: priority.base }
    }

    fn submit_hook(&mut self) {
        let hook = &self.settings.submit_hook;
        let Some(program) = hook.command.first() else { return };
        if !std::path::Path::new(program).is_absolute() {
            let problem = format!("`submit_hook.command` is {program:?}, which is no absolute path");
            self.wrong(&keys!["submit_hook", "command"], &problem);
        }
        if hook.timeout.0 > MAX_HOOK_TIME {
            let problem = "`submit_hook.timeout` is above 30s: people wait for it";
            self.wrong(&keys!["submit_hook", "timeout"], problem);
        }
        self.positive(&keys!["submit_hook", "timeout"], Some(hook.timeout.0));
        if nix::unistd::geteuid().is_root() {
            self.user(&hook.user, &keys!["submit_hook", "user"]);
        }
    }

    /// What is read where it is used, but has to be right before anything starts.
    fn controller(&mut self) {
        let controller = &self.settings.controller;
        let mut address = |key: &str, text: &str| {
            if text.parse::<std::net::SocketAddr>().is_err() {
                let problem = format!("`controller.{key}` is {text:?}, which is no ADDRESS:PORT such as 0.0.0.0:6820");
                self.wrong(&keys!["controller", key], &problem);
            }
        };
        address("listen", &controller.listen);
        if let Some(metrics) = &controller.metrics {
            address("metrics", metrics);
        }
        if super::socket_mode(&controller.socket_mode).is_none() {
            let problem = format!(
                "`controller.socket_mode` is {:?}, which is no octal mode such as 0666",
                controller.socket_mode
            );
            self.wrong(&keys!["controller", "socket_mode"], &problem);
        }
        if let Some(program) = controller.mail_program.as_deref().filter(|program| !program.is_absolute()) {
            let problem = format!("`controller.mail_program` is {program:?}, which is no absolute path");
            self.wrong(&keys!["controller", "mail_program"], &problem);
        }
        if let Some(advertise) = &controller.advertise
            && super::host_and_port(advertise).is_none()
        {
            self.wrong(
                &keys!["controller", "advertise"],
                &format!("`controller.advertise` is {advertise:?}, which is no HOST:PORT"),
            );
        }
        for (key, path) in [("state_dir", &controller.state_dir), ("socket", &controller.socket)] {
            if !path.is_absolute() {
                let problem =
                    format!("`controller.{key}` is {:?}, which is no absolute path", path.display().to_string());
                self.wrong(&keys!["controller", key], &problem);
            }
        }
        if controller.certificate_lifetime.0 < Span::from_mins(5) {
            self.wrong(&keys!["controller", "certificate_lifetime"], "`controller.certificate_lifetime` is below 5m");
        }
        self.positive(&keys!["controller", "heartbeat"], Some(controller.heartbeat.0));
        for (name, host) in &self.settings.login_hosts {
            self.name(name, &keys!["login_hosts", name]);
            if super::uid_range(&host.uids).is_none() {
                let problem =
                    format!("{:?} is no range of users such as \"1000-59999\", which cannot begin at root", host.uids);
                self.wrong(&keys!["login_hosts", name, "uids"], &problem);
            }
        }
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&self.settings.telemetry.log) {
            let problem = format!("`telemetry.log` cannot be read: {error}");
            self.wrong(&keys!["telemetry", "log"], &problem);
        }
    }

    fn name(&mut self, name: &str, place: &[String]) {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty()
            || name.len() > MAX_NAME
            || !name.starts_with(|c: char| c.is_ascii_alphanumeric())
            || !name.chars().all(allowed)
        {
            let problem = format!(
                "{name:?} is no name: names have 1 to {MAX_NAME} letters, digits, `.`, `_` or `-`, and begin with a letter or digit"
            );
            self.wrong_key(place, &problem);
        }
    }

    fn positive(&mut self, place: &[String], span: Option<Span>) {
        if span.is_some_and(|span| span <= Span::ZERO) {
            self.wrong(place, &format!("`{}` has to be longer than nothing", super::walk::joined(place)));
        }
    }

    fn unknown<'n>(
        &mut self,
        place: &[String],
        problem: &str,
        word: &str,
        known: impl Iterator<Item = &'n String> + Clone,
    ) {
        let hint = match closest(word, known.clone().map(String::as_str)) {
            Some(near) => Some(format!("did you mean {near:?}?")),
            None => {
                let all: Vec<&str> = known.map(String::as_str).collect();
                (!all.is_empty()).then(|| format!("configured: {}", all.join(", ")))
            }
        };
        self.error(place, Part::Value, problem, hint);
    }

    fn wrong(&mut self, place: &[String], problem: &str) {
        self.error(place, Part::Value, problem, None);
    }

    fn wrong_key(&mut self, place: &[String], problem: &str) {
        self.error(place, Part::Key, problem, None);
    }

    fn error(&mut self, place: &[String], part: Part, problem: &str, hint: Option<String>) {
        self.errors.push(ConfigError { place: self.sources.place(place, part), problem: problem.to_owned(), hint });
    }
}

/// A place below another.
fn below(place: &[String], key: &str) -> KeyPath {
    [place, &[key.to_owned()]].concat()
}
