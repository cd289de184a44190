use super::*;
use squall_types::agent::{AttemptEnd, EndCause, ExitStatus, Usage};
use squall_types::{Epoch, Timestamp};

fn run(job: u32, attempt: u32) -> Run {
    Run { job: JobId(job), attempt: Attempt(attempt) }
}

fn ended(code: i32) -> Stage {
    Stage::Ended(AttemptEnd {
        cause: EndCause::Exited,
        exit: ExitStatus { code, signal: 0 },
        ended_at: Timestamp(5),
        usage: Usage::default(),
        detail: String::new(),
    })
}

fn reopened(state: &Path) -> Vec<Record> {
    Ledger::open(state).unwrap().1
}

#[test]
fn what_was_written_is_there_when_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, records) = Ledger::open(dir.path()).unwrap();
    assert_eq!(records, []);
    let node = Record::Node(NodeRecord { epoch: Epoch(3), die_at: None });
    let one = Record::Run { run: run(7, 1), stage: Box::new(ended(1)) };
    ledger.write(&node).unwrap();
    ledger.write(&one).unwrap();
    let (mut ledger, records) = Ledger::open(dir.path()).unwrap();
    assert_eq!(records, [node.clone(), one]);
    ledger.write(&Record::Forgotten { run: run(7, 1) }).unwrap();
    assert_eq!(reopened(dir.path()), [node, Record::Forgotten { run: run(7, 1) }]);
    assert!(!ledger.places().run(run(7, 1)).exists(), "what the crash left is cleared");
}

#[test]
fn garbage_in_the_ledger_costs_one_run() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, _) = Ledger::open(dir.path()).unwrap();
    for job in 1..=3 {
        ledger.write(&Record::Run { run: run(job, 1), stage: Box::new(ended(0)) }).unwrap();
    }
    fs::write(dir.path().join("runs/2.1/record"), b"\xff\x00 not a record").unwrap();
    fs::create_dir(dir.path().join("runs/what is this")).unwrap();
    fs::create_dir(dir.path().join("runs/4.1")).unwrap();
    fs::create_dir(dir.path().join("runs/5.1")).unwrap();
    fs::write(dir.path().join("runs/5.1/claim-1"), b"").unwrap();
    fs::write(dir.path().join("steps/1.1.0"), b"").unwrap();
    fs::write(dir.path().join("forgotten"), b"shorter than it should be, and not a whole number").unwrap();
    let mut records = reopened(dir.path());
    records.sort_by_key(|record| match record {
        Record::Run { run, .. } | Record::Damaged { run } => *run,
        other => panic!("{other:?}"),
    });
    assert!(matches!(records[0], Record::Run { .. }));
    assert_eq!(records[1], Record::Damaged { run: run(2, 1) });
    assert!(matches!(records[2], Record::Run { .. }));
    assert_eq!(records[3], Record::Damaged { run: run(5, 1) }, "a shim was let loose and its record is gone");
    assert_eq!(records.len(), 4, "a folder without record and claim is nothing");
}

#[test]
fn a_damaged_epoch_is_not_guessed() {
    let dir = tempfile::tempdir().unwrap();
    Ledger::open(dir.path()).unwrap();
    fs::write(dir.path().join("node"), b"SQA1").unwrap();
    let error = Ledger::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("node") && error.contains("damaged"), "{error}");
}

#[test]
fn the_log_of_forgotten_runs_survives_a_torn_tail() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, _) = Ledger::open(dir.path()).unwrap();
    for attempt in 1..=3 {
        ledger.write(&Record::Forgotten { run: run(9, attempt) }).unwrap();
    }
    let path = dir.path().join("forgotten");
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(b"torn");
    fs::write(&path, bytes).unwrap();
    let (mut ledger, records) = Ledger::open(dir.path()).unwrap();
    assert_eq!(records, [Record::Forgotten { run: run(9, 3) }]);
    ledger.write(&Record::Forgotten { run: run(10, 1) }).unwrap();
    assert_eq!(reopened(dir.path()).len(), 2, "what follows the tear is read");
}

#[test]
fn a_second_agent_on_the_same_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let held = StateLock::take(dir.path()).unwrap();
    assert!(matches!(StateLock::take(dir.path()), Err(LockError::Taken(_))));
    drop(held);
    StateLock::take(dir.path()).unwrap();
}
