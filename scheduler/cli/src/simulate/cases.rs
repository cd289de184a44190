//! The configurations to try: from files or from nothing, completed from the catalog, and with several caps.

use super::catalog::Catalog;
use super::{failed, seed, wrong};
use crate::asked::Asked;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::terminal::escaped;
use squall_sim::whatif::{Bounds, Fleet, Setup, Work};
use squallctld::settings::{self, PREFIX, SEPARATOR};
use std::path::{Path, PathBuf};

/// Of a configuration file.
const MAX_BYTES: u64 = 4 << 20;
/// Configurations times caps.
const MAX_CASES: usize = 32;

/// What to try.
#[derive(Clone, Debug)]
pub struct Case {
    pub setup: Setup,
    /// What baselines run on.
    pub fleet: Fleet,
}

impl Case {
    pub fn bounds(&self, work: &[Work]) -> Bounds {
        Bounds::of(&self.fleet, work)
    }
}

/// # Errors
/// A configuration, catalog or cap that makes no sense.
pub fn cases(invocation: &Invocation<'_>, asked: &Asked) -> Result<Vec<Case>, Failure> {
    let catalog = asked.text("catalog").map(|file| Catalog::read_file(&invocation.directory.join(file))).transpose();
    let catalog = catalog.map_err(failed)?;
    let caps = caps(asked)?;
    if asked.has("gpus-only") && caps.iter().any(|cap| !matches!(cap, Some(Some(_)))) {
        return Err(wrong("--gpus-only needs --max-gpus: on how many GPUs?"));
    }
    let seed = seed(asked)?;
    let mut cases = Vec::new();
    for (name, path, text) in sources(invocation, asked, catalog.is_some())? {
        let config = lowered(&path, &text, catalog.as_ref())?;
        let setup = Setup { name, config, seed };
        for cap in &caps {
            cases.push(case(&setup, *cap, asked.has("gpus-only"))?);
        }
    }
    if cases.len() > MAX_CASES {
        return Err(wrong(format_args!("{} configurations and caps; at most {MAX_CASES} are played", cases.len())));
    }
    Ok(cases)
}

fn case(setup: &Setup, cap: Option<Option<u32>>, gpus_only: bool) -> Result<Case, Failure> {
    let gpus = cap.flatten();
    let mut setup = match cap {
        Some(cap) if !gpus_only => setup.capped(cap).map_err(|why| failed(format_args!("--max-gpus: {why}")))?,
        _ => setup.clone(),
    };
    match (cap, gpus) {
        (Some(_), Some(gpus)) => setup.name = format!("{} ≤ {gpus} GPUs", setup.name),
        (Some(_), None) => setup.name = format!("{} unlimited", setup.name),
        _ => {}
    }
    let counted = gpus.filter(|_| gpus_only).and_then(|gpus| u16::try_from(gpus).ok());
    let fleet = counted.map_or_else(|| Fleet::of(&setup.config), Fleet::counted);
    Ok(Case { setup, fleet })
}

/// `None`: as configured. `Some(None)`: unlimited.
fn caps(asked: &Asked) -> Result<Vec<Option<Option<u32>>>, Failure> {
    let Some(list) = asked.text("max-gpus") else { return Ok(vec![None]) };
    let cap = |text: &str| match (text, text.parse::<u32>()) {
        ("unlimited", _) => Ok(Some(None)),
        (_, Ok(gpus)) if (1..=60_000).contains(&gpus) => Ok(Some(Some(gpus))),
        _ => {
            let text = escaped(text);
            Err(wrong(format_args!("--max-gpus: {text:?} is neither `unlimited` nor a number from 1 to 60000")))
        }
    };
    list.split(',').map(cap).collect()
}

/// Name, path and text of each configuration.
fn sources(
    invocation: &Invocation<'_>,
    asked: &Asked,
    has_catalog: bool,
) -> Result<Vec<(String, PathBuf, String)>, Failure> {
    let files = asked.texts("config");
    if files.is_empty() {
        let (name, text) = match asked.text("type") {
            Some(_) if !has_catalog => return Err(wrong("--type names a type of the catalog: --catalog is missing")),
            Some(named) => {
                let (name, region) = named.split_once('@').unwrap_or((named, ""));
                (name.to_owned(), built_in(&format!("{:?}", name), &format!("scope = {region:?}")))
            }
            None => ("8-GPU nodes".to_owned(), built_in("node", PLAIN_NODE)),
        };
        return Ok(vec![(name, PathBuf::from("built-in"), text)]);
    }
    if asked.has("type") {
        return Err(wrong("--type and --config exclude each other: name the type in the configuration"));
    }
    let read = |file: &String| {
        let path = invocation.directory.join(file);
        let told = |error: std::io::Error| failed(format_args!("{}: {error}", path.display()));
        if std::fs::metadata(&path).map_err(told)?.len() > MAX_BYTES {
            return Err(failed(format_args!("{}: a configuration has at most {MAX_BYTES} bytes", path.display())));
        }
        let text = std::fs::read_to_string(&path).map_err(told)?;
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Ok((name, path, text))
    };
    files.iter().map(read).collect()
}

/// Half a terabyte and 64 hardware threads with 8 GPUs, for nothing.
const PLAIN_NODE: &str = "cpus = 64\nmemory = \"512G\"\ngpus = \"any:8\"";

/// One pool that buys one kind of node, as many as the cluster may have.
fn built_in(offer: &str, keys: &str) -> String {
    format!(
        "[partitions.gpu]\npools = [\"gpu\"]\n[pools.gpu]\nprovisioner = \"sim\"\nmax_nodes = 20000\n\
         prepaid = \"24h\"\nlisting_every = \"10m\"\n[pools.gpu.offers.{offer}]\n{keys}\n"
    )
}

fn lowered(path: &Path, text: &str, catalog: Option<&Catalog>) -> Result<squall_sim::whatif::ClusterConfig, Failure> {
    let known = catalog.map(|catalog| from_catalog(text, catalog)).transpose();
    let known = known.map_err(|why| failed(format_args!("{}: {why}", path.display())))?;
    let loaded = settings::load_text(path, text, known.unwrap_or_default()).map_err(|errors| {
        let mut lines = errors
            .iter()
            .flat_map(|error| error.to_string().lines().map(|line| escaped(line).into_owned()).collect::<Vec<_>>());
        let first = failed(lines.next().unwrap_or_default());
        lines.fold(first, Failure::and_line)
    })?;
    if loaded.cluster.default_partition().is_none() {
        return Err(failed(format_args!("{}: no partition is the default: jobs of a trace name none", path.display())));
    }
    Ok(loaded.cluster)
}

/// What offers leave out and the catalog knows, as overrides of the configuration. An offer that says what it has needs
/// no catalog.
fn from_catalog(text: &str, catalog: &Catalog) -> Result<Vec<(String, String)>, String> {
    // What is no TOML is told, with its place, by whoever reads it in earnest.
    let Ok(file) = text.parse::<toml::Table>() else { return Ok(Vec::new()) };
    let tables = |of: Option<&toml::Value>| of.and_then(toml::Value::as_table).cloned().unwrap_or_default();
    let mut known = Vec::new();
    for (pool, settings) in tables(file.get("pools")) {
        for (name, offer) in tables(settings.get("offers")) {
            let says = |key: &str| offer.get(key).is_some();
            if ["cpus", "memory", "price"].into_iter().all(says) {
                continue;
            }
            let scope = offer.get("scope").and_then(toml::Value::as_str).unwrap_or_default();
            let spot = offer.get("spot").and_then(toml::Value::as_bool).unwrap_or(false);
            let keys = catalog.find(&name, scope).and_then(|listed| listed.keys(spot));
            let keys = keys.map_err(|why| format!("offer {name} of pool {pool}: {why}"))?;
            if !says("price") && !keys.iter().any(|(key, _)| *key == "price") {
                return Err(format!("offer {name} of pool {pool}: the catalog has no {} price", price_word(spot)));
            }
            for (key, value) in keys.into_iter().filter(|(key, _)| !says(key)) {
                known.push(([PREFIX, "POOLS", &pool, "OFFERS", &name, key].join(SEPARATOR), value));
            }
        }
    }
    Ok(known)
}

fn price_word(spot: bool) -> &'static str {
    if spot { "spot" } else { "on-demand" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CATALOG: &str = "region,instance_type,gpu_model,gpu_count,gpu_mem_gib,vcpu,mem_gib,on_demand_usd_hr,spot_usd_hr\n\
                           us-east-1,p3.16xlarge,V100,8,16,64,488,24.48,\n";

    #[test]
    fn an_offer_takes_from_the_catalog_what_it_leaves_out() {
        let catalog = Catalog::read(CATALOG).unwrap();
        let text = built_in("\"p3.16xlarge\"", "memory = \"100G\"");
        let config = lowered(Path::new("x.toml"), &text, Some(&catalog)).unwrap();
        let offer = &config.pools[&"gpu".into()].offers[0];
        assert_eq!((offer.shape.cpus, offer.shape.memory_mib, offer.shape.gpus.count()), (64, 102_400, 8));
        assert_eq!(offer.price.0, 24_480_000);
        let spot = built_in("\"p3.16xlarge\"", "spot = true");
        let failure = lowered(Path::new("x.toml"), &spot, Some(&catalog)).unwrap_err();
        assert!(failure.to_string().contains("no spot price"), "{failure}");
        let other = built_in("\"p9\"", "");
        let failure = lowered(Path::new("x.toml"), &other, Some(&catalog)).unwrap_err();
        assert!(failure.to_string().contains("offer p9 of pool gpu: the catalog has no instance type p9"), "{failure}");
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        let text = built_in("node", PLAIN_NODE).replace("max_nodes = 20000", "max_nodes = \"many\"");
        let failure = lowered(Path::new("x.toml"), &text, None).unwrap_err().to_string();
        assert!(failure.contains("x.toml:5:"), "{failure}");
    }
}
