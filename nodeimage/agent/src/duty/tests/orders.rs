//! Which orders are obeyed.

use super::*;

#[test]
fn a_forgotten_run_cannot_be_executed_again() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    t.feed(DutyInput::ShimEnded { run: A(), end: ended(EndCause::Exited, 0) });
    t.flush();
    t.ack(A());
    t.flush();
    for crash in [false, true] {
        if crash {
            t.crash();
            t.feed(DutyInput::Connected);
        }
        assert_eq!(t.full(1, vec![assignment(A(), &[], RUN)]), ["refuse Forgotten", "report 7.1 Lost"]);
    }
    let lines = t.full(1, vec![assignment(run(7, 2), &[], RUN)]);
    assert_eq!(lines, ["persist 7.2 accepted", "prepare 7.2"], "a higher attempt is another run");
}

#[test]
fn a_lower_attempt_than_one_known_is_refused() {
    let mut t = Table::synced();
    t.start(run(7, 2), &[]);
    t.feed(DutyInput::ShimEnded { run: run(7, 2), end: ended(EndCause::Exited, 0) });
    t.flush();
    assert_eq!(t.delta(vec![assignment(A(), &[], RUN)], vec![]), ["refuse Run", "persist 7.1 ended LaunchFailed"]);
    assert_eq!(t.flush(), ["report 7.1 LaunchFailed"]);
}

#[test]
fn a_second_attempt_waits_for_nobody_while_the_first_lives_it_is_refused() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    assert_eq!(
        t.delta(vec![assignment(run(7, 2), &[], RUN)], vec![]),
        ["refuse Run", "persist 7.2 ended LaunchFailed"]
    );
}

#[test]
fn a_grant_of_a_held_gpu_is_refused_until_the_holder_is_over() {
    let mut t = Table::synced();
    t.start(A(), &[0, 1]);
    assert_eq!(
        t.delta(vec![assignment(run(8, 1), &[1], RUN)], vec![]),
        ["refuse Run", "persist 8.1 ended LaunchFailed"]
    );
    t.flush();
    t.feed(DutyInput::ShimEnded { run: A(), end: ended(EndCause::Exited, 0) });
    t.flush();
    assert_eq!(t.delta(vec![assignment(run(9, 1), &[1], RUN)], vec![]), ["persist 9.1 accepted", "prepare 9.1"]);
}

#[test]
fn only_the_highest_epoch_is_obeyed_and_only_when_it_is_durable() {
    let mut t = Table::new();
    t.feed(DutyInput::Connected);
    assert_eq!(t.full(5, vec![assignment(A(), &[], RUN)]), ["persist epoch 5"]);
    assert_eq!(t.delta(vec![assignment(run(8, 1), &[], RUN)], vec![]), Vec::<String>::new());
    assert_eq!(t.flush(), ["persist 7.1 accepted", "prepare 7.1", "persist 8.1 accepted", "prepare 8.1"]);
    assert_eq!(t.full(4, vec![]), ["refuse StaleEpoch"]);
    assert_eq!(t.ack(A()), ["refuse NotSynced"], "the stale controller's other words count for nothing");
    t.crash();
    t.feed(DutyInput::Connected);
    assert_eq!(t.full(4, vec![]), ["refuse StaleEpoch"], "the epoch was durable");
}

#[test]
fn an_epoch_that_is_not_durable_binds_over_a_reconnection() {
    let mut t = Table::new();
    t.feed(DutyInput::Connected);
    t.full(5, vec![]);
    t.feed(DutyInput::Connected);
    assert_eq!(t.full(5, vec![assignment(A(), &[], RUN)]), Vec::<String>::new());
    assert_eq!(t.flush(), ["persist 7.1 accepted", "prepare 7.1"]);
}

#[test]
fn an_overtaken_generation_is_refused() {
    let mut t = Table::synced();
    t.delta(vec![], vec![]);
    t.generation -= 2;
    assert_eq!(t.delta(vec![assignment(A(), &[], RUN)], vec![]), ["refuse StaleGeneration"]);
}

#[test]
fn deltas_before_the_full_set_are_refused() {
    let mut t = Table::new();
    t.feed(DutyInput::Connected);
    assert_eq!(t.delta(vec![assignment(A(), &[], RUN)], vec![]), ["refuse NotSynced"]);
}

#[test]
fn runs_that_the_full_set_does_not_name_are_stopped_or_forgotten() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    t.start(run(8, 1), &[]);
    t.feed(DutyInput::ShimEnded { run: run(8, 1), end: ended(EndCause::Exited, 0) });
    t.flush();
    assert_eq!(
        t.full(1, vec![]),
        ["persist 7.1 starting 1", "stop 7.1 Cancelled", "persist 8.1 forgotten", "forget 8.1"]
    );
    t.feed(DutyInput::ShimEnded { run: A(), end: ended(EndCause::Exited, 0) });
    assert_eq!(t.flush(), ["report 7.1 Stopped"]);
}

#[test]
fn a_controller_restored_from_a_backup_stops_and_forgets_nothing() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    t.start(run(8, 1), &[]);
    t.feed(DutyInput::ShimEnded { run: run(8, 1), end: ended(EndCause::Exited, 0) });
    t.flush();
    let order = AgentOrder::FullSet {
        epoch: Epoch(2),
        generation: Generation(1),
        assignments: vec![],
        die_at: None,
        keep_unknown: true,
    };
    t.feed(DutyInput::Connected);
    assert_eq!(t.feed(DutyInput::Order(order)), ["persist epoch 2"]);
    assert_eq!(t.flush(), Vec::<String>::new());
    assert_eq!(t.feed(DutyInput::Connected), ["hello 7.1=running 8.1=Exited"]);
}

#[test]
fn signals_reach_running_runs_only() {
    let mut t = Table::synced();
    let order = || DutyInput::Order(AgentOrder::Signal { run: A(), target: SignalTarget::Steps, signal: 10 });
    assert_eq!(t.feed(order()), Vec::<String>::new());
    t.start(A(), &[]);
    assert_eq!(t.feed(order()), ["signal 7.1 Steps 10"]);
}

#[test]
fn a_fault_is_said_when_it_comes_and_with_every_hello() {
    let mut t = Table::synced();
    let fault = "GPU 3 fell off the bus".to_owned();
    assert_eq!(t.feed(DutyInput::Fault(fault.clone())).len(), 1);
    assert_eq!(t.feed(DutyInput::Fault(fault)).len(), 0);
    assert_eq!(t.feed(DutyInput::Connected).len(), 2);
}

#[test]
fn a_fault_that_went_away_in_silence_is_taken_back() {
    let mut t = Table::synced();
    t.feed(DutyInput::Fault("GPU 3 fell off the bus".to_owned()));
    t.feed(DutyInput::Disconnected);
    assert_eq!(t.duty.step(t.now, DutyInput::Fault(String::new())), []);
    let said = t.duty.step(t.now, DutyInput::Connected);
    assert_eq!(said.last(), Some(&DutyOutput::Report(AgentReport::Health { fault: String::new() })));
}
