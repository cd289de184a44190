//! Stops, limits, warnings, and results.

use super::*;

#[test]
fn results_are_kept_until_acknowledged_over_crashes_and_silence() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    t.feed(DutyInput::Disconnected);
    t.feed(DutyInput::ShimEnded { run: A(), end: ended(EndCause::Exited, 4) });
    assert_eq!(t.flush(), Vec::<String>::new(), "nobody listens");
    for _ in 0..3 {
        t.crash();
        assert_eq!(t.feed(DutyInput::Connected), ["hello 7.1=Exited"]);
    }
    assert_eq!(t.full(1, vec![assignment(A(), &[], RUN)]), ["report 7.1 Exited"]);
    t.ack(A());
    t.flush();
    t.crash();
    assert_eq!(t.feed(DutyInput::Connected), ["hello"]);
}

#[test]
fn cancel_wins_over_every_phase_before_the_start() {
    // How many inputs are given before the cancel arrives.
    for progress in 0..4 {
        let mut t = Table::synced();
        t.delta(vec![assignment(A(), &[], RUN)], vec![]);
        if progress > 0 {
            t.flush();
        }
        if progress > 1 {
            t.feed(DutyInput::Prepared { run: A() });
        }
        if progress > 2 {
            t.flush(); // started: now it must be stopped
        }
        let mut lines = t.delta(vec![assignment(A(), &[], CANCEL)], vec![]);
        lines.extend(t.flush());
        match progress {
            3 => {
                let began = t.now;
                lines.extend(t.feed(DutyInput::ShimStarted { run: A(), began }));
                assert_eq!(lines.last().map(String::as_str), Some("stop 7.1 Cancelled"));
            }
            1 => {
                assert_eq!(lines, ["abandon 7.1", "persist 7.1 ended NeverRan", "report 7.1 NeverRan"]);
                assert_eq!(t.feed(DutyInput::Prepared { run: A() }), Vec::<String>::new());
            }
            _ => assert_eq!(lines.last().map(String::as_str), Some("report 7.1 NeverRan"), "{lines:?}"),
        }
        assert!(!lines.iter().any(|line| line.starts_with("start ")), "{lines:?}");
    }
}

#[test]
fn a_stop_is_terminate_grace_and_kill_until_it_is_over() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    assert_eq!(t.delta(vec![assignment(A(), &[], CANCEL)], vec![]), ["stop 7.1 Cancelled", "persist 7.1 starting 1"]);
    assert_eq!(t.duty.next_wake(), Some(at(10).uptime), "a heartbeat comes first");
    assert_eq!(t.tick(29), ["report Heartbeat"]);
    assert_eq!(t.tick(30), ["kill 7.1"]);
    assert_eq!(t.tick(35), Vec::<String>::new());
    assert_eq!(t.tick(40), ["kill 7.1", "report Heartbeat"]);
    t.feed(DutyInput::ShimEnded { run: A(), end: ended(EndCause::Exited, 0) });
    assert_eq!(t.flush(), ["report 7.1 Stopped"]);
}

#[test]
fn a_second_cancel_can_shorten_the_grace() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    t.delta(vec![assignment(A(), &[], CANCEL)], vec![]);
    let now = AssignedPhase::Stop { why: StopWhy::Preempted, grace: Span::ZERO };
    let lines = t.delta(vec![assignment(A(), &[], now)], vec![]);
    assert_eq!(lines, ["persist 7.1 starting 1", "kill 7.1"]);
}

#[test]
fn the_time_limit_holds_without_a_controller_and_over_a_crash() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    t.feed(DutyInput::Disconnected);
    t.tick(60);
    t.crash();
    t.feed(DutyInput::Found { run: A(), found: Found::Running(at(0)) });
    assert_eq!(t.duty.next_wake(), Some(at(100).uptime));
    assert_eq!(t.tick(99), Vec::<String>::new());
    assert_eq!(t.tick(100), ["persist 7.1 starting 1", "stop 7.1 TimeLimit"]);
    assert_eq!(t.tick(130), ["kill 7.1"]);
    t.feed(DutyInput::ShimEnded { run: A(), end: ended(EndCause::Exited, 0) });
    t.flush();
    assert_eq!(t.feed(DutyInput::Connected), ["hello 7.1=TimeLimit"]);
}

#[test]
fn an_extended_limit_counts_from_the_start() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    let mut longer = assignment(A(), &[], RUN);
    longer.detail.time_limit = Span::from_secs(200);
    t.delta(vec![longer], vec![]);
    assert_eq!(t.tick(150), ["report Heartbeat"]);
    assert_eq!(t.tick(200), ["persist 7.1 starting 1", "stop 7.1 TimeLimit", "report Heartbeat"]);
}

#[test]
fn the_warning_comes_once_before_the_limit_to_whom_it_was_meant_for() {
    for (batch_only, target) in [(true, "BatchShell"), (false, "Steps")] {
        let mut t = Table::synced();
        let mut wanted = assignment(A(), &[], RUN);
        wanted.detail.spec.signal = Some(SignalSpec { signal: 12, before: Span::from_secs(20), batch_only });
        t.delta(vec![wanted], vec![]);
        t.flush();
        t.feed(DutyInput::Prepared { run: A() });
        t.flush();
        let began = t.now;
        t.feed(DutyInput::ShimStarted { run: A(), began });
        t.feed(DutyInput::Disconnected);
        assert_eq!(t.duty.next_wake(), Some(at(80).uptime));
        assert_eq!(t.tick(80), ["persist 7.1 starting 1".to_owned(), format!("signal 7.1 {target} 12")]);
        t.flush();
        t.crash();
        t.feed(DutyInput::Found { run: A(), found: Found::Running(at(0)) });
        assert_eq!(t.tick(90), Vec::<String>::new(), "not a second time");
    }
}

#[test]
fn results_of_steps_are_kept_until_acknowledged() {
    let mut t = Table::synced();
    let step = StepEnd {
        run: A(),
        step: StepId(0),
        exit: ExitStatus::default(),
        started_at: at(0).wall,
        ended_at: at(1).wall,
        usage: Usage::default(),
    };
    t.feed(DutyInput::StepEnded(step.clone()));
    t.flush();
    t.crash();
    let outputs = t.duty.step(t.now, DutyInput::Connected);
    assert!(matches!(&outputs[0], DutyOutput::Report(AgentReport::Hello { steps, .. }) if *steps == [step]));
    t.full(1, vec![]);
    t.feed(DutyInput::Order(AgentOrder::Acknowledged { runs: vec![], steps: vec![(A(), StepId(0))] }));
    t.flush();
    t.crash();
    let outputs = t.duty.step(t.now, DutyInput::Connected);
    assert!(matches!(&outputs[0], DutyOutput::Report(AgentReport::Hello { steps, .. }) if steps.is_empty()));
}
