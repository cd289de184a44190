use super::*;

fn suspended(table: &mut Table) {
    table.start(A(), &[]);
    table.delta(vec![assignment(A(), &[], SUSPEND)], vec![]);
    assert_eq!(table.flush(), ["freeze 7.1"]);
}

#[test]
fn nothing_is_frozen_before_it_is_written_down_and_it_goes_on_at_once() {
    let mut table = Table::synced();
    table.start(A(), &[]);
    assert_eq!(table.delta(vec![assignment(A(), &[], SUSPEND)], vec![]), ["persist 7.1 starting 1"]);
    assert_eq!(table.flush(), ["freeze 7.1"]);
    assert_eq!(table.delta(vec![assignment(A(), &[], SUSPEND)], vec![]), [""; 0]);
    assert_eq!(table.delta(vec![assignment(A(), &[], RUN)], vec![]), ["thaw 7.1", "persist 7.1 starting 1"]);
    assert_eq!(table.flush(), [""; 0]);
}

#[test]
fn an_order_that_is_taken_back_before_it_is_written_down_freezes_nothing() {
    let mut table = Table::synced();
    table.start(A(), &[]);
    table.delta(vec![assignment(A(), &[], SUSPEND)], vec![]);
    table.delta(vec![assignment(A(), &[], RUN)], vec![]);
    assert_eq!(table.flush(), [""; 0]);
}

#[test]
fn the_limit_comes_later_by_what_the_run_was_suspended() {
    let mut table = Table::synced();
    suspended(&mut table);
    let limit = LIMIT.as_secs();
    assert_eq!(table.tick(limit * 3).last().map(String::as_str), Some("report Heartbeat"));
    table.delta(vec![assignment(A(), &[], RUN)], vec![]);
    table.flush();
    table.tick(limit * 4 - 1);
    assert!(table.duty.next_wake() <= Some(at(limit * 4).uptime));
    assert!(table.tick(limit * 4).contains(&"stop 7.1 TimeLimit".to_owned()));
}

#[test]
fn a_suspended_run_is_ended_like_any_other() {
    let mut table = Table::synced();
    suspended(&mut table);
    let lines = table.delta(vec![assignment(A(), &[], CANCEL)], vec![]);
    assert_eq!(lines, ["stop 7.1 Cancelled", "persist 7.1 starting 1"]);
    table.flush();
    assert!(table.tick(GRACE.as_secs()).contains(&"kill 7.1".to_owned()));
}

#[test]
fn an_agent_that_starts_again_freezes_again_what_was_suspended_and_counts_all_of_it() {
    let mut table = Table::synced();
    suspended(&mut table);
    let began = table.duty.running_since(A()).unwrap();
    table.now = at(500);
    table.crash();
    assert_eq!(table.feed(DutyInput::Found { run: A(), found: Found::Running(began) }), ["freeze 7.1"]);
    // Without a controller it stays so, however long that takes.
    assert_eq!(table.tick(LIMIT.as_secs() * 9), [""; 0]);
    table.feed(DutyInput::Connected);
    let lines = table.full(1, vec![assignment(A(), &[], RUN)]);
    assert_eq!(lines, ["thaw 7.1", "persist 7.1 starting 1"]);
    table.flush();
    table.tick(LIMIT.as_secs() * 10 - 1);
    assert!(table.tick(LIMIT.as_secs() * 10).contains(&"stop 7.1 TimeLimit".to_owned()));
}

#[test]
fn an_agent_whose_record_was_lost_thaws_what_may_be_frozen() {
    let mut table = Table::synced();
    table.start(A(), &[]);
    let began = table.duty.running_since(A()).unwrap();
    table.delta(vec![assignment(A(), &[], SUSPEND)], vec![]);
    table.crash();
    assert_eq!(table.feed(DutyInput::Found { run: A(), found: Found::Running(began) }), ["thaw 7.1"]);
}

#[test]
fn what_was_not_begun_begins_when_its_job_goes_on() {
    let mut table = Table::synced();
    table.delta(vec![assignment(A(), &[], SUSPEND)], vec![]);
    table.flush();
    assert_eq!(table.feed(DutyInput::Prepared { run: A() }), [""; 0]);
    table.delta(vec![assignment(A(), &[], RUN)], vec![]);
    assert_eq!(table.flush(), ["start 7.1 1"]);
}
