//! `types`, `core` and `engine` are values in, values out: no IO, no clock, no chance, no hash order, no floats.

use super::{holds, tokens, tree};

const PURE: [&str; 3] = ["scheduler/types/src/", "scheduler/core/src/", "scheduler/engine/src/"];

/// All of the standard library that they may name.
const STD: [&str; 24] = [
    "any",
    "array",
    "ascii",
    "borrow",
    "boxed",
    "cell",
    "char",
    "cmp",
    "collections",
    "convert",
    "error",
    "fmt",
    "iter",
    "marker",
    "mem",
    "num",
    "ops",
    "option",
    "rc",
    "result",
    "slice",
    "str",
    "string",
    "sync",
];

/// Names that stand for the world wherever they come from.
const WORLD: [(&str, &str); 16] = [
    ("HashMap", "its order differs from run to run: BTreeMap, or imbl's OrdMap"),
    ("HashSet", "its order differs from run to run: BTreeSet, or imbl's OrdSet"),
    ("RandomState", "its order differs from run to run"),
    ("Mutex", "one thread owns the engine"),
    ("RwLock", "one thread owns the engine"),
    ("Condvar", "one thread owns the engine"),
    ("mpsc", "one thread owns the engine"),
    ("OnceLock", "state lives in values, not in the process"),
    ("LazyLock", "state lives in values, not in the process"),
    ("f32", "integers in units: micro-dollars, milliseconds, bytes"),
    ("f64", "integers in units: micro-dollars, milliseconds, bytes"),
    ("println", "output is a value"),
    ("eprintln", "output is a value"),
    ("print", "output is a value"),
    ("eprint", "output is a value"),
    ("async", "the engine is synchronous"),
];

/// What breaks a rule here for a reason: path of the file, name, reason.
const EXCEPTIONS: [(&str, &str, &str); 0] = [];

#[test]
fn types_core_and_engine_name_nothing_of_the_world() {
    let mut broken = Vec::new();
    for file in
        tree::texts().iter().filter(|file| file.is_product() && PURE.iter().any(|pure| file.path.starts_with(pure)))
    {
        for named in tokens::paths(tokens::product(file)) {
            let mut parts = named.path.split("::").map(|part| part.trim_start_matches("r#"));
            let why = match (parts.next(), parts.next()) {
                (Some("std" | "core" | "alloc"), Some(module)) if !STD.contains(&module) => {
                    Some("not in the list of pure modules")
                }
                _ => {
                    WORLD.iter().find(|(name, _)| named.path.split("::").any(|part| part == *name)).map(|(_, why)| *why)
                }
            };
            let excepted = EXCEPTIONS.iter().any(|(path, name, _)| file.path == *path && named.path.contains(name));
            if let Some(why) = why.filter(|_| !excepted) {
                broken.push(format!("{}:{}: `{}` ({why})", file.path, named.line, named.path));
            }
        }
    }
    holds("the pure crates name what is not theirs:", &broken);
}
