//! Which versions talk to each other: those of one major.

/// The version of this build, which every call states.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Whether a peer of that version is understood. Whoever states none is taken at their word.
pub fn compatible(theirs: &str) -> bool {
    theirs.is_empty() || (major(theirs).is_some() && major(theirs) == major(VERSION))
}

fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_major_version_has_to_agree() {
        let own = major(VERSION).unwrap();
        assert!(compatible(VERSION));
        assert!(compatible(&format!("{own}.999.0-rc.1")));
        assert!(compatible(""));
        assert!(!compatible(&format!("{}.0.0", own + 1)));
        assert!(!compatible("newest"));
    }
}
