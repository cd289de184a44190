//! The machines of a baseline: what a configuration could have at most, always on.

use super::asks::Asks;
use squall_core::ClusterConfig;
use squall_types::{CapacityKind, Gpus, HourlyPrice, Resources, Shape, Span};

/// Machines of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    pub shape: Shape,
    pub price: HourlyPrice,
    pub most: u32,
}

/// Everything that jobs of the default partition could run on, preferred kinds first.
#[derive(Clone, Debug, PartialEq)]
pub struct Fleet {
    pub templates: Vec<Template>,
    /// Of jobs that ask for no limit.
    pub default_limit: Span,
}

impl Fleet {
    /// For each pool its own machines and its cheapest admissible offer.
    pub fn of(config: &ClusterConfig) -> Fleet {
        let partition = config.default_partition().and_then(|name| config.partitions.get(name));
        let mut templates = Vec::new();
        for pool in partition.iter().flat_map(|partition| &partition.pools) {
            let Some(pool) = config.pools.get(pool) else { continue };
            for shape in pool.static_nodes.values() {
                match templates.iter_mut().find(|known: &&mut Template| known.price.0 == 0 && known.shape == *shape) {
                    Some(known) => known.most += 1,
                    None => templates.push(Template { shape: shape.clone(), price: HourlyPrice(0), most: 1 }),
                }
            }
            let spot = partition.is_some_and(|partition| partition.spot);
            let offers = pool.offers.iter().filter(|offer| spot || offer.kind != CapacityKind::Spot);
            if let Some(offer) = offers.min_by_key(|offer| (offer.price, &offer.name)) {
                templates.push(Template { shape: offer.shape.clone(), price: offer.price, most: pool.max_nodes });
            }
        }
        let limit = partition.and_then(|partition| partition.default_time.or(partition.max_time));
        Fleet { templates, default_limit: limit.unwrap_or(Span::FOREVER) }
    }

    /// `gpus` GPUs in one place: for comparison with studies that count GPUs and look at no nodes.
    pub fn counted(gpus: u16) -> Fleet {
        let group = squall_types::GpuGroup { model: "gpu".into(), count: gpus, memory_mib: 0, declared: true };
        let cpus = u32::from(gpus);
        let shape = Shape {
            cpus,
            cores: cpus,
            memory_mib: u64::from(gpus),
            gpus: Gpus(vec![group]),
            features: Default::default(),
        };
        Fleet { templates: vec![Template { shape, price: HourlyPrice(0), most: 1 }], default_limit: Span::FOREVER }
    }

    /// What each size needs of one machine of each kind.
    pub(super) fn needs(&self, asks: &Asks) -> Vec<Vec<Option<Resources>>> {
        self.templates.iter().map(|template| asks.needs(&template.shape)).collect()
    }
}
