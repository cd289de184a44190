use super::*;
use squall_types::ids::Run;
use squall_types::{Attempt, JobId};
use std::collections::BTreeSet;

const ME: Uid = Uid(1001);
const ROOT: Uid = Uid(0);

fn callers() -> [Caller; 6] {
    let run = Run { job: JobId(5), attempt: Attempt(1) };
    [
        Caller::System,
        Caller::Admin(ROOT),
        Caller::User(ME),
        Caller::Job { uid: ME, run },
        Caller::Job { uid: ROOT, run },
        Caller::Node(NodeId(7)),
    ]
}

fn objects() -> [Object; 8] {
    [
        Object::Job { uid: ME },
        Object::Job { uid: Uid(1002) },
        Object::Node(NodeId(7)),
        Object::Node(NodeId(8)),
        Object::User(ME),
        Object::User(Uid(1002)),
        Object::Cluster,
        Object::None,
    ]
}

/// Columns: the controller, an admin, user 1001, a job of 1001, a job of root, the agent of node 7.
/// In each: a job of 1001, a job of 1002, node 7, node 8, user 1001, user 1002, the cluster, nothing.
const TABLE: &str = "\
Ping             yyyyyyyy yyyyyyyy yyyyyyyy yyyyyyyy yyyyyyyy --------
ReadCluster      yyyyyyyy yyyyyyyy yyyyyyyy yyyyyyyy yyyyyyyy --------
ReadJobs         yyyyyyyy yyyyyyyy yyyyyyyy yyyyyyyy yyyyyyyy --------
ReadAccounting   yyyyyyyy yyyyyyyy yyyyyyyy yyyyyyyy yyyyyyyy --------
ReadLedger       yyyyyyyy yyyyyyyy yyyyyyyy yyyyyyyy yyyyyyyy --------
ReadConfig       yyyyyyyy yyyyyyyy yyyyyyyy yyyyyyyy yyyyyyyy --------
Submit           yyyyyyyy yyyyyyyy y-yyyyyy y-yyyyyy --yyyyyy --------
ChangeJob        yyyyyyyy yy------ y------- y------- -------- --------
ReadScript       yyyyyyyy yy------ y------- y------- -------- --------
StartStep        yyyyyyyy yy------ y------- y------- -------- --------
VisitJob         yyyyyyyy yy------ y------- y------- -------- --------
FinishAllocation yyyyyyyy yy------ y------- y------- -------- --------
EditCrontab      yyyyyyyy yy------ y------- y------- -------- --------
UseTokens        yyyyyyyy ----yy-- ----y--- -------- -------- --------
RaisePriority    yyyyyyyy yyyyyyyy -------- -------- -------- --------
SuspendJob       yyyyyyyy yyyyyyyy -------- -------- -------- --------
ChangeNode       yyyyyyyy yyyyyyyy -------- -------- -------- --------
ChangeAccounts   yyyyyyyy yyyyyyyy -------- -------- -------- --------
Reconfigure      yyyyyyyy yyyyyyyy -------- -------- -------- --------
MakeJoinToken    yyyyyyyy yyyyyyyy -------- -------- -------- --------
Shutdown         yyyyyyyy yyyyyyyy -------- -------- -------- --------
Join             yyyyyyyy -------- -------- -------- -------- --------
RenewCertificate yyyyyyyy -------- -------- -------- -------- --y-----
AgentNews        yyyyyyyy -------- -------- -------- -------- --y-----
FetchBlob        yyyyyyyy -------- -------- -------- -------- --y-----
";

#[test]
fn every_verb_of_every_caller_on_every_object_is_as_the_table_says() {
    let mut table = String::new();
    for verb in Verb::ALL {
        let cell = |caller: &Caller| -> String {
            objects().map(|object| if allow(caller, verb, object).is_ok() { 'y' } else { '-' }).iter().collect()
        };
        let row = callers().map(|caller| cell(&caller)).join(" ");
        table.push_str(&format!("{:<16} {row}\n", format!("{verb:?}")));
    }
    assert_eq!(table, TABLE, "\n{table}");
}

#[test]
fn the_list_of_verbs_is_complete_and_has_none_twice() {
    assert_eq!(Verb::ALL.iter().collect::<BTreeSet<_>>().len(), Verb::ALL.len());
    // The declaration order is the order of the list, so that a verb added at the end without a place in it shows.
    assert!(Verb::ALL.iter().enumerate().all(|(at, verb)| *verb as usize == at));
    assert_eq!(Verb::FetchBlob as usize + 1, Verb::ALL.len());
}

#[test]
fn every_refusal_has_slurms_words_first_and_a_code_of_this_module() {
    for verb in Verb::ALL {
        for caller in callers() {
            for object in objects() {
                let Err(Rejection(refusal)) = allow(&caller, verb, object) else { continue };
                assert_eq!(refusal.slurm, "Access/permission denied");
                assert!(refusal.code.starts_with("SQ2") && refusal.code.len() == 6, "{}", refusal.code);
                assert!(!refusal.asked.is_empty() && !refusal.limit.is_empty());
            }
        }
    }
}

#[test]
fn a_refusal_says_who_asked_for_what_and_who_could() {
    let Rejection(refusal) =
        allow(&Caller::User(ME), Verb::ChangeJob, Object::Job { uid: Uid(1002) }).expect_err("it is not their job");
    assert_eq!(refusal.code, "SQ2001");
    assert_eq!(refusal.asked, "to change a job of uid 1002, by uid 1001");
    assert_eq!(refusal.limit, "only the job's owner or an admin may");
    assert_eq!(refusal.try_this, "ask its owner or an admin");
}

#[test]
fn accounts_are_changed_by_admins_and_by_those_who_look_after_them_and_by_no_job() {
    let may = |entrusted: bool| {
        let object = Object::Accounts { entrusted };
        callers().map(|caller| allow(&caller, Verb::ChangeAccounts, object).is_ok())
    };
    assert_eq!(may(false), [true, true, false, false, false, false]);
    assert_eq!(may(true), [true, true, true, false, false, false]);
}
