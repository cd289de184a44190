//! `config check`, `config show`, `config schema`.

use super::mistakes;
use crate::settings::{load, schema_text};
use std::path::Path;
use std::process::ExitCode;

pub(super) fn check(path: &Path) -> ExitCode {
    match load(path) {
        Ok(loaded) => {
            let config = &loaded.cluster;
            println!(
                "{}: cluster {} with {} partitions, {} pools and {} budgets: no mistakes",
                path.display(),
                config.cluster,
                config.partitions.len(),
                config.pools.len(),
                config.budgets.len()
            );
            ExitCode::SUCCESS
        }
        Err(errors) => mistakes(&errors),
    }
}

pub(super) fn show(path: &Path) -> ExitCode {
    match load(path) {
        Ok(loaded) => {
            let entries = loaded.entries();
            let width = |text: fn(&squall_types::api::ConfigEntry) -> &str| {
                entries.iter().map(|entry| text(entry).chars().count()).max().unwrap_or(0).min(60)
            };
            let (keys, values) = (width(|entry| &entry.key), width(|entry| &entry.value));
            for entry in &entries {
                println!("{:keys$}  {:values$}  {}", entry.key, entry.value, entry.source);
            }
            ExitCode::SUCCESS
        }
        Err(errors) => mistakes(&errors),
    }
}

pub(super) fn schema() -> ExitCode {
    print!("{}", schema_text());
    ExitCode::SUCCESS
}
