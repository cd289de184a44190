//! From an order to execution, and what a crash in between does.

use super::*;

#[test]
fn a_run_goes_from_order_to_acknowledged_end() {
    let mut t = Table::synced();
    assert_eq!(t.delta(vec![assignment(A(), &[0], RUN)], vec![]), ["persist 7.1 accepted", "prepare 7.1"]);
    assert!(!t.duty.is_prepared(A()));
    assert_eq!(t.feed(DutyInput::Prepared { run: A() }), ["persist 7.1 starting 1"]);
    assert!(t.duty.is_prepared(A()));
    assert_eq!(t.flush(), ["start 7.1 1"]);
    let began = t.now;
    assert_eq!(t.feed(DutyInput::ShimStarted { run: A(), began }), ["report 7.1 running"]);
    assert_eq!(
        t.feed(DutyInput::ShimEnded { run: A(), end: ended(EndCause::Exited, 3) }),
        ["persist 7.1 ended Exited"]
    );
    assert_eq!(t.flush(), ["report 7.1 Exited"]);
    assert_eq!(t.ack(A()), ["persist 7.1 forgotten", "forget 7.1"]);
    assert!(t.duty.idle());
}

#[test]
fn a_gang_member_prepares_and_waits_for_the_word() {
    let mut t = Table::synced();
    t.delta(vec![assignment(A(), &[], AssignedPhase::Prepare)], vec![]);
    t.flush();
    assert_eq!(t.feed(DutyInput::Prepared { run: A() }), ["report 7.1 prepared"]);
    assert_eq!(t.delta(vec![assignment(A(), &[], RUN)], vec![]), ["persist 7.1 starting 1"]);
    assert_eq!(t.flush(), ["start 7.1 1"]);
}

#[test]
fn nobody_hears_that_a_part_is_prepared_before_it_is_durable_that_it_was_accepted() {
    let mut t = Table::synced();
    let lines = t.delta(vec![assignment(A(), &[], AssignedPhase::Prepare)], vec![]);
    assert_eq!(lines, ["persist 7.1 accepted", "prepare 7.1"]);
    assert_eq!(t.feed(DutyInput::Prepared { run: A() }), Vec::<String>::new());
    t.feed(DutyInput::Disconnected);
    assert_eq!(t.feed(DutyInput::Connected), ["hello"], "nor in a hello");
    assert_eq!(t.flush(), ["report 7.1 prepared"]);
    t.crash();
    assert_eq!(t.duty.to_examine(), [(A(), Remains::Accepted)]);
}

#[test]
fn what_was_let_loose_before_the_machine_booted_is_never_let_loose_again() {
    let mut t = Table::synced();
    t.delta(vec![assignment(A(), &[], RUN)], vec![]);
    t.feed(DutyInput::Prepared { run: A() });
    assert_eq!(t.flush(), ["start 7.1 1"]);
    t.reboot();
    assert_eq!(t.duty.to_examine(), [(A(), Remains::BeforeBoot(1))]);
    let old = t.disk.iter_mut().find_map(|record| match record {
        Record::Run { stage, .. } => match &mut **stage {
            Stage::Starting { boot, .. } => Some(boot),
            _ => None,
        },
        _ => None,
    });
    old.unwrap().clear();
    t.reboot();
    assert_eq!(t.duty.to_examine(), [(A(), Remains::Launched(1))], "claims of agents that did not say survive it");
}

#[test]
fn nothing_is_executed_before_its_record_is_durable() {
    let mut t = Table::synced();
    t.delta(vec![assignment(A(), &[], RUN)], vec![]);
    assert_eq!(t.tick(5), Vec::<String>::new());
    t.flush();
    t.feed(DutyInput::Prepared { run: A() });
    assert_eq!(t.tick(6), Vec::<String>::new(), "the starting record is not durable");
    assert_eq!(t.flush(), ["start 7.1 1"]);
}

#[test]
fn what_began_is_never_started_again_after_a_crash() {
    for (found, expected) in [
        (Found::Running(at(0)), "hello 7.1=running"),
        (Found::Lost { detail: String::new() }, "hello 7.1=Lost"),
        (Found::Ended(ended(EndCause::Exited, 9)), "hello 7.1=Exited"),
    ] {
        let mut t = Table::synced();
        t.start(A(), &[0]);
        t.crash();
        assert_eq!(t.duty.to_examine(), [(A(), Remains::Launched(1))]);
        assert_eq!(t.feed(DutyInput::Connected), Vec::<String>::new(), "hello waits for the examination");
        let mut lines = t.feed(DutyInput::Found { run: A(), found });
        lines.extend(t.flush());
        assert_eq!(lines.last().map(String::as_str), Some(expected));
        let mut lines = t.full(1, vec![assignment(A(), &[0], RUN)]);
        lines.extend(t.flush());
        assert!(!lines.iter().any(|line| line.starts_with("start") || line.starts_with("prepare")), "{lines:?}");
    }
}

#[test]
fn what_provably_never_began_starts_after_a_crash_under_a_new_launch() {
    let mut t = Table::synced();
    t.delta(vec![assignment(A(), &[], RUN)], vec![]);
    t.flush();
    t.feed(DutyInput::Prepared { run: A() });
    assert_eq!(t.flush(), ["start 7.1 1"]);
    t.crash();
    assert_eq!(t.feed(DutyInput::Found { run: A(), found: Found::NeverBegan }), Vec::<String>::new());
    assert_eq!(t.feed(DutyInput::Connected), ["hello"]);
    assert_eq!(t.full(1, vec![assignment(A(), &[], RUN)]), ["prepare 7.1"]);
    t.feed(DutyInput::Prepared { run: A() });
    assert_eq!(t.flush(), ["start 7.1 2"]);
}

#[test]
fn a_crash_between_record_and_shim_loses_nothing() {
    let mut t = Table::synced();
    t.delta(vec![assignment(A(), &[], RUN)], vec![]);
    t.crash(); // the record was not durable
    assert_eq!(t.feed(DutyInput::Connected), ["hello"]);
    assert_eq!(t.full(1, vec![assignment(A(), &[], RUN)]), ["persist 7.1 accepted", "prepare 7.1"]);
    t.flush();
    for (found, hello, next) in
        [(Found::NeverBegan, "hello", "prepare 7.1"), (Found::Prepared, "hello 7.1=prepared", "persist 7.1 starting 1")]
    {
        t.crash();
        assert_eq!(t.duty.to_examine(), [(A(), Remains::Accepted)]);
        t.feed(DutyInput::Found { run: A(), found });
        assert_eq!(t.feed(DutyInput::Connected), [hello]);
        assert_eq!(t.full(1, vec![assignment(A(), &[], RUN)]), [next]);
    }
}

#[test]
fn a_failed_preparation_or_launch_is_reported_with_its_text() {
    let mut t = Table::synced();
    t.delta(vec![assignment(A(), &[], RUN)], vec![]);
    t.flush();
    t.feed(DutyInput::PrepareFailed { run: A(), detail: "no such user".to_owned() });
    assert_eq!(t.flush(), ["report 7.1 LaunchFailed"]);
}

#[test]
fn a_damaged_record_makes_that_run_lost_and_no_other() {
    let mut t = Table::synced();
    t.start(run(8, 1), &[]);
    t.disk.push(Record::Damaged { run: A() });
    t.crash();
    t.feed(DutyInput::Connected);
    t.feed(DutyInput::Found { run: run(8, 1), found: Found::Running(at(0)) });
    t.feed(DutyInput::Found { run: A(), found: Found::Lost { detail: String::new() } });
    assert_eq!(t.flush(), ["hello 7.1=Lost 8.1=running"]);
}

#[test]
fn records_survive_their_encoding() {
    let records = [
        Record::Node(NodeRecord { epoch: Epoch(3), die_at: Some(at(5).wall) }),
        Record::Run { run: A(), stage: Box::new(Stage::Accepted(assignment(A(), &[1, 2], RUN))) },
        Record::Run {
            run: A(),
            stage: Box::new(Stage::Starting {
                assignment: assignment(A(), &[], CANCEL),
                launch: 2,
                warned: true,
                pause: Pause::default(),
                boot: "one".to_owned(),
            }),
        },
        Record::Run { run: A(), stage: Box::new(Stage::Ended(ended(EndCause::OutOfMemory, 1))) },
        Record::Forgotten { run: A() },
    ];
    for record in records {
        let bytes = minicbor::to_vec(&record).unwrap();
        assert_eq!(minicbor::decode::<Record>(&bytes).unwrap(), record);
    }
}
