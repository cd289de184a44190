//! The simulated cloud as a program of its own: what it sells is what its pool's configuration offers.
//!
//! ```toml
//! [pools.sky]
//! provisioner = "program"
//! program.command = ["squall-provisioner-sim"]
//! program.settings = { seed = 7, capacity = 20, faults = { "stock-out" = 50, "reply lost" = 20 } }
//! ```

mod kept;

use crate::{CloudConfig, Fault, FaultPlan, Permille, Rule, Spread};
use kept::KeptCloud;
use serde::Deserialize;
use squall_provisioner::Provisioner;
use squall_provisioner::bridge::{About, Start, program};
use squall_types::Span;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// What `program.settings` can say.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Of its chances.
    seed: u64,
    /// Machines of each offer that may exist at once; unset is no limit.
    capacity: Option<u32>,
    /// From a call to its answer, in milliseconds; unset is drawn anew for each call.
    answer_ms: Option<i64>,
    /// From an accepted launch to a booted machine, in milliseconds; unset is drawn anew for each machine.
    boot_ms: Option<i64>,
    /// What goes wrong, by name, in thousandths of the times when it could.
    faults: BTreeMap<String, Permille>,
    /// For tests: a file that says what time it is, and how much room there is.
    control: Option<PathBuf>,
}

impl Settings {
    fn cloud(&self, start: &Start) -> CloudConfig {
        let mut config = CloudConfig::selling(start.offers.iter().cloned());
        config.sold.iter_mut().for_each(|sold| sold.capacity = self.capacity);
        if let Some(millis) = self.answer_ms {
            config.answer = Spread::always(Span::from_millis(millis));
        }
        if let Some(millis) = self.boot_ms {
            config.boot = Spread::always(Span::from_millis(millis));
        }
        config
    }

    fn faults(&self) -> Result<FaultPlan, String> {
        let mut plan = FaultPlan::none();
        for (name, chance) in &self.faults {
            let Some(fault) = Fault::ALL.iter().find(|fault| fault.name() == name) else {
                let known: Vec<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
                return Err(format!("`faults` knows no {name:?}; known: {}", known.join(", ")));
            };
            if *chance > 1_000 {
                return Err(format!("`faults` has {name:?} = {chance}, and chances are thousandths: at most 1000"));
            }
            plan = plan.with(Rule::chance(*fault, *chance));
        }
        Ok(plan)
    }
}

/// Serves a cloud to the controller that started this process.
pub fn main() -> ExitCode {
    let about = About::new("squall-provisioner-sim", env!("CARGO_PKG_VERSION"));
    program::main(&about, |start| {
        let settings: Settings = serde_json::from_value(start.settings.clone().into())
            .map_err(|error| format!("`program.settings` cannot be read: {error}"))?;
        let cloud = KeptCloud::open(Path::new("."), settings.cloud(start), settings.faults()?, &settings)?;
        Ok(Arc::new(cloud) as Arc<dyn Provisioner>)
    })
}
