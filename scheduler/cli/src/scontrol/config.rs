//! `scontrol show config`: the values that programs written for Slurm look up, by Slurm's names, then our own.

use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::show::moments::Moments;
use crate::terminal::escaped;
use squall_types::api::{ConfigEntry, PingReply};

/// Slurm's name for a key of ours, and its unit.
const NAMES: [(&str, &str, Unit); 7] = [
    ("FirstJobId", "first_job", Unit::Count),
    ("MaxArraySize", "limits.max_array_size", Unit::Count),
    ("MaxJobCount", "limits.max_jobs", Unit::Count),
    ("MinJobAge", "timing.min_job_age", Unit::Seconds),
    ("KillWait", "timing.kill_wait", Unit::Seconds),
    ("SlurmdTimeout", "timing.contact_timeout", Unit::Seconds),
    ("MailProg", "controller.mail_program", Unit::Count),
];

/// What is the same on every cluster of this kind.
const FIXED: [(&str, &str); 9] = [
    ("AccountingStorageEnforce", "none"),
    ("AccountingStorageTRES", "cpu,mem,energy,node,billing,fs/disk,vmem,pages,gres/gpu"),
    ("AccountingStorageType", "accounting_storage/squall"),
    ("AuthType", "auth/squall"),
    ("EnforcePartLimits", "ALL"),
    ("GresTypes", "gpu"),
    ("PreemptMode", "OFF"),
    ("SelectType", "select/cons_tres"),
    ("SLURM_VERSION", "24.05.4"),
];

#[derive(Clone, Copy)]
enum Unit {
    Count,
    Seconds,
}

pub fn show(invocation: &mut Invocation<'_>, only: Option<&str>) -> Result<i32, Failure> {
    let load = |error| Failure::load("slurm_load_ctl_conf", &error);
    let entries = invocation.controller.configuration().map_err(load)?;
    let ping = invocation.controller.ping().map_err(load)?;
    let rows = rows(&entries, &ping);
    if let Some(only) = only {
        let chosen: Vec<_> = rows.iter().filter(|(key, _)| key.eq_ignore_ascii_case(only)).collect();
        if chosen.is_empty() {
            return Err(Failure::plain(format!("{} not found", escaped(only))));
        }
        for (key, value) in chosen {
            writeln!(invocation.out, "{key:<23} = {}", escaped(value))?;
        }
        return Ok(0);
    }
    let now = Moments::of(invocation).standard();
    writeln!(invocation.out, "Configuration data as of {}", now.at(invocation.now()))?;
    for (key, value) in &rows {
        writeln!(invocation.out, "{key:<23} = {}", escaped(value))?;
    }
    writeln!(invocation.out, "\nSlurmctld(primary) at {} is UP", escaped(&ping.hostname))?;
    Ok(0)
}

/// Slurm's names in the order of the alphabet, then ours.
fn rows(entries: &[ConfigEntry], ping: &PingReply) -> Vec<(String, String)> {
    let value = |key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
    let mut rows: Vec<(String, String)> =
        FIXED.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    rows.push(("ClusterName".to_owned(), ping.cluster.clone()));
    rows.push(("SlurmctldHost[0]".to_owned(), ping.hostname.clone()));
    for (slurm, ours, unit) in NAMES {
        let text = match (value(ours), unit) {
            (None, _) => continue,
            (Some(text), Unit::Count) => text.to_owned(),
            (Some(text), Unit::Seconds) => match seconds(text) {
                Some(seconds) => format!("{seconds} sec"),
                None => text.to_owned(),
            },
        };
        rows.push((slurm.to_owned(), text));
    }
    rows.sort_by_cached_key(|(key, _)| key.to_ascii_lowercase());
    rows.extend(entries.iter().map(|entry| (format!("Squall.{}", entry.key), entry.value.clone())));
    rows
}

/// `1h30m`, `90s`, `500ms`: whole seconds.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    let (mut total, mut rest) = (0u64, text);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, left) = after.split_at(letters);
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(millis)?)?;
        rest = left;
    }
    Some(total / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_configuration_become_seconds() {
        assert_eq!(["5m", "30s", "1h30m", "1500ms"].map(seconds), [Some(300), Some(30), Some(5400), Some(1)]);
        assert_eq!(["m", "5", "5y", "99999999999999999999s"].map(seconds), [None; 4]);
    }
}
