//! The command line: `squallctld …`, and `squall ctld …` in the one binary of all commands.

mod config;
mod journal;

use crate::settings::{ConfigError, Loaded, load};
use crate::{run, telemetry};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A wrong call, and a configuration that cannot be used, as in `sysexits.h`.
const EXIT_USAGE: u8 = 64;
const EXIT_CONFIG: u8 = 78;
const DEFAULT_CONFIG: &str = "/etc/squall/squall.toml";

const USAGE: &str = "\
usage: squallctld run [--config FILE] [--state-dir DIR]
       squallctld config check [FILE]
       squallctld config show [FILE]
       squallctld config schema
       squallctld journal dump DIR [FROM]
       squallctld journal verify DIR
       squallctld journal backup DIR TARGET
       squallctld journal restore BACKUP NEW-DIR
       squallctld journal accept-loss DIR

FILE is /etc/squall/squall.toml where none is given. DIR is the journal's folder, `journal` in the state folder.
Every value of the configuration can be overridden by the environment: SQUALL__PARTITIONS__GPU__MAX_TIME=15m
";

/// Runs what the arguments (without the program's name) say.
pub fn main_with_args(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let words: Vec<&str> = arguments.iter().map(|word| word.to_str().unwrap_or("\u{fffd}")).collect();
    match words.as_slice() {
        ["run", rest @ ..] => match RunArguments::parse(rest, &arguments[1..]) {
            Ok(options) => start(&options),
            Err(text) => usage(&text),
        },
        ["config", "schema"] => config::schema(),
        ["config", "check"] => config::check(Path::new(DEFAULT_CONFIG)),
        ["config", "check", _] => config::check(Path::new(&arguments[2])),
        ["config", "show"] => config::show(Path::new(DEFAULT_CONFIG)),
        ["config", "show", _] => config::show(Path::new(&arguments[2])),
        ["journal", verb, ..] => journal::run(verb, &arguments[2..]).unwrap_or_else(|| usage("")),
        ["--help" | "-h" | "help"] => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        ["--version" | "-V"] => {
            println!("squallctld {}", squall_proto::VERSION);
            ExitCode::SUCCESS
        }
        _ => usage(""),
    }
}

fn usage(text: &str) -> ExitCode {
    if !text.is_empty() {
        eprintln!("squallctld: error: {text}");
    }
    eprint!("{USAGE}");
    ExitCode::from(EXIT_USAGE)
}

struct RunArguments {
    config: PathBuf,
    state_dir: Option<PathBuf>,
}

impl RunArguments {
    fn parse(words: &[&str], given: &[OsString]) -> Result<RunArguments, String> {
        let mut options = RunArguments { config: DEFAULT_CONFIG.into(), state_dir: None };
        let mut at = 0;
        while at < words.len() {
            let value = given.get(at + 1).map(PathBuf::from);
            let value = || value.ok_or_else(|| format!("`{}` needs a value", words[at]));
            match words[at] {
                "--config" | "-f" => options.config = value()?,
                "--state-dir" => options.state_dir = Some(value()?),
                other => return Err(format!("there is no option `{other}`")),
            }
            at += 2;
        }
        Ok(options)
    }
}

fn start(options: &RunArguments) -> ExitCode {
    let mut loaded = match load(&options.config) {
        Ok(loaded) => loaded,
        Err(errors) => return mistakes(&errors),
    };
    if let Some(dir) = &options.state_dir {
        match std::path::absolute(dir) {
            Ok(dir) => loaded.settings.controller.state_dir = dir,
            Err(error) => return usage(&format!("--state-dir {}: {error}", dir.display())),
        }
    }
    run_loaded(loaded)
}

/// Runs a controller with a configuration that was read elsewhere, until it is told to stop.
pub fn run_loaded(loaded: Loaded) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("squallctld").build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("squallctld: error: the system gives no threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let entered = runtime.enter();
    let telemetry = telemetry::start("squallctld", &loaded.cluster.cluster, &loaded.settings.telemetry);
    drop(entered);
    let relog = telemetry.relog();
    let ended = runtime.block_on(run::run(loaded, move |log: &str| relog(log)));
    if let Err(error) = &ended {
        tracing::error!(%error, "the controller ended");
    }
    telemetry.stop();
    // Calls to providers that hang are not waited for: what became of them is asked again.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("squallctld: error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn mistakes(errors: &[ConfigError]) -> ExitCode {
    for error in errors {
        eprintln!("{error}");
    }
    let count = errors.len();
    eprintln!("squallctld: error: {count} {} in the configuration", if count == 1 { "mistake" } else { "mistakes" });
    ExitCode::from(EXIT_CONFIG)
}
