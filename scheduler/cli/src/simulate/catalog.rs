//! A catalog of instance types: a CSV file with the columns named below, in any order, beside any others.

use serde::Deserialize;
use std::path::Path;

/// Of a whole catalog.
const MAX_BYTES: u64 = 64 << 20;

/// One type in one region. What it does not say is `None`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Listed {
    pub region: String,
    pub instance_type: String,
    pub gpu_model: Option<String>,
    /// A part of one where GPUs are shared.
    pub gpu_count: Option<f64>,
    pub gpu_mem_gib: Option<f64>,
    pub vcpu: Option<u32>,
    pub mem_gib: Option<f64>,
    pub on_demand_usd_hr: Option<f64>,
    pub spot_usd_hr: Option<f64>,
}

/// All types.
#[derive(Clone, Debug, Default)]
pub struct Catalog(Vec<Listed>);

impl Catalog {
    /// # Errors
    /// In words, with the line.
    pub fn read_file(path: &Path) -> Result<Catalog, String> {
        let told = |error: std::io::Error| format!("{}: {error}", path.display());
        let length = std::fs::metadata(path).map_err(told)?.len();
        if length > MAX_BYTES {
            return Err(format!("{}: a catalog has at most {MAX_BYTES} bytes", path.display()));
        }
        let text = std::fs::read_to_string(path).map_err(told)?;
        Catalog::read(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// # Errors
    /// In words, with the line.
    pub fn read(text: &str) -> Result<Catalog, String> {
        let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
        let mut listed = Vec::new();
        for row in reader.deserialize::<Listed>() {
            let row = row.map_err(|error| {
                let line = error.position().map_or(1, csv::Position::line);
                let why = match error.kind() {
                    csv::ErrorKind::Deserialize { err, .. } => err.to_string(),
                    _ => error.to_string(),
                };
                format!("line {line}: {why}")
            })?;
            let numbers = [row.gpu_count, row.gpu_mem_gib, row.mem_gib, row.on_demand_usd_hr, row.spot_usd_hr];
            if let Some(wrong) = numbers.into_iter().flatten().find(|number| !(0.0..=1e6).contains(number)) {
                return Err(format!("{}: {wrong} is not between 0 and a million", row.instance_type));
            }
            listed.push(row);
        }
        if listed.is_empty() { Err("there is no instance type in it".to_owned()) } else { Ok(Catalog(listed)) }
    }

    /// The type of this name, in this region where one is named.
    ///
    /// # Errors
    /// In words: there is none, or one in several regions.
    pub fn find(&self, name: &str, region: &str) -> Result<&Listed, String> {
        let named: Vec<&Listed> = self.0.iter().filter(|listed| listed.instance_type == name).collect();
        if named.is_empty() {
            let all = self.0.iter().map(|listed| listed.instance_type.as_str());
            let near = squall_types::did_you_mean::closest(name, all);
            let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            return Err(format!("the catalog has no instance type {name}{near}"));
        }
        let there: Vec<&&Listed> =
            named.iter().filter(|listed| region.is_empty() || region.starts_with(&listed.region)).collect();
        let regions = || named.iter().map(|listed| listed.region.as_str()).collect::<Vec<_>>().join(", ");
        match there.as_slice() {
            [one] => Ok(one),
            [] => Err(format!("{name} is not in {region} but in {}", regions())),
            _ => Err(format!("{name} is in several regions: name one of {}", regions())),
        }
    }
}

impl Listed {
    /// The keys of an offer that the catalog knows, as a configuration spells their values.
    ///
    /// # Errors
    /// In words, for a type that has a part of a GPU.
    pub fn keys(&self, spot: bool) -> Result<Vec<(&'static str, String)>, String> {
        if let Some(part) = self.gpu_count.filter(|count| count.fract() > 0.0) {
            return Err(format!("{} has {part} of a GPU: only whole ones are scheduled", self.instance_type));
        }
        let price = if spot { self.spot_usd_hr } else { self.on_demand_usd_hr };
        let gib = |gib: f64| format!("{}M", (gib * 1024.0).round());
        let mut keys = Vec::new();
        keys.extend(self.vcpu.map(|vcpu| ("cpus", vcpu.to_string())));
        keys.extend(self.mem_gib.map(|memory| ("memory", gib(memory))));
        let model = self.gpu_model.as_deref().map(|model| model.to_ascii_lowercase().replace([' ', '/', ':'], "-"));
        let gpus = model.zip(self.gpu_count).filter(|(model, count)| *count > 0.0 && !model.is_empty());
        keys.extend(gpus.map(|(model, count)| ("gpus", format!("{model}:{count}"))));
        keys.extend(self.gpu_mem_gib.map(|memory| ("gpu_memory", gib(memory))));
        keys.extend(price.map(|price| ("price", format!("{price:.6}"))));
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "cloud,region,instance_type,gpu_model,gpu_count,gpu_mem_gib,vcpu,mem_gib,on_demand_usd_hr,spot_usd_hr,source\n\
                        aws,us-east-1,p4d.24xlarge,A100,8,40,96,1152,21.957642,7.246,\"a, b\"\n\
                        gcp,us-central1,c3-8,,,,8,32,0.4,,x\ngcp,us-east4,c3-8,,,,8,32,0.5,,x\n\
                        gcp,us-east4,g4-6,RTXPRO6000,0.125,96,6,22,0.72,,x\n";

    #[test]
    fn a_type_is_found_by_its_name_and_region() {
        let catalog = Catalog::read(TEXT).unwrap();
        let p4d = catalog.find("p4d.24xlarge", "").unwrap();
        let keys = [("cpus", "96"), ("memory", "1179648M"), ("gpus", "a100:8"), ("gpu_memory", "40960M")];
        let mut expected: Vec<_> = keys.map(|(key, value)| (key, value.to_owned())).to_vec();
        expected.push(("price", "7.246000".to_owned()));
        assert_eq!(p4d.keys(true), Ok(expected));
        assert_eq!(catalog.find("c3-8", "us-east4").unwrap().keys(false).unwrap().last().unwrap().1, "0.500000");
        assert!(catalog.find("g4-6", "").unwrap().keys(false).unwrap_err().contains("0.125 of a GPU"));
        let problem = |name, region| catalog.find(name, region).unwrap_err();
        assert_eq!(problem("c3-8", ""), "c3-8 is in several regions: name one of us-central1, us-east4");
        assert_eq!(problem("c3-8", "mars"), "c3-8 is not in mars but in us-central1, us-east4");
        assert_eq!(problem("c3-9", ""), "the catalog has no instance type c3-9; did you mean c3-8?");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let wrong = TEXT.replace("1152", "much");
        assert!(Catalog::read(&wrong).unwrap_err().starts_with("line 2: "), "{:?}", Catalog::read(&wrong));
        assert!(Catalog::read("a,b\n1,2\n").unwrap_err().contains("region"));
        assert!(Catalog::read(&TEXT.replace("21.957642", "-1")).unwrap_err().contains("p4d.24xlarge: -1"));
        assert!(Catalog::read("").is_err());
    }
}
