//! What the cloud does when it is driven directly, on virtual time.

use squall_provisioner::Verb;
use squall_provisioner_sim::{
    Cloud, CloudConfig, CloudNews, Death, Fault, FaultPlan, MachineState, Planted, QuotaOf, QuotaRule, Rule, Spread,
};
use squall_types::{
    CapacityKind, GpuGroup, Gpus, HourlyPrice, InstanceId, LaunchFailure, LaunchOrder, LaunchToken, Launched, MicroUsd,
    Offer, OrderId, Shape, Span, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

const START: Timestamp = Timestamp::from_secs(1_000_000);

fn at(secs: i64) -> Timestamp {
    START + Span::from_secs(secs)
}

fn offer(kind: CapacityKind) -> Offer {
    let gpus = Gpus(vec![GpuGroup { model: "h100".into(), count: 8, memory_mib: 81_559, declared: true }]);
    Offer {
        name: "h100/zone-a".into(),
        instance_type: "h100".into(),
        scope: "zone-a".into(),
        kind,
        price: HourlyPrice(36_000_000),
        shape: Shape { cpus: 64, cores: 32, memory_mib: 1_000_000, gpus, features: BTreeSet::new() },
        minimum_billed: Span::ZERO,
        typical_boot: Span::from_secs(90),
        max_per_order: 100,
    }
}

/// Every delay is fixed, so that tests can say when things happen.
fn config(kind: CapacityKind) -> CloudConfig {
    CloudConfig {
        boot: Spread::always(Span::from_secs(90)),
        answer: Spread::always(Span::from_secs(1)),
        shutdown: Spread::always(Span::from_secs(10)),
        spot_life: Spread::always(Span::from_secs(1_000)),
        ..CloudConfig::selling([offer(kind)])
    }
}

fn cloud_with(rule: Rule) -> Cloud {
    Cloud::new(config(CapacityKind::OnDemand), FaultPlan::none().with(rule), 1)
}

fn fair() -> Cloud {
    Cloud::new(config(CapacityKind::OnDemand), FaultPlan::none(), 1)
}

fn order(number: u64, nodes: u32, kind: CapacityKind) -> LaunchOrder {
    LaunchOrder {
        order: OrderId(number),
        pool: "h100".into(),
        token: LaunchToken::new(format!("token-{number}")),
        offer: offer(kind),
        names: (0..nodes).map(|node| format!("h100-{number}-{node}").as_str().into()).collect(),
        gang: false,
        die_at: at(100_000),
        tags: BTreeMap::new(),
        join: None,
    }
}

fn od(number: u64, nodes: u32) -> LaunchOrder {
    order(number, nodes, CapacityKind::OnDemand)
}

fn ids(launched: &Launched) -> Vec<InstanceId> {
    launched.instances.iter().map(|one| one.instance.clone()).collect()
}

fn listed(cloud: &mut Cloud, now: Timestamp) -> Vec<(InstanceId, bool)> {
    let listing = cloud.list(now).result.expect("no fault on listings");
    listing.instances.into_iter().map(|seen| (seen.instance, seen.ending)).collect()
}

#[test]
fn one_seed_twice_is_one_history() {
    let history = |seed| {
        let faults = Fault::ALL.iter().fold(FaultPlan::none(), |plan, fault| plan.with(Rule::chance(*fault, 100)));
        let sold = [offer(CapacityKind::Spot)];
        let mut cloud = Cloud::new(CloudConfig::selling(sold), faults, seed);
        let mut told = Vec::new();
        for step in 0..200 {
            let now = at(step * 30);
            told.push(format!("{:?}", cloud.launch(now, &order(step as u64 / 2, 3, CapacityKind::Spot))));
            told.push(format!("{:?}", cloud.list(now)));
            let all: Vec<_> = cloud.machines().map(|machine| machine.instance.clone()).take(5).collect();
            told.push(format!("{:?}", cloud.retire(now, &all)));
            told.push(format!("{:?}", cloud.advance(now)));
        }
        told.push(format!("{:?} {:?}", cloud.bill(), cloud.fault_counts()));
        told
    };
    assert_eq!(history(5), history(5));
    assert_ne!(history(5), history(6));
}

#[test]
fn every_fault_can_strike_and_is_counted_by_name() {
    for fault in Fault::ALL {
        let faults = FaultPlan::none().with(Rule::always(*fault));
        let mut cloud = Cloud::new(config(CapacityKind::Spot), faults, 1);
        let order = order(1, 3, CapacityKind::Spot);
        let _ = cloud.offers(at(0));
        let _ = cloud.launch(at(0), &order);
        let _ = cloud.launch(at(1), &order);
        let all: Vec<_> = cloud.machines().map(|machine| machine.instance.clone()).collect();
        let _ = cloud.list(at(2));
        let _ = cloud.retire(at(3), &all);
        cloud.advance(at(10_000));
        assert!(cloud.fault_counts()[fault.name()] > 0, "{fault:?} never struck");
        let others = cloud.fault_counts().into_iter().filter(|(name, _)| *name != fault.name());
        assert_eq!(others.map(|(_, count)| count).sum::<u64>(), 0, "{fault:?} came with others");
    }
}

#[test]
fn machines_boot_when_their_time_has_come() {
    let mut cloud = fair();
    let answer = cloud.launch(at(0), &od(1, 2));
    assert_eq!(answer.heard_at, at(1));
    let launched = ids(&answer.result.unwrap());
    assert_eq!(cloud.next_at(), Some(at(90)));
    assert_eq!(cloud.advance(at(89)), []);
    let events = cloud.advance(at(95));
    assert_eq!(events.iter().map(|event| event.instance.clone()).collect::<Vec<_>>(), launched);
    for event in events {
        assert_eq!(event.at, at(90));
        let CloudNews::Booted { order, shape, die_at, .. } = event.news else { panic!("{event:?}") };
        assert_eq!((order, shape.gpus.count(), die_at), (Some(OrderId(1)), 8, Some(at(100_000))));
    }
}

#[test]
fn a_gang_above_the_quota_buys_nothing_and_hears_the_numbers() {
    let quota = QuotaRule { name: "gpus".into(), of: QuotaOf::Gpus, scope: "zone".into(), kind: None, limit: 100 };
    let mut cloud =
        Cloud::new(CloudConfig { quotas: vec![quota], ..config(CapacityKind::OnDemand) }, FaultPlan::none(), 1);
    cloud.launch(at(0), &od(1, 4)).result.unwrap();
    let gang = LaunchOrder { gang: true, ..od(2, 16) };
    let refused = LaunchFailure::Quota { name: "gpus".into(), limit: 100, used: 32 };
    assert_eq!(cloud.launch(at(0), &gang).result, Err(refused));
    assert_eq!(cloud.machines().count(), 4);
    assert_eq!(cloud.refused_launches()["quota"], 1);
    let part = cloud.launch(at(0), &od(3, 16)).result.unwrap();
    assert_eq!(part.instances.len(), 8, "what is no gang gets what the quota leaves");
}

#[test]
fn a_machine_that_ends_makes_room_when_it_is_gone() {
    let mut cloud = fair();
    cloud.config_mut().sold[0].capacity = Some(1);
    let first = ids(&cloud.launch(at(0), &od(1, 1)).result.unwrap());
    let dry = LaunchFailure::NoCapacity { scope: "h100 in zone-a".into() };
    assert_eq!(cloud.launch(at(0), &od(2, 1)).result, Err(dry.clone()));
    cloud.retire(at(5), &first).result.unwrap();
    assert_eq!(cloud.launch(at(14), &od(2, 1)).result, Err(dry));
    cloud.launch(at(15), &od(2, 1)).result.expect("a launch that failed has not used its token");
}

#[test]
fn a_stock_out_strikes_only_where_and_when_it_is_said() {
    let rule = Rule::always(Fault::StockOut).in_scope("zone-a").between(at(10), at(20));
    let mut cloud = cloud_with(rule);
    cloud.config_mut().sold.push(squall_provisioner_sim::SoldOffer {
        offer: Offer { name: "h100/zone-b".into(), scope: "zone-b".into(), ..offer(CapacityKind::OnDemand) },
        capacity: None,
    });
    let elsewhere = LaunchOrder { offer: cloud.config_mut().sold[1].offer.clone(), ..od(3, 1) };
    assert!(cloud.launch(at(9), &od(1, 1)).result.is_ok());
    assert!(matches!(cloud.launch(at(10), &od(2, 1)).result, Err(LaunchFailure::NoCapacity { .. })));
    assert!(cloud.launch(at(10), &elsewhere).result.is_ok());
    assert!(cloud.launch(at(20), &od(2, 1)).result.is_ok());
}

#[test]
fn a_lost_reply_leaves_one_machine_that_a_repeated_call_finds() {
    let mut cloud = cloud_with(Rule::once(Fault::ReplyLost).on(Verb::Launch));
    let answer = cloud.launch(at(0), &od(1, 1));
    assert_eq!(answer.heard_at, at(60), "the caller waits until it loses patience");
    assert!(matches!(answer.result, Err(LaunchFailure::Unknown { .. })));
    let found = ids(&cloud.launch(at(60), &od(1, 1)).result.unwrap());
    assert_eq!(listed(&mut cloud, at(61)), [(found[0].clone(), false)]);
    assert_eq!(cloud.bill().lines.len(), 1);
    assert_eq!(cloud.bill().lines[0].started_at, at(0));
}

#[test]
fn a_launch_can_happen_after_its_error() {
    let late = Rule::once(Fault::LateEffect).lasting(Spread::always(Span::from_secs(60)));
    let mut cloud = cloud_with(late.clone());
    assert!(matches!(cloud.launch(at(0), &od(1, 1)).result, Err(LaunchFailure::Unknown { .. })));
    assert_eq!(listed(&mut cloud, at(59)), []);
    assert_eq!(listed(&mut cloud, at(60)).len(), 1);

    let mut impatient = cloud_with(late);
    impatient.launch(at(0), &od(1, 1)).result.unwrap_err();
    let found = ids(&impatient.launch(at(5), &od(1, 1)).result.unwrap());
    assert_eq!(listed(&mut impatient, at(100)), [(found[0].clone(), false)], "the late one finds its token used");
}

#[test]
fn a_token_is_forgotten_when_its_life_is_over() {
    let mut cloud = fair();
    let first = cloud.launch(at(0), &od(1, 1)).result.unwrap();
    let life = Span::from_hours(24).as_secs();
    assert_eq!(cloud.launch(at(life - 1), &od(1, 1)).result, Ok(first.clone()));
    assert_ne!(cloud.launch(at(life), &od(1, 1)).result, Ok(first));
}

#[test]
fn an_unjournaled_launch_is_refused_and_counted() {
    let mut cloud =
        Cloud::new(CloudConfig { checks_journal: true, ..config(CapacityKind::OnDemand) }, FaultPlan::none(), 1);
    assert!(matches!(cloud.launch(at(0), &od(1, 1)).result, Err(LaunchFailure::Rejected { .. })));
    assert_eq!((cloud.unjournaled_calls(), cloud.machines().count()), (1, 0));
    cloud.announce("token-1".into());
    cloud.launch(at(0), &od(1, 1)).result.unwrap();
    assert_eq!(cloud.unjournaled_calls(), 1);
}

#[test]
fn some_machines_die_while_booting_and_some_never_boot() {
    let mut cloud = cloud_with(Rule::once(Fault::DeathWhileBooting).lasting(Spread::always(Span::from_secs(20))));
    let launched = ids(&cloud.launch(at(0), &od(1, 2)).result.unwrap());
    let events = cloud.advance(at(10_000));
    assert_eq!((events[0].at, &events[0].instance), (at(20), &launched[0]));
    assert_eq!(events[0].news, CloudNews::Died { why: Death::WhileBooting });
    assert_eq!((events[1].at, &events[1].instance), (at(90), &launched[1]));
    assert_eq!(events.len(), 2);

    let mut cloud = cloud_with(Rule::always(Fault::BootNever));
    let silent = ids(&cloud.launch(at(0), &od(1, 1)).result.unwrap());
    assert_eq!(cloud.advance(at(1_000_000)), []);
    assert_eq!(cloud.machine(&silent[0]).unwrap().state, MachineState::Booting);
}

#[test]
fn spot_machines_are_taken_back_with_notice_and_without() {
    let taken = |fault| {
        let mut cloud = Cloud::new(config(CapacityKind::Spot), FaultPlan::none().with(Rule::always(fault)), 1);
        cloud.launch(at(0), &order(1, 1, CapacityKind::Spot)).result.unwrap();
        let events = cloud.advance(at(10_000)).into_iter();
        events.map(|event| (event.at, event.news)).skip(1).collect::<Vec<_>>()
    };
    let died = CloudNews::Died { why: Death::Spot };
    let notice = CloudNews::SpotNotice { gone_at: at(1_120) };
    assert_eq!(taken(Fault::SpotNotice), [(at(1_000), notice), (at(1_120), died.clone())]);
    assert_eq!(taken(Fault::SpotLoss), [(at(1_000), died)]);
}

#[test]
fn the_bill_is_exact_to_the_millisecond() {
    let mut cloud = fair();
    let launched = ids(&cloud.launch(at(0), &od(1, 1)).result.unwrap());
    cloud.retire(at(100) + Span(500), &launched).result.unwrap();
    cloud.advance(at(1_000));
    let line = &cloud.bill().lines[0];
    assert_eq!(line.ended_at, Some(at(110) + Span(500)));
    // 36 dollars an hour are a cent a second.
    assert_eq!(line.cost(at(1_000)), MicroUsd(1_105_000));
    assert_eq!(cloud.bill().open().count(), 0);
}

#[test]
fn a_minimum_is_billed_even_if_it_was_not_used() {
    let mut cloud = fair();
    cloud.config_mut().sold[0].offer.minimum_billed = Span::from_secs(60);
    let launched = ids(&cloud.launch(at(0), &od(1, 1)).result.unwrap());
    cloud.power_off(at(5), &launched[0]);
    assert_eq!(cloud.bill().total(at(5)), MicroUsd(600_000));
}

#[test]
fn a_spot_price_follows_the_market_where_it_is_said() {
    for (follows, cost) in [(true, 300 * 10_000 + 700 * 20_000), (false, 1_000 * 10_000)] {
        let config = CloudConfig { spot_follows_market: follows, ..config(CapacityKind::Spot) };
        let mut cloud = Cloud::new(config, FaultPlan::none(), 1);
        cloud.change_price(at(300), "h100/zone-a".into(), HourlyPrice(72_000_000));
        cloud.launch(at(0), &order(1, 1, CapacityKind::Spot)).result.unwrap();
        cloud.advance(at(1_000));
        assert_eq!(cloud.bill().total(at(1_000)), MicroUsd(cost));
        assert_eq!(cloud.offers(at(1_000)).result.unwrap()[0].price, HourlyPrice(72_000_000));
    }
}

#[test]
fn a_slow_end_is_billed_until_it_is_over() {
    let mut cloud = cloud_with(Rule::always(Fault::RetireSlow).lasting(Spread::always(Span::from_secs(600))));
    let launched = ids(&cloud.launch(at(0), &od(1, 1)).result.unwrap());
    cloud.retire(at(100), &launched).result.unwrap();
    assert_eq!(listed(&mut cloud, at(600)), [(launched[0].clone(), true)]);
    let events = cloud.advance(at(2_000));
    assert_eq!(
        events.last().map(|event| (event.at, &event.news)),
        Some((at(700), &CloudNews::Died { why: Death::Retired }))
    );
    assert_eq!(cloud.bill().lines[0].ended_at, Some(at(700)));
}

#[test]
fn a_refused_retirement_leaves_its_machine_and_takes_the_others() {
    let mut cloud = cloud_with(Rule::once(Fault::RetireRefused));
    let launched = ids(&cloud.launch(at(0), &od(1, 2)).result.unwrap());
    assert!(matches!(cloud.retire(at(100), &launched).result, Err(LaunchFailure::Denied { .. })));
    assert_eq!(listed(&mut cloud, at(101)), [(launched[0].clone(), false), (launched[1].clone(), true)]);
}

#[test]
fn a_lie_about_a_retirement_shows_in_the_listing() {
    let mut cloud = cloud_with(Rule::once(Fault::RetireLies));
    let launched = ids(&cloud.launch(at(0), &od(1, 1)).result.unwrap());
    cloud.retire(at(100), &launched).result.unwrap();
    assert_eq!(listed(&mut cloud, at(1_000)), [(launched[0].clone(), false)]);
    cloud.retire(at(1_000), &launched).result.unwrap();
    assert_eq!(listed(&mut cloud, at(1_001)), [(launched[0].clone(), true)]);
}

#[test]
fn an_ended_machine_is_listed_as_ending_for_a_while() {
    let mut cloud = fair();
    let launched = ids(&cloud.launch(at(0), &od(1, 1)).result.unwrap());
    cloud.kill(at(50), &launched[0]);
    assert_eq!(listed(&mut cloud, at(649)), [(launched[0].clone(), true)]);
    assert_eq!(listed(&mut cloud, at(650)), []);
}

#[test]
fn listings_come_late_haunted_partial_shrunken_and_empty() {
    let mut late = cloud_with(Rule::always(Fault::ListedLate).lasting(Spread::always(Span::from_secs(45))));
    late.launch(at(0), &od(1, 1)).result.unwrap();
    assert_eq!((listed(&mut late, at(44)).len(), listed(&mut late, at(45)).len()), (0, 1));

    let mut haunted = cloud_with(Rule::always(Fault::ListedWhenGone).lasting(Spread::always(Span::from_secs(100))));
    let launched = ids(&haunted.launch(at(0), &od(1, 1)).result.unwrap());
    haunted.kill(at(10), &launched[0]);
    assert_eq!(listed(&mut haunted, at(109)), [(launched[0].clone(), false)]);
    assert_eq!(listed(&mut haunted, at(110)), []);

    for (fault, complete) in
        [(Fault::ListingPartial, false), (Fault::ListingShrunken, true), (Fault::ListingEmpty, true)]
    {
        let mut cloud = cloud_with(Rule::always(fault));
        cloud.launch(at(0), &od(1, 40)).result.unwrap();
        let listing = cloud.list(at(1)).result.unwrap();
        assert_eq!(listing.complete, complete, "{fault:?}");
        assert!(listing.instances.len() < 40, "{fault:?}");
        assert_eq!(listing.instances.is_empty(), fault == Fault::ListingEmpty, "{fault:?}");
    }
}

#[test]
fn machines_of_others_are_neither_listed_nor_retired() {
    let mut cloud = fair();
    let foreign = cloud.plant(at(0), Planted::default()).unwrap();
    let stray = cloud.plant(at(0), Planted { ours: true, ..Planted::default() }).unwrap();
    let listing = cloud.list(at(1)).result.unwrap();
    assert_eq!(listing.instances.len(), 1);
    assert_eq!((&listing.instances[0].instance, listing.instances[0].order), (&stray, None));
    assert_eq!(cloud.trespasses(), 0);
    cloud.retire(at(2), &[foreign.clone(), stray.clone()]).result.unwrap();
    cloud.advance(at(1_000));
    assert_eq!(cloud.trespasses(), 1);
    assert!(cloud.machine(&foreign).unwrap().exists());
    assert!(cloud.machine(&stray).is_none_or(|machine| !machine.exists()));
}

#[test]
fn a_cloud_that_promises_to_ends_machines_at_their_die_at() {
    let mut cloud = fair();
    cloud.config_mut().capabilities.ends_at_die_at = true;
    cloud.launch(at(0), &od(1, 1)).result.unwrap();
    let events = cloud.advance(at(200_000));
    assert_eq!(
        events.last().map(|event| (event.at, &event.news)),
        Some((at(100_000), &CloudNews::Died { why: Death::DieAt }))
    );
}

#[test]
fn a_healed_cloud_takes_nothing_more_away() {
    let faults = FaultPlan::none().with(Rule::always(Fault::SpotLoss)).with(Rule::always(Fault::SuddenDeath));
    let mut cloud = Cloud::new(config(CapacityKind::Spot), faults, 1);
    cloud.launch(at(0), &order(1, 3, CapacityKind::Spot)).result.unwrap();
    cloud.heal();
    assert_eq!(cloud.advance(at(90_000)).len(), 3, "three boots and no death");
    assert_eq!(cloud.fault_counts()["sudden death"], 3, "the counts stay");
}
