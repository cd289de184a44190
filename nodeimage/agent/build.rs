//! Names the sources that a program was built from, so that an agent starts only processes of its own build.

use std::hash::{DefaultHasher, Hasher};
use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src");
    let mut hasher = DefaultHasher::new();
    read(Path::new("src"), &mut hasher)?;
    println!("cargo::rustc-env=SQUALL_AGENT_SOURCES={:016x}", hasher.finish());
    Ok(())
}

/// Every file below a folder, in the order of the names.
fn read(folder: &Path, hasher: &mut DefaultHasher) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if entry.file_type()?.is_dir() {
            read(&entry.path(), hasher)?;
        } else {
            hasher.write(entry.file_name().as_encoded_bytes());
            hasher.write(&fs::read(entry.path())?);
        }
    }
    Ok(())
}
