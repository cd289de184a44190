//! What the rules read: the files of the repository and the packages of the workspace.

use cargo_metadata::{MetadataCommand, Package};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Hidden entries that are part of the repository.
const HIDDEN: [&str; 3] = [".ci", ".config", ".gitignore"];

/// A file that is text, with its path from the root, as `/`-separated text.
pub struct Text {
    pub path: String,
    pub text: String,
}

impl Text {
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Rust code that is part of a product or of a library: no test, no bench, no build script.
    pub fn is_product(&self) -> bool {
        let is_test = |part: &str| part == "tests" || part == "tests.rs" || part == "benches";
        self.is_rust() && !self.path.split('/').any(is_test) && !self.path.ends_with("build.rs")
    }

    /// The text of the `//!` lines at its top.
    pub fn module_doc(&self) -> String {
        let docs =
            self.text.lines().take_while(|line| line.starts_with("//!") || line.starts_with("//")).collect::<Vec<_>>();
        docs.join("\n")
    }
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests have a folder of their own below the root")
}

/// Every file of the repository that is text, in the order of their paths.
pub fn texts() -> &'static [Text] {
    static TEXTS: OnceLock<Vec<Text>> = OnceLock::new();
    TEXTS.get_or_init(|| {
        let mut paths = Vec::new();
        walk(root(), &mut paths);
        paths.sort();
        paths
            .into_iter()
            .filter_map(|path| {
                let text = String::from_utf8(std::fs::read(&path).expect("a listed file can be read")).ok()?;
                Some(Text { path: from_root(&path), text })
            })
            .collect()
    })
}

/// The text of one file.
pub fn text(path: &str) -> &'static str {
    let found = texts().iter().find(|text| text.path == path);
    &found.unwrap_or_else(|| panic!("`{path}` is not in the repository")).text
}

/// The packages of the workspace.
pub fn packages() -> &'static [Package] {
    static PACKAGES: OnceLock<Vec<Package>> = OnceLock::new();
    PACKAGES.get_or_init(|| {
        let metadata = MetadataCommand::new().current_dir(root()).no_deps().exec();
        metadata.expect("cargo can read the workspace").packages
    })
}

/// The folder of a package, from the root.
pub fn folder(package: &Package) -> String {
    from_root(package.manifest_path.parent().expect("a manifest stands in a folder").as_std_path())
}

fn from_root(path: &Path) -> String {
    let path = path.strip_prefix(root()).expect("everything listed stands below the root");
    path.to_str().expect("names are UTF-8").replace('\\', "/")
}

fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the repository can be listed") {
        let path = entry.expect("an entry can be read").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("names are UTF-8");
        if path.is_symlink() || (name.starts_with('.') && !HIDDEN.contains(&name)) {
            continue;
        }
        if path.is_dir() {
            // What cargo built says so itself, wherever it stands.
            if !path.join("CACHEDIR.TAG").exists() && name != "target" {
                walk(&path, into);
            }
        } else {
            into.push(path);
        }
    }
}
