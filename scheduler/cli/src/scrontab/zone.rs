//! The time zone in which times are meant, as the rule that goes with every entry.

use crate::invocation::Environment;
use squall_types::cron::Zone;
use std::path::{Path, PathBuf};

const HERE: &str = "/etc/localtime";
const DATABASE: &str = "/usr/share/zoneinfo";
const MAX_FILE: u64 = 1 << 20;

/// The rule of the zone that `TZ` names, else this machine's; UTC where neither says one.
pub fn rule(environment: &Environment) -> String {
    let named = environment.filled("TZ").map(|name| name.trim_start_matches(':'));
    let found = match named {
        Some(name) if name.parse::<Zone>().is_ok() => Some(name.to_owned()),
        Some(name) => file_of(name).and_then(|path| of_file(&path)),
        None => of_file(Path::new(HERE)),
    };
    found.unwrap_or_else(|| "UTC0".to_owned())
}

fn file_of(name: &str) -> Option<PathBuf> {
    let inside = !name.split('/').any(|part| part == "..");
    inside.then(|| Path::new(DATABASE).join(name))
}

/// The last line of a file of the database is the rule for all the future (RFC 9636).
fn of_file(path: &Path) -> Option<String> {
    let size = std::fs::metadata(path).ok()?.len();
    let bytes = std::fs::read(path).ok().filter(|_| size <= MAX_FILE)?;
    let lines = bytes.strip_suffix(b"\n").filter(|_| bytes.starts_with(b"TZif"))?;
    let last = lines.rsplit(|byte| *byte == b'\n').next()?;
    let rule = std::str::from_utf8(last).ok()?;
    rule.parse::<Zone>().ok().map(|_| rule.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_itself_and_what_is_unknown_is_utc() {
        let of = |zone: &str| rule(&Environment::new([("TZ".into(), zone.into())]));
        assert_eq!(of("CET-1CEST,M3.5.0,M10.5.0/3"), "CET-1CEST,M3.5.0,M10.5.0/3");
        assert_eq!(of("../../etc/passwd"), "UTC0");
        assert_eq!(of("Nowhere/Atall"), "UTC0");
    }

    #[test]
    fn a_file_of_the_database_ends_with_its_rule() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("zone");
        std::fs::write(&path, b"TZif2 and much else\nEST5EDT,M3.2.0,M11.1.0\n").unwrap();
        assert_eq!(of_file(&path).as_deref(), Some("EST5EDT,M3.2.0,M11.1.0"));
        std::fs::write(&path, b"TZif2 and much else\n\n").unwrap();
        assert_eq!(of_file(&path), None);
    }
}
