//! Journals that earlier programs wrote start under this one. `tests/old/` has them as those programs left them.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use squall_core::command::Caller;
use squall_core::config::Enforce;
use squall_core::{Cluster, Command, decide};
use squall_journal::{Journal, Options, Recovered, verify};
use squall_types::accounts::{AccountsEdit, EditKind, Entity, Setting};
use squall_types::api::AccountingQuery;
use squall_types::{Epoch, Seq, Timestamp};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A copy: opening a journal changes it.
fn copied(name: &str) -> tempfile::TempDir {
    let from: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/old").join(name);
    let dir = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
    }
    dir
}

fn open(dir: &Path) -> (Journal, Recovered) {
    Journal::open(dir, Options::default()).unwrap()
}

/// Written before there were accounts: a snapshot, and records after it.
#[test]
fn a_journal_from_before_there_were_accounts_starts_and_takes_accounts_in() {
    let dir = copied("before-accounts");
    verify(dir.path()).unwrap();
    let (mut journal, recovered) = open(dir.path());
    assert_eq!((recovered.seq, recovered.from_snapshot, recovered.replayed), (Seq(295), Some(Seq(105)), 190));
    assert_eq!((recovered.epoch, recovered.clean, recovered.notes), (Epoch(2), true, Vec::<String>::new()));
    let cluster: Cluster = recovered.cluster;
    assert_eq!((cluster.jobs.len(), cluster.live_jobs().count()), (51, 38));
    assert_eq!((cluster.nodes.len(), cluster.orders.len()), (19, 15));
    assert_eq!(cluster.alarm, None);
    // Its tables had other indexes.
    let present = AccountingQuery { from: Some(Timestamp(1)), ..AccountingQuery::default() };
    let everything = journal.reader().accounting(&AccountingQuery::default()).unwrap();
    assert!(!everything.jobs.is_empty());
    assert_eq!(journal.reader().accounting(&present).unwrap(), everything);
    // What it did not know is as if nobody had said anything.
    assert_eq!(cluster.config.enforce, Enforce::default());
    assert!(!cluster.accounts.is_limiting() && !cluster.accounts.has_accounts());
    // Limits are set, and are there at the next start, with what runs counted.
    let settings = vec![Setting::new("grpjobs", 2)];
    let edit = AccountsEdit { kind: EditKind::Modify, entity: Entity::Account("root".into()), settings };
    let command = Command::EditAccounts { edits: vec![edit], uids: BTreeMap::new() };
    let now = cluster.live_jobs().map(|job| job.submitted_at).max().unwrap();
    let decision = decide(&cluster, now, &Caller::System, &command).unwrap();
    journal.append_with_blobs(journal.epoch(), &decision.events, &[]).unwrap();
    journal.close().unwrap();
    let (_, recovered) = open(dir.path());
    assert!(recovered.cluster.accounts.is_limiting());
    assert_eq!(recovered.cluster.hash(), decision.after.hash());
}
