//! Without a controller, and at the end of the machine.

use super::*;

#[test]
fn a_jump_of_the_wall_clock_ends_no_job() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    t.now = Now { wall: Timestamp::from_secs(9_000_000), uptime: at(9).uptime };
    assert_eq!(t.feed(DutyInput::Tick), Vec::<String>::new());
}

#[test]
fn without_contact_no_work_begins() {
    let mut t = Table::synced();
    t.delta(vec![assignment(A(), &[], RUN)], vec![]);
    t.flush();
    t.feed(DutyInput::Disconnected);
    assert_eq!(t.feed(DutyInput::Prepared { run: A() }), Vec::<String>::new());
    assert_eq!(t.feed(DutyInput::Connected), ["hello 7.1=prepared"]);
    let mut lines = t.full(1, vec![assignment(A(), &[], RUN)]);
    lines.extend(t.flush());
    assert_eq!(lines, ["persist 7.1 starting 1", "start 7.1 1"]);
}

#[test]
fn contact_lost_while_committing_leaves_it_prepared() {
    let mut t = Table::synced();
    t.delta(vec![assignment(A(), &[], RUN)], vec![]);
    t.flush();
    t.feed(DutyInput::Prepared { run: A() });
    t.feed(DutyInput::Disconnected);
    assert_eq!(t.flush(), Vec::<String>::new());
    t.feed(DutyInput::Connected);
    t.full(1, vec![assignment(A(), &[], RUN)]);
    assert_eq!(t.flush(), ["start 7.1 2"]);
}

#[test]
fn a_bought_machine_alone_powers_off_after_its_jobs_but_keeps_results_longer() {
    let config = DutyConfig { self_end: true, ..DutyConfig::default() };
    let mut t = Table::with(config, vec![]);
    assert_eq!(t.duty.next_wake(), Some(at(600).uptime), "the boot timer, if nobody ever answers");
    t.feed(DutyInput::Connected);
    t.full(1, vec![]);
    t.flush();
    t.start(A(), &[]);
    t.feed(DutyInput::Disconnected);
    t.now = at(50);
    t.feed(DutyInput::ShimEnded { run: A(), end: ended(EndCause::Exited, 0) });
    t.flush();
    assert_eq!(t.tick(50 + 3599), Vec::<String>::new(), "a result is held");
    assert_eq!(t.tick(50 + 3600), ["power off Alone"]);
    assert_eq!(t.tick(50 + 3700), Vec::<String>::new(), "once");
}

#[test]
fn a_bought_machine_never_outlives_its_bound_and_a_clock_jump_does_not_fire_it() {
    let config = DutyConfig { self_end: true, die_at: Some(at(500).wall), ..DutyConfig::default() };
    let mut t = Table::with(config, vec![]);
    t.feed(DutyInput::Connected);
    t.full(1, vec![]);
    t.flush();
    t.now = Now { wall: at(10_000).wall, uptime: at(3).uptime };
    assert_eq!(t.feed(DutyInput::Tick), Vec::<String>::new());
    assert_eq!(t.tick(500), ["report Heartbeat", "power off DieAt"]);
}

#[test]
fn an_order_moves_the_bound_and_the_move_is_remembered() {
    let config = DutyConfig { self_end: true, die_at: Some(at(500).wall), ..DutyConfig::default() };
    let mut t = Table::with(config, vec![]);
    t.feed(DutyInput::Connected);
    let order = AgentOrder::FullSet {
        epoch: Epoch(1),
        generation: Generation(1),
        assignments: vec![],
        die_at: Some(at(900).wall),
        keep_unknown: false,
    };
    t.feed(DutyInput::Order(order));
    t.flush();
    t.crash();
    t.feed(DutyInput::Connected);
    assert_eq!(t.tick(899), ["report Heartbeat"]);
    assert_eq!(t.tick(900), ["power off DieAt"]);
}

#[test]
fn an_on_prem_node_never_powers_itself_off() {
    let mut t = Table::synced();
    t.feed(DutyInput::Disconnected);
    assert_eq!(t.tick(1_000_000), Vec::<String>::new());
    assert_eq!(t.duty.next_wake(), None);
}

#[test]
fn a_retiring_node_takes_nothing_and_ends_when_all_is_acknowledged() {
    let config = DutyConfig { self_end: true, ..DutyConfig::default() };
    let mut t = Table::with(config, vec![]);
    t.feed(DutyInput::Connected);
    t.full(1, vec![]);
    t.flush();
    t.start(A(), &[]);
    assert_eq!(t.feed(DutyInput::Order(AgentOrder::Retire)), Vec::<String>::new());
    t.delta(vec![assignment(run(8, 1), &[], RUN)], vec![]);
    assert_eq!(t.flush(), ["report 8.1 NeverRan"]);
    t.ack(run(8, 1));
    t.feed(DutyInput::ShimEnded { run: A(), end: ended(EndCause::Exited, 0) });
    t.flush();
    assert_eq!(t.ack(A()), ["persist 7.1 forgotten", "forget 7.1", "power off Retired"]);
}

#[test]
fn a_refused_agent_ends_and_stops_nothing() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    assert_eq!(t.feed(DutyInput::Order(AgentOrder::Refused { why: "older twin".into() })), ["quit older twin"]);
}
