//! Each planted bug does what its name says: the right machine passes the same table above.

use super::*;

/// Switches a bug on until dropped.
struct Planted;

impl Planted {
    fn new(name: &str) -> Planted {
        canary::set(Some(name));
        Planted
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        canary::set(None);
    }
}

#[test]
fn exec_before_persist_starts_what_no_record_names() {
    let mut t = Table::synced();
    let _bug = Planted::new(canary::EXEC_BEFORE_PERSIST);
    assert_eq!(t.delta(vec![assignment(A(), &[], RUN)], vec![]), ["persist 7.1 accepted", "prepare 7.1"]);
    assert_eq!(t.feed(DutyInput::Prepared { run: A() }), ["persist 7.1 starting 1", "start 7.1 1"]);
}

#[test]
fn report_before_persist_tells_an_end_that_a_crash_takes_back() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    let _bug = Planted::new(canary::REPORT_BEFORE_PERSIST);
    let lines = t.feed(DutyInput::ShimEnded { run: A(), end: ended(EndCause::Exited, 0) });
    assert_eq!(lines, ["persist 7.1 ended Exited", "report 7.1 Exited"]);
}

#[test]
fn forget_before_ack_loses_the_result() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    let _bug = Planted::new(canary::FORGET_BEFORE_ACK);
    t.feed(DutyInput::ShimEnded { run: A(), end: ended(EndCause::Exited, 0) });
    assert_eq!(t.flush(), ["report 7.1 Exited", "persist 7.1 forgotten", "forget 7.1"]);
}

#[test]
fn accept_lower_epoch_obeys_the_old_controller() {
    let mut t = Table::new();
    t.feed(DutyInput::Connected);
    t.full(5, vec![]);
    t.flush();
    let _bug = Planted::new(canary::ACCEPT_LOWER_EPOCH);
    assert_eq!(t.full(4, vec![assignment(A(), &[], RUN)]), ["persist 7.1 accepted", "prepare 7.1"]);
}

#[test]
fn epoch_not_persisted_obeys_at_once() {
    let mut t = Table::new();
    t.feed(DutyInput::Connected);
    let _bug = Planted::new(canary::EPOCH_NOT_PERSISTED);
    let lines = t.full(5, vec![assignment(A(), &[], RUN)]);
    assert_eq!(lines, ["persist epoch 5", "persist 7.1 accepted", "prepare 7.1"]);
}

#[test]
fn restart_begun_run_executes_twice() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    t.crash();
    t.feed(DutyInput::Connected);
    let _bug = Planted::new(canary::RESTART_BEGUN_RUN);
    t.feed(DutyInput::Found { run: A(), found: Found::Running(at(0)) });
    assert_eq!(t.full(1, vec![assignment(A(), &[], RUN)]), ["prepare 7.1"]);
}

#[test]
fn accept_overlap_gives_a_gpu_twice() {
    let mut t = Table::synced();
    t.start(A(), &[0]);
    let _bug = Planted::new(canary::ACCEPT_OVERLAP);
    assert_eq!(t.delta(vec![assignment(run(8, 1), &[0], RUN)], vec![]), ["persist 8.1 accepted", "prepare 8.1"]);
}

#[test]
fn accept_old_attempt_takes_what_was_forgotten() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    t.feed(DutyInput::ShimEnded { run: A(), end: ended(EndCause::Exited, 0) });
    t.flush();
    t.ack(A());
    let _bug = Planted::new(canary::ACCEPT_OLD_ATTEMPT);
    assert_eq!(t.delta(vec![assignment(A(), &[], RUN)], vec![]), ["persist 7.1 accepted", "prepare 7.1"]);
}

#[test]
fn claim_outlives_boot_believes_that_nothing_was_let_loose() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    let _bug = Planted::new(canary::CLAIM_OUTLIVES_BOOT);
    t.reboot();
    assert_eq!(t.duty.to_examine(), [(A(), Remains::Launched(1))]);
}

#[test]
fn no_limit_without_contact_lets_jobs_run_on() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    t.feed(DutyInput::Disconnected);
    let _bug = Planted::new(canary::NO_LIMIT_WITHOUT_CONTACT);
    assert_eq!(t.tick(200), Vec::<String>::new());
}

#[test]
fn power_off_under_jobs_cuts_them_short() {
    let config = DutyConfig { self_end: true, ..DutyConfig::default() };
    let mut t = Table::with(config, vec![]);
    t.feed(DutyInput::Connected);
    t.full(1, vec![]);
    t.flush();
    let mut long = assignment(A(), &[], RUN);
    long.detail.time_limit = Span::FOREVER;
    t.delta(vec![long], vec![]);
    t.feed(DutyInput::Disconnected);
    let _bug = Planted::new(canary::POWER_OFF_UNDER_JOBS);
    assert_eq!(t.tick(3600), ["power off Alone"]);
}

#[test]
fn every_canary_can_be_switched_on_alone() {
    for name in canary::ALL {
        let _bug = Planted::new(name);
        assert_eq!(canary::ALL.iter().filter(|other| canary::active(other)).collect::<Vec<_>>(), [name]);
    }
}
