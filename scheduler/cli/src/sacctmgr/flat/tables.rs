//! What a file adds, shown before it is added: Slurm's four tables.

use super::merge::Plan;
use crate::sacctmgr::known::Row;
use crate::show::table::{Column, Style, chosen, right};
use squall_types::span_text::clock;

static ACCOUNTS: [Column<Row>; 4] = [
    right("Name", 10, |row| row.account.clone()),
    right("Descr", 20, |row| row.description.clone()),
    right("Org", 20, |row| row.organization.clone()),
    right("QOS", 20, nothing),
];

static USERS: [Column<Row>; 6] = [
    right("Name", 10, |row| row.user.clone()),
    right("Def Acct", 10, |row| row.default_account.clone()),
    right("Def WCKey", 10, nothing),
    right("QOS", 20, nothing),
    right("Admin", 9, |row| row.admin.clone()),
    right("Coord Accounts", 20, |row| row.coordinators.clone()),
];

static ASSOCIATIONS: [Column<Row>; 22] = [
    right("User", 10, |row| row.user.clone()),
    right("Account", 10, |row| row.account.clone()),
    right("ParentName", 10, |row| row.parent.clone()),
    right("Share", 9, |row| number(row.shares)),
    right("GrpTRESMins", 13, nothing),
    right("GrpTRESRunMin", 13, nothing),
    right("GrpTRES", 13, |row| row.limits.group.tres.to_string()),
    right("GrpJobs", 7, |row| number(row.limits.group.jobs)),
    right("GrpJobsAccrue", 13, nothing),
    right("GrpMem", 7, |row| number(row.limits.group.tres.memory_mib)),
    right("GrpNodes", 8, |row| number(row.limits.group.tres.nodes)),
    right("GrpSubmit", 9, |row| number(row.limits.group.submits)),
    right("GrpWall", 11, nothing),
    right("MaxTRESMins", 13, nothing),
    right("MaxTRES", 13, |row| row.limits.job.to_string()),
    right("MaxTRESPerNode", 14, nothing),
    right("MaxJobs", 7, |row| number(row.limits.user.jobs)),
    right("MaxSubmit", 9, |row| number(row.limits.user.submits)),
    right("MaxNodes", 8, |row| number(row.limits.job.nodes)),
    right("MaxWall", 11, |row| row.limits.wall.map(clock).unwrap_or_default()),
    right("QOS", 20, |row| row.qos.clone()),
    right("Def QOS", 9, |row| row.default_qos.clone()),
];

const LIMITS: &str = "share,grptresmins,grptresrunmin,grptres,grpjobs,grpjobsaccrue,grpmem,grpnodes,grpsubmit,grpwall,\
                      maxtresmins,maxtres,maxtrespernode,maxjobs,maxsubmit,maxnodes,maxwall,qos,def qos";

fn nothing(_: &Row) -> String {
    String::new()
}

fn number(limit: Option<impl ToString>) -> String {
    limit.map(|limit| limit.to_string()).unwrap_or_default()
}

/// Everything that is new; tables without rows are left out.
pub fn told(plan: &Plan) -> String {
    let of_account = format!("account,parentname,{LIMITS}");
    let of_user = format!("user,account,{LIMITS}");
    table("Accounts", "name,descr,org,qos", &ACCOUNTS, &plan.accounts, 51)
        + &table("Account Associations", &of_account, &ASSOCIATIONS, &plan.accounts, 62)
        + &table("Users", "name,def acct,def wckey,qos,admin,coord accounts", &USERS, &plan.users, 51)
        + &table("User Associations", &of_user, &ASSOCIATIONS, &plan.members, 62)
}

fn table(title: &str, names: &str, known: &'static [Column<Row>], rows: &[Row], rule: usize) -> String {
    // The names are those above.
    let Some(columns) = chosen(names, known).ok().filter(|_| !rows.is_empty()) else { return String::new() };
    format!("{title}\n{}{}\n\n", Style::Columns.table(&columns, rows, true), "-".repeat(rule))
}
