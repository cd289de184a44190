//! Which shared parts of specs there are, so that each is in memory once.

use super::{KeptSpec, SharedSpec};
use imbl::OrdMap;
use std::sync::Arc;

/// By their content, with how many records have them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Shares(OrdMap<Arc<SharedSpec>, u32>);

impl Shares {
    /// The same spec, with the part that others have too in common with them.
    pub fn share(&self, mut spec: KeptSpec) -> KeptSpec {
        if let Some((known, _)) = self.0.get_key_value(&spec.shared) {
            spec.shared = known.clone();
        }
        spec
    }

    /// A record has this spec.
    pub fn add(&mut self, spec: &KeptSpec) {
        *self.0.entry(spec.shared.clone()).or_default() += 1;
    }

    /// A record has it no longer.
    pub fn take(&mut self, spec: &KeptSpec) {
        let Some(records) = self.0.get_mut(&spec.shared) else { return };
        *records -= 1;
        if *records == 0 {
            self.0.remove(&spec.shared);
        }
    }
}
