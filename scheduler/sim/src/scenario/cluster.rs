//! Partitions, pools and the clouds behind them: small, and different in each run.

use super::{Kinds, Site};
use crate::dice::Dice;
use squall_core::ClusterConfig;
use squall_core::config::{BudgetConfig, BudgetPeriod, BudgetScope, PartitionConfig, PoolConfig};
use squall_provisioner_sim::{CloudConfig, Fault, FaultPlan, QuotaOf, QuotaRule, Rule, Spread};
use squall_types::{CapacityKind, GpuGroup, Gpus, HourlyPrice, MicroUsd, NodeName, Offer, Shape, Span, Timestamp, Uid};
use std::collections::BTreeSet;

pub struct Drawn {
    pub config: ClusterConfig,
    pub sites: Vec<Site>,
    pub machines: Vec<(NodeName, Shape)>,
}

pub fn draw(dice: &mut Dice, kinds: &Kinds, start: Timestamp, heal_at: Timestamp) -> Drawn {
    let mut config = ClusterConfig::default();
    let mut sites = Vec::new();
    let mut machines = Vec::new();
    // At least one pool is bought; the other two are there or not.
    let gpus = dice.between(1, 4) as u16;
    let names: &[&str] = match dice.below(4) {
        0 => &["gpu"],
        1 => &["gpu", "cpu"],
        2 => &["gpu", "home"],
        _ => &["gpu", "cpu", "home"],
    };
    for name in names {
        let mut pool = timings(dice);
        match *name {
            "home" => {
                for number in 1..=dice.between(1, 3) {
                    let shape = shape(8, if dice.chance(500) { gpus } else { 0 }, "h100");
                    let name = NodeName(format!("home{number}"));
                    machines.push((name.clone(), shape.clone()));
                    pool.static_nodes.insert(name, shape);
                }
            }
            _ => {
                pool.provisioner = format!("sim-{name}");
                pool.max_nodes = dice.between(1, 5) as u32;
                pool.min_nodes = if dice.chance(150) { 1 } else { 0 };
                pool.offers = offers(dice, name, gpus, pool.max_nodes);
                sites.push(site(dice, kinds, name, &pool, start, heal_at));
            }
        }
        config.pools.insert((*name).into(), pool);
    }
    partitions(dice, &mut config, names);
    timing(dice, &mut config);
    if kinds.money {
        budgets(dice, &mut config);
    }
    Drawn { config, sites, machines }
}

fn timings(dice: &mut Dice) -> PoolConfig {
    PoolConfig {
        idle_after: dice.secs(30, 300),
        min_lifetime: dice.secs(0, 120),
        accept_within: dice.secs(60, 300),
        register_within: dice.secs(300, 900),
        prepaid: *dice.pick(&[Span::from_mins(10), Span::from_mins(30), Span::from_hours(1)]),
        lifetime: *dice.pick(&[Span::from_mins(40), Span::from_hours(2), Span::from_hours(24)]),
        waste_cap: dice.secs(120, 600),
        settle: dice.secs(0, 15),
        cool_max: dice.secs(60, 600),
        features: if dice.chance(500) { BTreeSet::from(["fast".to_owned()]) } else { BTreeSet::new() },
        gang_launch: dice.chance(700),
        ..PoolConfig::default()
    }
}

pub fn shape(cpus: u32, gpus: u16, model: &str) -> Shape {
    let group = GpuGroup { model: model.into(), count: gpus, memory_mib: 80_000, declared: true };
    let gpus = Gpus(if gpus > 0 { vec![group] } else { Vec::new() });
    Shape { cpus, cores: cpus, memory_mib: 64_000, gpus, features: BTreeSet::new() }
}

fn offers(dice: &mut Dice, pool: &str, gpus: u16, max_nodes: u32) -> Vec<Offer> {
    let (cpus, gpus) = if pool == "gpu" { (8, gpus) } else { (dice.between(2, 8) as u32, 0) };
    let mut kinds = vec![CapacityKind::OnDemand];
    if dice.chance(400) {
        kinds.push(CapacityKind::Spot);
    }
    let minimum_billed = *dice.pick(&[Span::ZERO, Span::from_mins(1)]);
    let typical_boot = dice.secs(20, 120);
    let mut offers: Vec<Offer> = kinds
        .into_iter()
        .map(|kind| Offer {
            name: format!("{pool}/zone-a/{kind:?}").as_str().into(),
            instance_type: pool.to_owned(),
            scope: "zone-a".to_owned(),
            kind,
            price: HourlyPrice(if kind == CapacityKind::Spot { 3_600_000 } else { 10_800_000 }),
            shape: shape(cpus, gpus, "h100"),
            minimum_billed,
            typical_boot,
            max_per_order: max_nodes.max(4),
        })
        .collect();
    if dice.chance(300) {
        let dear = Offer {
            name: format!("{pool}/zone-b/OnDemand").as_str().into(),
            scope: "zone-b".to_owned(),
            kind: CapacityKind::OnDemand,
            price: HourlyPrice(18_000_000),
            ..offers[0].clone()
        };
        offers.push(dear);
    }
    offers
}

fn site(dice: &mut Dice, kinds: &Kinds, name: &str, pool: &PoolConfig, start: Timestamp, heal_at: Timestamp) -> Site {
    let mut cloud = CloudConfig::selling(pool.offers.clone());
    cloud.boot = Spread::secs(10, 60, 120);
    cloud.patience = dice.secs(20, 60);
    cloud.capabilities.all_or_none = pool.gang_launch;
    cloud.checks_journal = true;
    cloud.spot_life = Spread::secs(60, 600, 1800);
    let mut faults = FaultPlan::none();
    if kinds.cloud {
        if dice.chance(300) {
            let limit = dice.between(1, 4) as u64;
            let (of, scope) = (QuotaOf::Instances, String::new());
            cloud.quotas.push(QuotaRule { name: "instances".to_owned(), of, scope, kind: None, limit });
        }
        if dice.chance(300) {
            cloud.sold[0].capacity = Some(dice.between(0, 3) as u32);
        }
        let until = heal_at;
        for fault in Fault::ALL {
            if dice.chance(250) {
                let rule = Rule::chance(*fault, dice.between(20, 300) as u16);
                faults.push(tempered(*fault, rule).between(start, until));
            }
        }
        // Two lies in a row that agree cannot be told from the truth, so each run has one at most.
        if dice.chance(500) {
            let lie = *dice.pick(&[Fault::ListingEmpty, Fault::ListingShrunken]);
            let from = start + dice.secs(60, 1200);
            faults.push(Rule::once(lie).between(from, until));
        }
    }
    Site { pool: name.into(), cloud, faults }
}

/// Some clouds answer nothing, throttle everything, or have sold out for up to half an hour; says how many do.
pub fn outages(dice: &mut Dice, sites: &mut [Site], start: Timestamp, length: Span) -> u64 {
    let mut count = 0;
    for site in sites {
        if dice.chance(200) {
            let fault =
                *dice.pick(&[Fault::ServerError, Fault::TimeoutBeforeEffect, Fault::Throttled, Fault::StockOut]);
            let from = start + dice.secs(30, length.as_secs());
            let until = (from + dice.secs(120, 1800)).min(start + length);
            site.faults.push(Rule::always(fault).between(from, until));
            count += 1;
        }
        if dice.chance(300) {
            site.faults.push(Rule::chance(Fault::PartialDelivery, 600).between(start, start + length));
        }
    }
    count
}

/// Bounds that keep a run short, and what no ledger could bear out of it.
fn tempered(fault: Fault, rule: Rule) -> Rule {
    match fault {
        Fault::ListingEmpty | Fault::ListingShrunken => Rule { chance: 0, ..rule },
        Fault::Denied | Fault::Rejected => rule.times(1),
        Fault::BootSlow => rule.lasting(Spread::secs(60, 300, 1200)),
        Fault::RetireSlow => rule.lasting(Spread::secs(60, 120, 600)),
        Fault::SuddenDeath => rule.lasting(Spread::secs(1, 300, 1800)),
        _ => rule,
    }
}

fn partitions(dice: &mut Dice, config: &mut ClusterConfig, pools: &[&str]) {
    let all: Vec<_> = pools.iter().rev().map(|name| (*name).into()).collect();
    let main = PartitionConfig {
        pools: all,
        default: true,
        default_time: Some(dice.secs(120, 900)),
        max_time: dice.chance(300).then(|| dice.secs(900, 3600)),
        requeue: dice.chance(800),
        ..PartitionConfig::default()
    };
    config.partitions.insert("main".into(), main);
    let gpu = PartitionConfig {
        pools: vec!["gpu".into()],
        spot: dice.chance(400),
        priority_tier: dice.between(1, 2) as u32,
        exclusive: dice.chance(100),
        max_nodes: dice.chance(100).then_some(2),
        ..PartitionConfig::default()
    };
    config.partitions.insert("gpu".into(), gpu);
}

fn timing(dice: &mut Dice, config: &mut ClusterConfig) {
    config.timing.kill_wait = dice.secs(1, 30);
    config.timing.requeue_after = dice.secs(1, 30);
    config.timing.requeue_max = dice.secs(60, 300);
    config.timing.min_job_age = *dice.pick(&[Span::from_secs(30), Span::from_mins(5), Span::from_hours(1)]);
    config.timing.ledger_age = *dice.pick(&[Span::from_mins(2), Span::from_hours(1)]);
    config.timing.orphan_grace = dice.secs(60, 300);
    config.limits.max_requeues = dice.between(3, 8) as u32;
    config.admins.insert(Uid(900));
}

fn budgets(dice: &mut Dice, config: &mut ClusterConfig) {
    let scopes = [
        BudgetScope::Cluster,
        BudgetScope::Pool("gpu".into()),
        BudgetScope::Partition("main".into()),
        BudgetScope::Account("default".into()),
        BudgetScope::User(Uid(1001)),
    ];
    for number in 0..dice.between(1, 2) {
        let scope = dice.pick(&scopes).clone();
        let limit = MicroUsd(dice.between(1_000_000, 40_000_000));
        let period = if dice.chance(500) { BudgetPeriod::Total } else { BudgetPeriod::Day };
        let name = format!("budget{number}").as_str().into();
        config.budgets.insert(name, BudgetConfig { scope, limit, period });
    }
}
