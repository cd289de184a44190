//! Which version of Slurm's shape is asked for: `--json=v0.0.40+complex`.
//!
//! The shapes follow the field tables of Slurm's plugins `data_parser/v0.0.39`, `v0.0.40` and `v0.0.41` as Slurm 24.05.8
//! has them (`v0.0.39` as its commands write it, with the surroundings of `v0.0.41`), and `v0.0.42` of Slurm 24.11.7 and
//! `v0.0.43` of Slurm 25.05.8.

use crate::failure::Failure;
use crate::terminal::escaped;

/// A version of the shape; later ones are larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    V39,
    V40,
    V41,
    V42,
    V43,
}

/// What is written where none is named: that of the Slurm which the commands say they are.
pub const DEFAULT: Version = Version::V41;

const FOLDER: &str = "data_parser/";

impl Version {
    pub const ALL: [Version; 5] = [Version::V39, Version::V40, Version::V41, Version::V42, Version::V43];

    /// As `--json=list` names it.
    pub fn full_name(self) -> &'static str {
        match self {
            Version::V39 => "data_parser/v0.0.39",
            Version::V40 => "data_parser/v0.0.40",
            Version::V41 => "data_parser/v0.0.41",
            Version::V42 => "data_parser/v0.0.42",
            Version::V43 => "data_parser/v0.0.43",
        }
    }

    fn name(self) -> &'static str {
        self.full_name().trim_start_matches(FOLDER)
    }

    /// The flags that Slurm's plugin of this version knows.
    fn flags(self) -> &'static [(&'static str, Flag)] {
        const ALL: [(&str, Flag); 6] = [
            ("FAST", Flag::NoEffect),
            ("COMPLEX", Flag::Complex),
            ("SPEC_ONLY", Flag::OfServers),
            ("PREFER_REFS", Flag::NoEffect),
            ("MINIMIZE_REFS", Flag::NoEffect),
            ("INLINE_ENUMS", Flag::NoEffect),
        ];
        match self {
            Version::V39 => &[],
            Version::V40 => ALL.split_at(3).0,
            Version::V41 => ALL.split_at(4).0,
            Version::V42 => &ALL,
            Version::V43 => ALL.split_at(5).0,
        }
    }
}

#[derive(Clone, Copy)]
enum Flag {
    /// It changes how Slurm makes the answer or its description, not the answer.
    NoEffect,
    Complex,
    /// It asks for a description of the shape instead of an answer, which commands do not give.
    OfServers,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub version: Version,
    /// `+complex`: numbers are plain, `"Infinity"` or null; texts that there are not are null.
    pub complex: bool,
}

impl Shape {
    /// What is written where nothing else is asked for.
    pub const DEFAULT: Shape = Shape { version: DEFAULT, complex: false };

    /// `v0.0.41`, `data_parser/v0.0.40`, `v0.0.40+complex+fast`; an empty text is the default.
    ///
    /// # Errors
    /// A version or a flag that is not known, with those that are.
    pub fn parse(text: &str) -> Result<Shape, String> {
        let mut words = text.split('+');
        let name = words.next().unwrap_or_default();
        let short = name.strip_prefix(FOLDER).unwrap_or(name);
        let named = Version::ALL.into_iter().find(|version| version.name() == short);
        let version = match named {
            None if name.is_empty() => DEFAULT,
            None => {
                let all = Version::ALL.map(Version::name).join(", ");
                return Err(format!("{} is not written; {all} are", escaped(name)));
            }
            Some(version) => version,
        };
        let mut shape = Shape { version, complex: false };
        for word in words {
            let known = version.flags().iter().find(|(flag, _)| flag.eq_ignore_ascii_case(word));
            match known {
                Some((_, Flag::NoEffect)) => {}
                Some((_, Flag::Complex)) => shape.complex = true,
                Some((_, Flag::OfServers)) | None => return Err(no_flag(version, word)),
            }
        }
        Ok(shape)
    }
}

fn no_flag(version: Version, word: &str) -> String {
    let known = version.flags().iter().filter(|(_, flag)| !matches!(flag, Flag::OfServers));
    let known: Vec<String> = known.map(|(flag, _)| flag.to_ascii_lowercase()).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    format!("{} takes no flag {}; it has {known}", version.name(), escaped(word))
}

/// Answers `--json=list`.
///
/// # Errors
/// Where nobody reads any more.
pub fn list(out: &mut dyn std::io::Write) -> Result<(), Failure> {
    writeln!(out, "Possible data_parser plugins:")?;
    for version in Version::ALL {
        writeln!(out, "{}", version.full_name())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_named_short_or_whole_and_its_flags_in_any_case() {
        let plain = |version| Ok(Shape { version, complex: false });
        assert_eq!(Shape::parse(""), plain(Version::V41));
        for version in Version::ALL {
            assert_eq!(Shape::parse(version.name()), plain(version));
            assert_eq!(Shape::parse(version.full_name()), plain(version));
        }
        assert_eq!(Shape::parse("v0.0.41+FAST+prefer_refs"), plain(Version::V41));
        assert_eq!(Shape::parse("+Complex"), Ok(Shape { version: Version::V41, complex: true }));
    }

    #[test]
    fn what_is_not_known_is_refused_with_what_is() {
        let refused = |text: &str| Shape::parse(text).unwrap_err();
        assert_eq!(refused("v9"), "v9 is not written; v0.0.39, v0.0.40, v0.0.41, v0.0.42, v0.0.43 are");
        assert_eq!(
            refused("data_parser/"),
            "data_parser/ is not written; v0.0.39, v0.0.40, v0.0.41, v0.0.42, v0.0.43 are"
        );
        assert_eq!(refused("v0.0.40+prefer_refs"), "v0.0.40 takes no flag prefer_refs; it has fast, complex");
        assert_eq!(refused("v0.0.41+spec_only"), "v0.0.41 takes no flag spec_only; it has fast, complex, prefer_refs");
        assert_eq!(refused("v0.0.39+complex"), "v0.0.39 takes no flag complex; it has none");
        assert_eq!(refused("v0.0.41+"), "v0.0.41 takes no flag ; it has fast, complex, prefer_refs");
    }
}
