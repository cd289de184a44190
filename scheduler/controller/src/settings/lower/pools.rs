//! Pools, their offers and their machines.

use super::{Lower, below, keys};
use crate::limits::PROVIDER_PATIENCE;
use crate::settings::schema::{Kind, Machine, OfferSettings, PoolSettings, ProgramSettings};
use squall_core::config::PoolConfig;
use squall_types::gres::parse_gpus;
use squall_types::{
    CapacityKind, GpuGroup, Gpus, MicroUsd, NodeName, Offer, OfferName, PoolName, Shape, Span, hostlist,
};
use std::collections::{BTreeMap, BTreeSet};

/// GPUs that one machine can have.
const MAX_GPUS: u32 = 1024;

impl Lower<'_> {
    pub(super) fn pools(&mut self) -> BTreeMap<PoolName, PoolConfig> {
        let pools = &self.settings.pools;
        let mut taken = BTreeMap::new();
        pools.iter().map(|(name, pool)| (PoolName::new(name), self.pool(name, pool, &mut taken))).collect()
    }

    fn pool(&mut self, name: &str, pool: &PoolSettings, taken: &mut BTreeMap<String, String>) -> PoolConfig {
        let place = keys!["pools", name];
        self.name(name, &place);
        self.pool_bounds(name, pool);
        let offers = pool.offers.iter().map(|(offer, settings)| {
            let place = [&place[..], &keys!["offers", offer]].concat();
            self.name(offer, &place);
            self.offer(offer, settings, pool, &place)
        });
        PoolConfig {
            provisioner: if pool.provisioner == Kind::Static {
                String::new()
            } else {
                pool.provisioner.word().to_owned()
            },
            offers: offers.collect(),
            static_nodes: self.static_nodes(name, pool, taken),
            min_nodes: pool.min_nodes,
            max_nodes: pool.max_nodes,
            idle_after: pool.idle_after.0,
            min_lifetime: pool.min_lifetime.0,
            features: pool.features.iter().cloned().collect(),
            file_systems: pool.file_systems.clone(),
            accept_within: pool.accept_within.0,
            register_within: pool.register_within.0,
            prepaid: pool.prepaid.0,
            lifetime: pool.lifetime.0,
            waste_cap: pool.waste_cap.0,
            settle: pool.settle.0,
            absence_grace: pool.absence_grace.0,
            listing_every: pool.listing_every.0,
            breaker_after: pool.breaker_after,
            cool_down: pool.cool_down.0,
            cool_max: pool.cool_max.0,
            memory_tolerance_percent: pool.memory_tolerance_percent,
            // Both kinds of this house that sell machines deliver a gang whole or not at all.
            gang_launch: match pool.provisioner {
                Kind::Local | Kind::Sim => true,
                Kind::Program => pool.program.whole_gangs,
                Kind::Static => false,
            },
        }
    }

    fn pool_bounds(&mut self, name: &str, pool: &PoolSettings) {
        let at = |key: &str| keys!["pools", name, key];
        if pool.min_nodes > pool.max_nodes {
            let problem =
                format!("pool `{name}` has `min_nodes` = {} above `max_nodes` = {}", pool.min_nodes, pool.max_nodes);
            self.wrong(&at("min_nodes"), &problem);
        }
        if pool.max_nodes > self.settings.limits.max_nodes {
            let problem = format!(
                "pool `{name}` has `max_nodes` = {} above `limits.max_nodes` = {}",
                pool.max_nodes, self.settings.limits.max_nodes
            );
            self.wrong(&at("max_nodes"), &problem);
        }
        match pool.provisioner {
            Kind::Static if pool.max_nodes > 0 || !pool.offers.is_empty() => {
                self.wrong(
                    &at("provisioner"),
                    &format!(
                        "pool `{name}` is static, so nothing can be bought: it has no `offers` and no `max_nodes`"
                    ),
                );
            }
            Kind::Static if pool.nodes.is_empty() => {
                self.wrong_key(
                    &keys!["pools", name],
                    &format!("pool `{name}` is static and names no machine under `nodes`"),
                );
            }
            // A program may know by itself what can be bought.
            Kind::Local | Kind::Sim if pool.offers.is_empty() => {
                self.wrong_key(
                    &keys!["pools", name],
                    &format!("pool `{name}` has no `offers`: there is nothing to buy"),
                );
            }
            Kind::Local | Kind::Sim | Kind::Program if pool.max_nodes == 0 => {
                self.wrong_key(
                    &keys!["pools", name],
                    &format!("pool `{name}` has `max_nodes` = 0: nothing could be bought"),
                );
            }
            _ => {}
        }
        match (pool.provisioner, &pool.program) {
            (Kind::Program, program) => self.program(name, program),
            (kind, program) if *program != ProgramSettings::default() => {
                let problem =
                    format!("pool `{name}` has settings of a program, and its provisioner is {:?}", kind.word());
                self.wrong_key(&at("program"), &problem);
            }
            _ => {}
        }
        for (index, path) in pool.file_systems.iter().enumerate() {
            if !path.starts_with('/') {
                let place = below(&at("file_systems"), &format!("[{index}]"));
                self.wrong(&place, &format!("{path:?} is no absolute path"));
            }
        }
        if pool.cool_max.0 < pool.cool_down.0 {
            self.wrong(&at("cool_max"), &format!("pool `{name}` has `cool_max` below `cool_down`"));
        }
        if pool.breaker_after == 0 {
            self.wrong(&at("breaker_after"), &format!("pool `{name}` has `breaker_after` = 0: it could never buy"));
        }
        let spans = [
            ("accept_within", pool.accept_within),
            ("register_within", pool.register_within),
            ("prepaid", pool.prepaid),
            ("lifetime", pool.lifetime),
            ("listing_every", pool.listing_every),
            ("cool_down", pool.cool_down),
        ];
        for (key, time) in spans {
            self.positive(&at(key), Some(time.0));
        }
        // These are added to instants and multiplied with prices, so there is no such thing as never.
        for (key, time) in
            [("prepaid", pool.prepaid), ("lifetime", pool.lifetime), ("register_within", pool.register_within)]
        {
            if time.limited().is_none() {
                self.wrong(&at(key), &format!("pool `{name}` needs an end for `{key}`: \"never\" is none"));
            }
        }
    }

    fn program(&mut self, pool: &str, program: &ProgramSettings) {
        let at = |key: &str| keys!["pools", pool, "program", key];
        match program.command.first().map(String::as_str) {
            None | Some("") => {
                let problem = format!("pool `{pool}` names no program: write `program.command = [\"/path/to/it\"]`");
                self.wrong(&at("command"), &problem);
            }
            Some(path) if path.contains('/') && !path.starts_with('/') => {
                let problem =
                    format!("{path:?} depends on a working directory: write an absolute path, or a name alone");
                self.wrong(&at("command"), &problem);
            }
            Some(_) => {}
        }
        for (index, name) in program.environment.iter().enumerate() {
            let place = below(&at("environment"), &format!("[{index}]"));
            if name.is_empty() || name.contains(['=', '\0']) {
                self.wrong(&place, &format!("{name:?} is no name of a variable"));
            } else if name.starts_with("SQUALL_") {
                self.wrong(&place, &format!("{name} is the controller's own"));
            }
        }
        let most = PROVIDER_PATIENCE - PROVIDER_PATIENCE / 10;
        if program.answer_within.0 <= Span::ZERO || crate::run::duration(program.answer_within.0) > most {
            let problem =
                format!("`answer_within` of pool `{pool}` has to be above 0 and at most {} s", most.as_secs());
            self.wrong(&at("answer_within"), &problem);
        }
    }

    fn offer(&mut self, name: &str, offer: &OfferSettings, pool: &PoolSettings, place: &[String]) -> Offer {
        let shape = self.shape(&offer.machine, &pool.features, place);
        if offer.price.0 > MicroUsd::from_dollars(1_000_000) {
            self.wrong(&below(place, "price"), &format!("offer `{name}` costs more than a million dollars an hour"));
        }
        for (key, time) in [("minimum_billed", offer.minimum_billed), ("typical_boot", offer.typical_boot)] {
            if time.0 > Span::from_hours(24) {
                self.wrong(&below(place, key), &format!("offer `{name}` has `{key}` above a day"));
            }
        }
        let kind = if offer.spot { CapacityKind::Spot } else { CapacityKind::OnDemand };
        let scope = if offer.scope.is_empty() { pool.provisioner.word() } else { &offer.scope };
        let kind_word = if offer.spot { "spot" } else { "on-demand" };
        Offer {
            name: OfferName(format!("{name}/{scope}/{kind_word}")),
            instance_type: name.to_owned(),
            scope: scope.to_owned(),
            kind,
            price: offer.price.hourly(),
            shape,
            minimum_billed: offer.minimum_billed.0,
            typical_boot: offer.typical_boot.0,
            max_per_order: offer.max_per_order,
        }
    }

    fn static_nodes(
        &mut self,
        pool: &str,
        settings: &PoolSettings,
        taken: &mut BTreeMap<String, String>,
    ) -> BTreeMap<NodeName, Shape> {
        let mut nodes = BTreeMap::new();
        for (list, machine) in &settings.nodes {
            let place = keys!["pools", pool, "nodes", list];
            let shape = self.shape(machine, &settings.features, &place);
            let names = match hostlist::parse(list) {
                Ok(names) if names.is_empty() => {
                    self.wrong_key(&place, "an empty host list names no machine");
                    continue;
                }
                Ok(names) => names,
                Err(error) => {
                    self.wrong_key(&place, &error.to_string());
                    continue;
                }
            };
            for name in names {
                if let Some(other) = taken.insert(name.clone(), pool.to_owned()) {
                    self.wrong_key(
                        &place,
                        &format!("the machine `{name}` is named twice: in pool `{other}` and in pool `{pool}`"),
                    );
                }
                nodes.insert(NodeName(name), shape.clone());
            }
        }
        nodes
    }

    fn shape(&mut self, machine: &Machine, features: &[String], place: &[String]) -> Shape {
        if machine.memory.0 == 0 {
            self.wrong(&below(place, "memory"), "a machine without memory runs nothing");
        }
        if machine.cores > machine.cpus {
            let problem = format!(
                "{} cores have at least as many hardware threads, but `cpus` is {}",
                machine.cores, machine.cpus
            );
            self.wrong(&below(place, "cores"), &problem);
        }
        let features: BTreeSet<String> = features.iter().chain(&machine.features).cloned().collect();
        Shape {
            cpus: machine.cpus,
            cores: machine.cores,
            memory_mib: machine.memory.0,
            gpus: self.gpus(machine, place),
            features,
        }
    }

    fn gpus(&mut self, machine: &Machine, place: &[String]) -> Gpus {
        let place = below(place, "gpus");
        let requests = match parse_gpus(&machine.gpus) {
            Ok(requests) => requests,
            Err(error) => {
                self.wrong(&place, &error.to_string());
                return Gpus::default();
            }
        };
        let total: u32 = requests.iter().map(|request| request.count).fold(0, u32::saturating_add);
        if total > MAX_GPUS {
            self.wrong(&place, &format!("{total} GPUs in one machine are more than {MAX_GPUS}"));
            return Gpus::default();
        }
        let mut groups = Vec::new();
        for request in requests {
            let Some(model) = request.model else {
                self.wrong(
                    &place,
                    &format!("{:?} does not say which GPUs they are: write \"MODEL:COUNT\"", machine.gpus),
                );
                continue;
            };
            let memory_mib = machine.gpu_memory.map_or(0, |memory| memory.0);
            let count = u16::try_from(request.count).unwrap_or(u16::MAX);
            groups.push(GpuGroup { model, count, memory_mib, declared: !machine.real_gpus });
        }
        Gpus(groups)
    }
}
