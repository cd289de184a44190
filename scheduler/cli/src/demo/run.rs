//! One run of the demo, from its options to its exit code.

use super::play::{Told, play};
use super::stage::Stage;
use super::summary;
use crate::asked::{Row, Subcommand};
use crate::books::seconds;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::personal::{listed, runtime};
use crate::terminal::escaped;
use squall_types::Span;
use std::fmt::Display;
use std::io::IsTerminal;
use std::time::Instant;

/// As a shell reports a process that SIGINT ended.
const EXIT_INTERRUPTED: i32 = 130;

pub const DEMO: Subcommand = Subcommand {
    name: "demo",
    operands: "",
    about: "Starts a cluster with an empty pool in a temporary folder, runs a batch on it, and checks everything.\n\
            Exits with 0 only if all of it held. Needs no configuration and no rights.",
    rows: &[
        Row { long: "plain", value: None, help: "log lines instead of a live page" },
        Row { long: "keep", value: None, help: "keep the temporary folder" },
        Row { long: "declared-gpus", value: Some("N"), help: "declare N GPUs on each node, whatever the machine has" },
    ],
};

/// # Errors
/// What kept it from running; what did not hold is told by the exit code.
pub fn demo(invocation: &mut Invocation<'_>, words: &[String]) -> Result<i32, Failure> {
    let Some(asked) = DEMO.read(words)? else {
        write!(invocation.out, "{}", DEMO.help())?;
        return Ok(0);
    };
    let declared = asked.parsed::<u32>(&DEMO, "declared-gpus", "a number of GPUs")?;
    if declared.is_some_and(|gpus| !(1..=256).contains(&gpus)) {
        return Err(DEMO.wrong("--declared-gpus takes 1 to 256"));
    }
    let live = !asked.has("plain") && std::io::stdout().is_terminal();
    let began = Instant::now();
    let mut stage = Stage::set(invocation, declared).map_err(failed)?;
    let runtime = runtime().map_err(failed)?;
    let told = runtime.block_on(play(invocation, &mut stage, live, began));
    let took = Span(began.elapsed().as_millis() as i64);
    let code = match told {
        Ok(Told::Over(mut evidence)) => {
            evidence.left = stage.close();
            let checks = evidence.checks();
            summary::write(invocation.out, &evidence, &checks, took, stage.machine.gpus)?;
            i32::from(checks.iter().any(|check| !check.held()))
        }
        Ok(Told::Interrupted) => {
            stage.close();
            writeln!(invocation.out, "interrupted after {}", seconds(took))?;
            EXIT_INTERRUPTED
        }
        Err(why) => {
            let left = stage.close();
            writeln!(invocation.out)?;
            let mut failure = failed(why);
            for line in listed(&left) {
                failure = failure.and_line(format!("  still there: {}", escaped(&line)));
            }
            return Err(failure.and_line(format!("  logs and outputs are kept in {}", stage.place.dir().display())));
        }
    };
    if asked.has("keep") || code == 1 {
        writeln!(invocation.out, "logs, journal and outputs are kept in {}", stage.place.dir().display())?;
    } else if let Err(error) = stage.strike() {
        writeln!(invocation.err, "squall demo: {}: {error}", stage.place.dir().display())?;
    }
    Ok(code)
}

fn failed(error: impl Display) -> Failure {
    let text = error.to_string();
    let mut lines = text.lines();
    let first = Failure::error("squall demo", escaped(lines.next().unwrap_or_default()));
    lines.fold(first, |failure, line| failure.and_line(escaped(line)))
}
