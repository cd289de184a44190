//! Controller and agent inside this program: `squall ctld …`, `squall agent …`, and what `squall config` asks of the
//! controller's code.

use crate::failure::Failure;
use crate::invocation::Invocation;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs a daemon, where that is what the words (without the program's name) ask for.
#[cfg(feature = "embed")]
pub fn daemon(words: &[OsString]) -> Option<ExitCode> {
    let (first, rest) = words.split_first()?;
    match first.to_str()? {
        "ctld" => Some(squallctld::main_with_args(rest.iter().cloned())),
        "agent" => {
            let code = squalld::program::run(&["agent"], rest.to_vec());
            Some(ExitCode::from(u8::try_from(code).unwrap_or(1)))
        }
        _ => None,
    }
}

/// No daemon is inside.
#[cfg(not(feature = "embed"))]
pub fn daemon(_: &[OsString]) -> Option<ExitCode> {
    None
}

/// `config check`, `config show FILE`, `config schema`.
///
/// # Errors
/// Every mistake in the file.
#[cfg(feature = "embed")]
pub fn config(invocation: &mut Invocation<'_>, words: &[&str]) -> Result<i32, Failure> {
    use squallctld::settings;
    if let ["schema"] = words {
        invocation.out.write_all(settings::schema_text().as_bytes())?;
        return Ok(0);
    }
    let file = words.get(1).copied().unwrap_or(SYSTEM_CONFIG);
    let loaded = settings::load(&invocation.directory.join(file)).map_err(|errors| {
        let count = errors.len();
        let noun = if count == 1 { "mistake" } else { "mistakes" };
        let mut lines = errors.iter().map(|error| escaped_lines(&error.to_string()));
        let first = Failure::plain(lines.next().unwrap_or_default());
        lines.fold(first, Failure::and_line).and_line(format!("squall: error: {count} {noun} in the configuration"))
    })?;
    if words[0] == "show" {
        invocation.out.write_all(crate::squall::entries_text(&loaded.entries()).as_bytes())?;
        return Ok(0);
    }
    let (cluster, config) = (&loaded.cluster.cluster, &loaded.cluster);
    let counts = (config.partitions.len(), config.pools.len(), config.budgets.len());
    let (partitions, pools, budgets) = counts;
    writeln!(
        invocation.out,
        "{file}: cluster {cluster} with {partitions} partitions, {pools} pools and {budgets} budgets: no mistakes"
    )?;
    Ok(0)
}

/// Where a cluster's configuration is unless somebody says otherwise.
#[cfg(feature = "embed")]
const SYSTEM_CONFIG: &str = "/etc/squall/squall.toml";

/// Its lines stay lines.
#[cfg(feature = "embed")]
fn escaped_lines(text: &str) -> String {
    text.lines().map(crate::terminal::escaped).collect::<Vec<_>>().join("\n")
}

/// The controller's code is not inside.
///
/// # Errors
/// Always.
#[cfg(not(feature = "embed"))]
pub fn config(_: &mut Invocation<'_>, words: &[&str]) -> Result<i32, Failure> {
    let call = words.join(" ");
    Err(Failure::error("squall", "this build has no controller inside")
        .advising(crate::failure::Advice { try_this: format!("squallctld config {call}"), ..Default::default() }))
}
