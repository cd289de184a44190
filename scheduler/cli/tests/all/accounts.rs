//! `sacctmgr` and `sreport` on a cluster with accounts.

use crate::canned::{Asked, Canned, refusal};
use crate::sample;
use crate::transcript::{Desk, NOW};
use squall_types::Uid;
use squall_types::accounts::{AccountsEdit, AccountsEntry, Change, EditKind, Entity, Setting};
use squall_types::{AccountName, Span};

pub fn entry(entity: Entity, uid: Option<u32>, settings: &[&str]) -> AccountsEntry {
    let settings = settings.iter().map(|text| Setting::parse(text).expect("a setting")).collect();
    AccountsEntry { entity, uid: uid.map(Uid), settings }
}

pub fn member(account: &str, user: &str, partition: Option<&str>) -> Entity {
    Entity::Association { account: account.into(), user: user.into(), partition: partition.map(Into::into) }
}

pub fn rows() -> Vec<AccountsEntry> {
    vec![
        entry(Entity::Account("root".into()), None, &["description=everybody"]),
        entry(
            Entity::Account("lab".into()),
            None,
            &[
                "parent=root",
                "description=the lab",
                "organization=uni",
                "grptres=cpu=64,gres/gpu=8",
                "coordinators=ann",
            ],
        ),
        entry(
            Entity::Account("vision".into()),
            None,
            &["parent=lab", "description=vision", "maxjobs=4", "qos=high,normal"],
        ),
        entry(Entity::User("ann".into()), Some(1001), &["defaultaccount=vision"]),
        entry(Entity::User("bob".into()), Some(1002), &["defaultaccount=lab", "adminlevel=Operator"]),
        entry(member("vision", "ann", None), Some(1001), &["maxjobs=2", "maxwall=1-0"]),
        entry(member("vision", "ann", Some("gpu")), Some(1001), &["fairshare=5"]),
        entry(member("lab", "bob", None), Some(1002), &[]),
        entry(Entity::Qos("normal".into()), None, &[]),
        entry(
            Entity::Qos("high".into()),
            None,
            &["priority=100", "maxtresperuser=gres/gpu=4", "maxsubmitjobs=9", "flags=DenyOnLimit"],
        ),
    ]
}

fn desk() -> Desk {
    Desk::new(Canned { accounts: rows(), jobs: sample::queue(), accounting: sample::accounts(), ..Canned::default() })
}

#[test]
fn accounts_are_listed_as_slurm_lists_them() {
    insta::assert_snapshot!(desk().transcripts(&[
        "sacctmgr show account",
        "sacctmgr show account withcoord -P",
        "sacctmgr list association format=account%-14,user,partition,share,maxjobs,maxwall,grptres%22,qos tree",
        "sacctmgr -P show assoc where user=ann format=account,user,part,maxj,qos",
        "sacctmgr -n -s list user ann format=account%256",
        "sacctmgr list user",
        "sacctmgr -P list user withassoc",
        "sacctmgr -P show qos",
        "sacctmgr show qos high format=name,prio,maxtrespu,maxsubmitpu,flags",
    ]));
}

/// The edits that a command asks for.
fn edits(line: &str) -> Vec<AccountsEdit> {
    let desk = desk();
    desk.transcripts(&[line]);
    let asked = desk.controller.asked.borrow();
    let of_edits = asked.iter().filter_map(|asked| match asked {
        Asked::EditAccounts(edits) => Some(edits.clone()),
        _ => None,
    });
    of_edits.flatten().collect()
}

#[test]
fn changes_are_told_asked_about_and_made() {
    insta::assert_snapshot!(desk().transcripts(&[
        "sacctmgr -i add account sound parent=lab maxjobs=3",
        "sacctmgr -i add user cleo account=vision,lab maxjobs=1 defaultaccount=lab",
        "sacctmgr -i modify user where name=ann set maxjobs=5 qos+=high",
        "sacctmgr -i modify account lab set grptres=gres/gpu=-1",
        "sacctmgr -i add qos night priority=5 grpjobs=7",
        "sacctmgr -i add coordinator account=lab names=bob",
        "sacctmgr -i delete coordinator account=lab names=ann",
        "sacctmgr -i modify user ann set maxjobs=1 adminlevel=operator",
        "sacctmgr -i modify account lab set description=words grpjobs=1",
        "sacctmgr -i delete user bob",
        "sacctmgr -i delete user name=ann account=vision partition=gpu",
        "sacctmgr -i -Q delete account vision",
        "sacctmgr add account lab",
        "sacctmgr -i modify user nobody set maxjobs=1",
        "sacctmgr add account sound",
    ]));
}

#[test]
fn what_is_asked_of_the_controller_is_what_was_typed() {
    let one = |entity, kind, settings: Vec<Setting>| vec![AccountsEdit { kind, entity, settings }];
    let add = |key: &str, value: &str| Setting { key: key.into(), change: Change::Add, value: value.into() };
    assert_eq!(
        edits("sacctmgr -i modify user bob where account=lab set qos+=high"),
        one(member("lab", "bob", None), EditKind::Modify, vec![add("qos", "high")])
    );
    assert_eq!(
        edits("sacctmgr -i modify user ann set defaultaccount=lab"),
        one(Entity::User("ann".into()), EditKind::Modify, vec![Setting::new("defaultaccount", "lab")])
    );
    // Accounts go from the leaves up, and nothing without a condition.
    let removed: Vec<Entity> =
        edits("sacctmgr -i delete account lab,vision").into_iter().map(|edit| edit.entity).collect();
    assert_eq!(removed, [Entity::Account("vision".into()), Entity::Account("lab".into())]);
    assert_eq!(edits("sacctmgr -i delete account"), []);
    assert_eq!(edits("sacctmgr -i modify account set maxjobs=1"), []);
    assert_eq!(edits("sacctmgr -r -i delete account lab"), []);
}

/// Slurm's question, to which silence, an empty line and the end of the input are no.
#[test]
fn nothing_is_changed_before_somebody_says_yes() {
    let answered = |typed: &str, silent| {
        let desk = Desk { silent, ..desk().typing(typed) };
        let told = desk.transcripts(&["sacctmgr -Q add account sound"]);
        let made = desk.controller.asked.borrow().iter().any(|asked| matches!(asked, Asked::EditAccounts(_)));
        format!("{typed:?}, silent: {silent}, made: {made}\n{told}")
    };
    let of_each =
        [("y\n", false), ("Y", false), ("n\n", false), ("\n", false), ("", false), ("what?\ny\n", false), ("", true)];
    insta::assert_snapshot!(of_each.map(|(typed, silent)| answered(typed, silent)).join("\n"));
}

#[test]
fn what_cannot_be_done_is_said() {
    insta::assert_snapshot!(desk().transcripts(&[
        "sacctmgr -r add account sound",
        "sacctmgr -i add account",
        "sacctmgr -i add user cleo",
        "sacctmgr -i modify account lab set maxjbs=4",
        "sacctmgr -i modify account lab set grpwall=100",
        "sacctmgr -i modify user ann set maxjobs=many",
        "sacctmgr -i modify qos high set maxtrespu=fpga=1",
        "sacctmgr -i modify account lab",
        "sacctmgr -i modify account where colour=blue set maxjobs=1",
        "sacctmgr -i add cluster other",
        "sacctmgr archive dump",
        "sacctmgr frobnicate",
        "sacctmgr modify",
        "sacctmgr list",
        "sacctmgr add frob",
        "sacctmgr -i add account sound parent=nosuch",
        "sacctmgr -i add user ann account=nosuch",
        "sacctmgr -i add coordinator account=nosuch names=ann",
    ]));
}

#[test]
fn usage_is_reported_by_account_user_and_size() {
    let mut jobs = sample::accounts();
    // Two users, on the day before this one.
    let (start, hour) = (NOW - Span::from_hours(24), Span::from_hours(1));
    jobs.truncate(3);
    for (at, job) in jobs.iter_mut().enumerate() {
        job.account = AccountName::from(if at == 2 { "vision" } else { "lab" });
        job.user = if at == 0 { "ann".into() } else { "bob".into() };
        (job.started_at, job.ended_at) = (Some(start), Some(start + hour.times(at as i64 + 1)));
        (job.cpus, job.gpus, job.node_count) = (4 << (at * 4), at as u32, 1);
    }
    let desk = Desk::new(Canned { accounting: jobs, nodes: sample::machines().1, ..Canned::default() });
    insta::assert_snapshot!(desk.transcripts(&[
        "sreport cluster AccountUtilizationByUser start=now-2days end=now",
        "sreport -t hours -P cluster UserUtilizationByAccount start=now-2days end=now",
        "sreport -n -t hours job SizesByAccount start=now-2days end=now",
        "sreport -n -P -t seconds -T cpu,gres/gpu user TopUsage topcount=1 start=now-2days end=now",
        "sreport -n -P cluster AccountUtilizationByUser start=now-2days end=now accounts=vision",
        "sreport cluster nonsense",
        "sreport cluster util start=now end=now-1day",
        "sreport user top -t fortnights",
        "sreport user top -T energy",
    ]));
}

#[test]
fn a_refusal_of_the_controller_is_passed_on() {
    let no =
        refusal("SQ2006", "Access/permission denied", "to change accounts, by uid 1000", "only admins may", "ask one");
    let desk = Desk::new(Canned { accounts: rows(), no_edits: Some(no), ..Canned::default() });
    insta::assert_snapshot!(desk.transcripts(&["sacctmgr -i add account sound"]));
}
