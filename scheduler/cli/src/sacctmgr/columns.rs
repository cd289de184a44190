//! Columns of `sacctmgr`'s lists: Slurm's headings and widths, and the names by which people ask for them.

use super::known::Row;
use crate::show::table::{Column, left, right};
use squall_types::accounts::TresLimits;
use squall_types::span_text::clock;

pub static COLUMNS: [Column<Row>; 50] = [
    right("Account", 10, |row| format!("{}{}", " ".repeat(row.depth), row.account)),
    right("Admin", 9, |row| row.admin.clone()),
    right("Cluster", 10, |row| row.cluster.clone()),
    right("ControlHost", 15, |row| row.host.clone()),
    right("Coordinators", 20, |row| row.coordinators.clone()),
    right("Def Acct", 10, |row| row.default_account.clone()),
    right("Def QOS", 9, |row| row.default_qos.clone()),
    right("Descr", 20, |row| row.description.clone()),
    right("Flags", 20, |row| row.flags.clone()),
    right("GraceTime", 10, |_| "00:00:00".to_owned()),
    right("GrpJobs", 7, |row| number(row.limits.group.jobs)),
    right("GrpSubmit", 9, |row| number(row.limits.group.submits)),
    right("GrpTRES", 13, |row| tres(&row.limits.group.tres)),
    right("GrpTRESMins", 13, nothing),
    right("GrpTRESRunMin", 13, nothing),
    right("GrpWall", 11, nothing),
    left("ID", 6, |row| row.tres.2.to_string()),
    right("MaxJobs", 7, |row| number(row.limits.user.jobs)),
    right("MaxJobsAccrue", 13, nothing),
    right("MaxJobsPA", 9, |row| number(row.limits.account.jobs)),
    right("MaxJobsPU", 9, |row| number(row.limits.user.jobs)),
    right("MaxSubmit", 9, |row| number(row.limits.user.submits)),
    right("MaxSubmitPA", 11, |row| number(row.limits.account.submits)),
    right("MaxSubmitPU", 11, |row| number(row.limits.user.submits)),
    right("MaxTRES", 13, |row| tres(&row.limits.job)),
    right("MaxTRESMins", 13, nothing),
    right("MaxTRESPA", 13, |row| tres(&row.limits.account.tres)),
    right("MaxTRESPerNode", 14, nothing),
    right("MaxTRESPU", 13, |row| tres(&row.limits.user.tres)),
    right("MaxTRESRunMinsPA", 16, nothing),
    right("MaxTRESRunMinsPU", 16, nothing),
    right("MaxWall", 11, |row| row.limits.wall.map(clock).unwrap_or_default()),
    right("MinTRES", 13, nothing),
    right("Name", 10, |row| row.name.clone()),
    right("Org", 20, |row| row.organization.clone()),
    right("Par Name", 10, |row| row.parent.clone()),
    right("Partition", 10, |row| row.partition.clone()),
    right("Preempt", 10, nothing),
    right("PreemptExemptTime", 19, nothing),
    right("PreemptMode", 11, |_| "cluster".to_owned()),
    right("Priority", 10, |row| row.priority.clone()),
    right("QOS", 20, |row| row.qos.clone()),
    right("Share", 9, |row| number(row.shares)),
    right("Type", 8, |row| row.tres.0.to_owned()),
    right("UsageFactor", 11, |_| "1.000000".to_owned()),
    right("UsageThres", 10, nothing),
    right("User", 10, |row| row.user.clone()),
    right("Warn", 5, nothing),
    right("WCKeys", 20, nothing),
    right("Def WCKey", 10, nothing),
];

fn nothing(_: &Row) -> String {
    String::new()
}

fn number(limit: Option<u32>) -> String {
    limit.map(|limit| limit.to_string()).unwrap_or_default()
}

fn tres(limits: &TresLimits) -> String {
    limits.to_string()
}

/// Other names of columns; each may be shortened, the first that begins so is meant.
const NAMES: &[(&str, &str)] = &[
    ("account", "Account"),
    ("acct", "Account"),
    ("adminlevel", "Admin"),
    ("cluster", "Cluster"),
    ("controlhost", "ControlHost"),
    ("coordinators", "Coordinators"),
    ("defaultaccount", "Def Acct"),
    ("defacct", "Def Acct"),
    ("defaultqos", "Def QOS"),
    ("defqos", "Def QOS"),
    ("defaultwckey", "Def WCKey"),
    ("description", "Descr"),
    ("fairshare", "Share"),
    ("flags", "Flags"),
    ("gracetime", "GraceTime"),
    ("grpjobs", "GrpJobs"),
    ("grpsubmitjobs", "GrpSubmit"),
    ("grptres", "GrpTRES"),
    ("grptresmins", "GrpTRESMins"),
    ("grptresrunmins", "GrpTRESRunMin"),
    ("grpwall", "GrpWall"),
    ("id", "ID"),
    ("maxjobs", "MaxJobs"),
    ("maxjobsaccrue", "MaxJobsAccrue"),
    ("maxjobsperaccount", "MaxJobsPA"),
    ("maxjobsperuser", "MaxJobsPU"),
    ("maxjobspa", "MaxJobsPA"),
    ("maxjobspu", "MaxJobsPU"),
    ("maxsubmitjobs", "MaxSubmit"),
    ("maxsubmitjobsperaccount", "MaxSubmitPA"),
    ("maxsubmitjobsperuser", "MaxSubmitPU"),
    ("maxsubmitpa", "MaxSubmitPA"),
    ("maxsubmitpu", "MaxSubmitPU"),
    ("maxtresperjob", "MaxTRES"),
    ("maxtres", "MaxTRES"),
    ("maxtresmins", "MaxTRESMins"),
    ("maxtresperaccount", "MaxTRESPA"),
    ("maxtrespernode", "MaxTRESPerNode"),
    ("maxtresperuser", "MaxTRESPU"),
    ("maxtrespa", "MaxTRESPA"),
    ("maxtrespu", "MaxTRESPU"),
    ("maxwalldurationperjob", "MaxWall"),
    ("mintresperjob", "MinTRES"),
    ("name", "Name"),
    ("organization", "Org"),
    ("parentname", "Par Name"),
    ("partition", "Partition"),
    ("preempt", "Preempt"),
    ("preemptexempttime", "PreemptExemptTime"),
    ("preemptmode", "PreemptMode"),
    ("priority", "Priority"),
    ("qos", "QOS"),
    ("rawusage", "RawUsage"),
    ("share", "Share"),
    ("type", "Type"),
    ("usagefactor", "UsageFactor"),
    ("usagethreshold", "UsageThres"),
    ("user", "User"),
    ("wckeys", "WCKeys"),
    ("warning", "Warn"),
];

/// The list of columns with the headings that they have. `entity` tells what `name` means.
pub fn headings(list: &str, entity: &str) -> String {
    let one = |item: &str| {
        let (name, width) = item.split_once('%').map_or((item, None), |(name, width)| (name, Some(width)));
        let heading = match (heading(name), entity) {
            ("Name", "account") => "Account",
            ("Name", "user") => "User",
            (heading, _) => heading,
        };
        width.map_or_else(|| heading.to_owned(), |width| format!("{heading}%{width}"))
    };
    crate::select::names(list).map(one).collect::<Vec<_>>().join(",")
}

fn heading(name: &str) -> &str {
    if let Some(column) = COLUMNS.iter().find(|column| column.name.eq_ignore_ascii_case(name)) {
        return column.name;
    }
    let name_low = name.to_ascii_lowercase();
    let named = NAMES.iter().find(|(known, _)| *known == name_low);
    let begun = || NAMES.iter().find(|(known, _)| name_low.len() > 1 && known.starts_with(&name_low));
    named.or_else(begun).map_or(name, |(_, heading)| heading)
}
