//! The command line of `squall-sim`.

use crate::report::{Report, run_all};
use crate::run::{Outcome, run_with_trace};
use std::process::ExitCode;

const USAGE: &str = "usage: squall-sim [--seeds N] [--start S] [--threads N] [--json]
       squall-sim --seed S [--trace]
       squall-sim --canaries [--seeds N] [--start S] [--threads N] [--json]

  --seeds N     play N seeds (default 200)
  --start S     the first of them (default 0)
  --threads N   on so many threads (default: one for each core)
  --json        print the report as JSON
  --seed S      play one seed and say what came of it
  --trace       ... with everything that happened
  --canaries    plant each known bug in turn and find it within N seeds (default 3000), in a build with the
                feature `canaries`";

/// Faults that never fired are an error when so many seeds were played.
const ENOUGH_SEEDS: u64 = 1000;
/// In how many seeds a planted bug has to be found.
#[cfg(feature = "canaries")]
const CANARY_SEEDS: u64 = 3000;
/// Lines of the trace that are printed before a violation.
const TAIL: usize = 60;

#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    seeds: Option<u64>,
    start: u64,
    threads: Option<usize>,
    seed: Option<u64>,
    trace: bool,
    json: bool,
    canaries: bool,
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut number = || {
            let value = rest.next().ok_or(format!("{argument} takes a number"))?;
            value.parse::<u64>().map_err(|_| format!("{argument} takes a number, not `{value}`"))
        };
        match argument.as_str() {
            "--seeds" => options.seeds = Some(number()?),
            "--start" => options.start = number()?,
            "--threads" => options.threads = Some(number()? as usize),
            "--seed" => options.seed = Some(number()?),
            "--trace" => options.trace = true,
            "--json" => options.json = true,
            "--canaries" => options.canaries = true,
            other => return Err(format!("`{other}` is not known")),
        }
    }
    Ok(options)
}

pub fn main(arguments: &[String]) -> ExitCode {
    let options = match parse(arguments) {
        Ok(options) => options,
        Err(text) => {
            eprintln!("squall-sim: {text}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if options.canaries && options.seed.is_some() {
        eprintln!("squall-sim: --canaries and --seed exclude each other\n{USAGE}");
        return ExitCode::from(2);
    }
    if let Some(seed) = options.seed {
        return one(seed, options.trace);
    }
    let threads =
        options.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |cores| cores.get()));
    if options.canaries {
        return canaries(&options, threads);
    }
    let told = |outcome: &Outcome| {
        if let Some(first) = outcome.violations.first() {
            eprintln!("seed {}: {first}", outcome.seed);
        }
    };
    let report = run_all(options.start, options.seeds.unwrap_or(200), threads, &told);
    if options.json {
        match serde_json::to_string_pretty(&report) {
            Ok(text) => println!("{text}"),
            Err(error) => eprintln!("squall-sim: the report cannot be printed: {error}"),
        }
    } else {
        print(&report);
    }
    let unfired = report.seeds >= ENOUGH_SEEDS && !report.never_fired.is_empty();
    if report.failed > 0 || unfired { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

#[cfg(feature = "canaries")]
fn canaries(options: &Options, threads: usize) -> ExitCode {
    use crate::canaries::{Hunt, hunt_all};
    let told = |hunt: &Hunt| {
        let found = hunt.seed.map_or("NOT FOUND".to_owned(), |seed| format!("seed {seed}"));
        eprintln!(
            "{:<32} {found:<12} {:>5} seeds, {} found otherwise: {}",
            hunt.bug, hunt.seeds_played, hunt.by_others, hunt.violation
        );
    };
    let hunts = hunt_all(options.start, options.seeds.unwrap_or(CANARY_SEEDS), threads, &told);
    let missed = hunts.iter().filter(|hunt| hunt.seed.is_none()).count();
    if options.json {
        match serde_json::to_string_pretty(&hunts) {
            Ok(text) => println!("{text}"),
            Err(error) => eprintln!("squall-sim: the hunts cannot be printed: {error}"),
        }
    }
    let most = hunts.iter().filter(|hunt| hunt.seed.is_some()).map(|hunt| hunt.seeds_played).max().unwrap_or(0);
    println!(
        "{} planted bugs, {} found, each within {most} seeds, {missed} not found",
        hunts.len(),
        hunts.len() - missed
    );
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(not(feature = "canaries"))]
fn canaries(_options: &Options, _threads: usize) -> ExitCode {
    eprintln!("squall-sim: no bugs are planted in this build: build it with `--features canaries`");
    ExitCode::from(2)
}

fn one(seed: u64, trace: bool) -> ExitCode {
    let (outcome, lines) = run_with_trace(seed);
    let from = if trace {
        0
    } else if outcome.is_clean() {
        lines.len()
    } else {
        lines.len().saturating_sub(TAIL)
    };
    lines[from..].iter().for_each(|line| println!("{line}"));
    println!(
        "seed {seed}: {} happenings, {} events, {} executions, hash {:016x}",
        outcome.happenings, outcome.events, outcome.executions, outcome.hash
    );
    outcome.violations.iter().for_each(|text| println!("violation: {text}"));
    if outcome.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print(report: &Report) {
    println!(
        "{} seeds from {}: {} failed; {} happenings, {} events, {} executions",
        report.seeds, report.start, report.failed, report.happenings, report.events, report.executions
    );
    println!("\nfault, in which state, how often");
    for (fault, states) in &report.tally.fired {
        let total: u64 = states.values().sum();
        let each: Vec<String> = states.iter().map(|(state, times)| format!("{state} {times}")).collect();
        println!("  {fault:<44} {total:>8}  {}", each.join(", "));
    }
    for name in &report.never_fired {
        println!("  {name:<44}    NEVER");
    }
    if let Some((seed, text)) = report.failures.first() {
        println!("\nfirst failure, seed {seed}: {text}\n(squall-sim --seed {seed} shows how it came about)");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Result<Options, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn seeds_and_start_are_numbers() {
        let wanted = Options { seeds: Some(20), start: 7, json: true, ..Options::default() };
        assert_eq!(options("--seeds 20 --start 7 --json"), Ok(wanted));
        assert_eq!(options("--seeds many"), Err("--seeds takes a number, not `many`".to_owned()));
        assert_eq!(options("--sneeds 3"), Err("`--sneeds` is not known".to_owned()));
    }
}
