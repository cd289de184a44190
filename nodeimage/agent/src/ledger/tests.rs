use super::*;
use crate::duty::tests::assignment;
use crate::shim::records::Claim;
use squall_types::agent::{AssignedPhase, AttemptEnd, EndCause, ExitStatus, Usage};
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

fn claim(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let claim = Claim { shim: None, boot_id: "this".to_owned() };
    assert!(Folder(folder.to_owned()).claim(1, &claim).unwrap());
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
    ledger.write(vec![node.clone()]).unwrap();
    ledger.write(vec![one.clone()]).unwrap();
    let (mut ledger, records) = Ledger::open(dir.path()).unwrap();
    assert_eq!(records, [node.clone(), one]);
    ledger.write(vec![Record::Forgotten { run: run(7, 1) }]).unwrap();
    fs::create_dir(ledger.places().run(run(7, 1))).unwrap();
    assert_eq!(reopened(dir.path()), [node, Record::Forgotten { run: run(7, 1) }]);
    assert!(!ledger.places().run(run(7, 1)).exists(), "what the crash left is cleared");
}

#[test]
fn only_what_somebody_waits_for_is_told_to_be_durable() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, _) = Ledger::open(dir.path()).unwrap();
    let forgotten = Record::Forgotten { run: run(7, 1) };
    assert!(!ledger.write(vec![forgotten.clone()]).unwrap());
    let accepted = |phase| written(9, Stage::Accepted(assignment(run(9, 1), &[], phase)));
    let now = AssignedPhase::Run { started_at: Timestamp(0), suspended: false };
    assert!(!ledger.write(vec![accepted(now)]).unwrap(), "before it runs, that it does is written down");
    assert!(ledger.write(vec![accepted(AssignedPhase::Prepare)]).unwrap());
    assert!(ledger.write(vec![written(8, ended(1)), Record::Forgotten { run: run(8, 1) }]).unwrap());
    assert_eq!(reopened(dir.path()).len(), 3, "all are written, in their order");
}

fn starting(job: u32) -> Stage {
    let assignment = assignment(run(job, 1), &[], AssignedPhase::Prepare);
    Stage::Starting { assignment, launch: 1, warned: false, pause: Default::default(), boot: String::new() }
}

fn written(job: u32, stage: Stage) -> Record {
    Record::Run { run: run(job, 1), stage: Box::new(stage) }
}

/// A log without the room at its end.
fn entries(log: &Path) -> Vec<u8> {
    let mut bytes = fs::read(log).unwrap();
    let room = bytes.iter().rev().take_while(|byte| **byte == 0).count();
    assert!(room >= 16 << 10, "{room}");
    bytes.truncate(bytes.len() - room);
    bytes
}

#[test]
fn what_is_kept_free_in_the_ledger_is_no_damage_and_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut log = Log::begin(&path, [].iter()).unwrap();
    let record = written(1, ended(0));
    log.append([&record].into_iter()).unwrap();
    let length = fs::metadata(&path).unwrap().len();
    let entry = log.bytes;
    while log.bytes + entry + (16 << 10) <= length {
        log.append([&record].into_iter()).unwrap();
    }
    assert_eq!(fs::metadata(&path).unwrap().len(), length);
    log.append([&record].into_iter()).unwrap();
    assert!(fs::metadata(&path).unwrap().len() > length + (200 << 10));
    let contents = log::read(&path).unwrap();
    assert_eq!((contents.records.len() as u64, contents.damaged), (log.bytes / entry, 0));
    // a torn entry is damage.
    let mut bytes = fs::read(&path).unwrap();
    bytes[log.bytes as usize..][..4].copy_from_slice(b"torn");
    fs::write(&path, bytes).unwrap();
    assert_eq!(log::read(&path).unwrap().damaged, 4);
}

#[test]
fn garbage_in_the_ledger_costs_one_run() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, _) = Ledger::open(dir.path()).unwrap();
    let log = dir.path().join("ledger");
    let mut ends = Vec::new();
    for job in 1..=3 {
        ledger.write(vec![written(job, starting(job))]).unwrap();
        ends.push(entries(&log).len());
        claim(&ledger.places().run(run(job, 1)));
    }
    let mut bytes = entries(&log);
    bytes[ends[0] + 20] ^= 1;
    bytes.extend_from_slice(b"torn");
    fs::write(&log, bytes).unwrap();
    fs::create_dir(dir.path().join("runs/what is this")).unwrap();
    fs::create_dir(dir.path().join("runs/4.1")).unwrap();
    fs::create_dir(dir.path().join("runs/5.1")).unwrap();
    claim(&dir.path().join("runs/5.1"));
    let (mut ledger, mut records) = Ledger::open(dir.path()).unwrap();
    let of = |record: &Record| match record {
        Record::Run { run, .. } | Record::Damaged { run } => *run,
        other => panic!("{other:?}"),
    };
    records.sort_by_key(of);
    let damaged = |job: u32| Record::Damaged { run: run(job, 1) };
    let known = |job: u32| written(job, starting(job));
    // A shim was let loose, and the record of that is gone; a folder without record and claim is nothing.
    assert_eq!(records, [known(1), damaged(2), known(3), damaged(5)]);
    // What is written now is found behind what was damaged.
    ledger.write(vec![written(2, ended(1)), written(5, ended(1))]).unwrap();
    let mut records = reopened(dir.path());
    records.sort_by_key(of);
    assert_eq!(records, [known(1), written(2, ended(1)), known(3), written(5, ended(1))]);
}

#[test]
fn a_start_of_which_only_the_acceptance_can_be_read_is_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, _) = Ledger::open(dir.path()).unwrap();
    let accepted = Stage::Accepted(assignment(run(1, 1), &[], AssignedPhase::Prepare));
    ledger.write(vec![written(1, accepted.clone())]).unwrap();
    assert_eq!(reopened(dir.path()), [written(1, accepted)]);
    let folder = ledger.places().run(run(1, 1));
    claim(&folder);
    assert_eq!(reopened(dir.path()), [Record::Damaged { run: run(1, 1) }]);
    // Nor is one of which nobody can say.
    fs::write(folder.join("course"), b"garbage").unwrap();
    assert_eq!(reopened(dir.path()), [Record::Damaged { run: run(1, 1) }]);
}

#[test]
fn a_long_ledger_is_written_anew_without_what_was_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, _) = Ledger::open(dir.path()).unwrap();
    let detail = "x".repeat(64 << 10);
    let mut longest = 0;
    for job in 1..=200 {
        let Stage::Ended(end) = ended(0) else { unreachable!() };
        let stage = Stage::Ended(AttemptEnd { detail: detail.clone(), ..end });
        ledger.write(vec![written(job, stage), Record::Forgotten { run: run(job, 1) }]).unwrap();
        ledger.places().clear(run(job, 1)).unwrap();
        longest = fs::metadata(dir.path().join("ledger")).unwrap().len().max(longest);
    }
    assert!(longest < SHORT + (512 << 10), "{longest}");
    let records = reopened(dir.path());
    assert_eq!(records.len(), 200);
    assert!(records.iter().all(|record| matches!(record, Record::Forgotten { .. })));
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
        ledger.write(vec![Record::Forgotten { run: run(9, attempt) }]).unwrap();
    }
    let path = dir.path().join("ledger");
    let mut bytes = entries(&path);
    bytes.extend_from_slice(b"torn");
    fs::write(&path, bytes).unwrap();
    let (mut ledger, records) = Ledger::open(dir.path()).unwrap();
    assert_eq!(records, [Record::Forgotten { run: run(9, 3) }]);
    ledger.write(vec![Record::Forgotten { run: run(10, 1) }]).unwrap();
    assert_eq!(reopened(dir.path()).len(), 2, "what follows the tear is read");
}

#[test]
fn a_second_agent_on_the_same_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let held = StateLock::take(dir.path()).unwrap();
    assert!(matches!(StateLock::take(dir.path()), Err(LockError::Taken { .. })));
    drop(held);
    StateLock::take(dir.path()).unwrap();
}
