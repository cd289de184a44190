//! How Slurm tells beforehand what will be added, changed and removed.

use super::known::Known;
use squall_types::accounts::Setting;

/// Settings of accounts and users by their names here and Slurm's, in its order.
const OF_ASSOCIATIONS: [(&str, &str); 13] = [
    ("fairshare", "Fairshare"),
    ("grpjobs", "GrpJobs"),
    ("grpsubmitjobs", "GrpSubmitJobs"),
    ("grptres", "GrpTRES"),
    ("maxjobs", "MaxJobs"),
    ("maxsubmitjobs", "MaxSubmitJobs"),
    ("maxtresperjob", "MaxTRES"),
    ("maxtresperuser", "MaxTRESPerUser"),
    ("maxwall", "MaxWall"),
    ("parent", "Parent"),
    ("priority", "Priority"),
    ("qos", "QOS"),
    ("defaultqos", "DefQOS"),
];

const OF_QOS: [(&str, &str); 15] = [
    ("description", "Description"),
    ("flags", "Flags"),
    ("grptres", "GrpTRES"),
    ("grpjobs", "GrpJobs"),
    ("grpsubmitjobs", "GrpSubmitJobs"),
    ("maxtresperjob", "MaxTRESPerJob"),
    ("maxtresperaccount", "MaxTRESPerAccount"),
    ("maxtresperuser", "MaxTRESPerUser"),
    ("maxjobs", "MaxJobsPerUser"),
    ("maxjobsperaccount", "MaxJobsPerAccount"),
    ("maxsubmitjobs", "MaxSubmitJobsPerUser"),
    ("maxsubmitjobsperaccount", "MaxSubmitJobsPerAccount"),
    ("maxwall", "MaxWall"),
    ("priority", "Priority"),
    ("preempt", "Preempt"),
];

fn told(settings: &[Setting], names: &[(&str, &str)], width: impl Fn(&str) -> usize) -> Vec<String> {
    let line = |(name, title): &(&str, &str)| {
        let setting = settings.iter().find(|setting| setting.name() == *name)?;
        let value = if setting.value == "-1" { "NONE" } else { setting.value.as_str() };
        Some(format!("  {title:<0$}= {value}", width(title)))
    };
    names.iter().filter_map(line).collect()
}

/// Limits of an association.
pub fn limits(settings: &[Setting]) -> Vec<String> {
    told(settings, &OF_ASSOCIATIONS, |_| 14)
}

/// Everything that is set of a quality of service.
pub fn quality(settings: &[Setting]) -> Vec<String> {
    // Slurm's columns are of two widths.
    told(settings, &OF_QOS, |title| if matches!(title, "Description" | "MaxJobsPerUser") { 15 } else { 25 })
}

/// An association as it is told before it is changed; `width` is that of the account.
pub fn association(known: &Known, width: usize, (account, user, partition): &(String, String, String)) -> String {
    let place = if partition.is_empty() { String::new() } else { format!(" P = {partition}") };
    format!("  C = {:<10} A = {account:<width$} U = {user:<9}{place}", known.cluster)
}

/// An association as it is told before it is added.
pub fn added(known: &Known, account: &str, user: Option<&str>, partition: &str) -> String {
    let user = user.map(|user| format!("U = {user:<9} ")).unwrap_or_default();
    let place = if partition.is_empty() { String::new() } else { format!(" P = {partition:<10}") };
    format!("  {user}A = {account:<10} C = {:<10}{place}", known.cluster)
}
