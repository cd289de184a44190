//! `squall up`: a cluster of one's own that stays.

use super::config::{self, Machine, Pace};
use super::controller::{self, own_program};
use super::keeper::{self, Keeper};
use super::process::Process;
use super::{Place, asked_to_stop, down, runtime};
use crate::asked::{Asked, Row, Subcommand};
use crate::controller::personal_state;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::terminal::escaped;
use nix::unistd::setsid;
use std::fmt::Display;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// From starting the keeper in the background to an answer of its controller.
const DETACH_PATIENCE: Duration = Duration::from_secs(70);
/// Between two looks whether it answers.
const LOOK: Duration = Duration::from_millis(50);

pub const UP: Subcommand = Subcommand {
    name: "up",
    operands: "",
    about: "Starts a cluster of your own on this machine: an elastic pool that is empty until there is work.\n\
            Nodes are processes; their GPUs are real where this machine has any, and else declared.",
    rows: &[
        Row { long: "detach", value: None, help: "stay in the background; squall down ends it" },
        Row { long: "dir", value: Some("DIR"), help: "keep everything there instead of ~/.local/state/squall" },
        // Written by --detach for itself.
        Row { long: "keeper", value: None, help: "keep the controller up and do nothing else" },
    ],
};

/// # Errors
/// Why there is no cluster.
pub fn up(invocation: &mut Invocation<'_>, words: &[String]) -> Result<i32, Failure> {
    let Some(asked) = UP.read(words)? else {
        write!(invocation.out, "{}", UP.help())?;
        return Ok(0);
    };
    let place = place(invocation, &asked)?;
    if asked.has("keeper") {
        return keep_in_background(&place);
    }
    config::write(
        &place,
        &format!("{}-personal", invocation.caller.name),
        &Pace::LASTING,
        &Machine::new(&Pace::LASTING, None),
    )
    .map_err(failed)?;
    place.link_commands(&own_program().map_err(failed)?).map_err(failed)?;
    if asked.has("detach") { detach(invocation, &place) } else { foreground(invocation, &place) }
}

fn failed(error: impl Display) -> Failure {
    Failure::error("squall up", escaped(&error.to_string()))
}

fn place(invocation: &Invocation<'_>, asked: &Asked) -> Result<Place, Failure> {
    let dir = match asked.text("dir") {
        Some(dir) => invocation.directory.join(dir),
        None => personal_state(&invocation.environment, &invocation.caller.home),
    };
    Place::make(&dir).map_err(|error| failed(format_args!("{}: {error}", dir.display())))
}

/// Starts the controller, or finds the one that runs.
async fn controller_of(place: &Place) -> Result<Option<Child>, Failure> {
    if Process::recorded(&place.controller_record()).is_some() {
        return Ok(None);
    }
    let mut child = controller::start(place).map_err(failed)?;
    controller::wait_ready(place, &mut child).await.map_err(failed)?;
    Ok(Some(child))
}

fn foreground(invocation: &mut Invocation<'_>, place: &Place) -> Result<i32, Failure> {
    let Some(keeper) = Keeper::take(place).map_err(failed)? else {
        tell_how_to_use(invocation, place, "a cluster of yours is up already")?;
        return Ok(0);
    };
    let runtime = runtime().map_err(failed)?;
    let child = runtime.block_on(controller_of(place))?;
    tell_how_to_use(invocation, place, "your cluster is up; ^C ends it")?;
    invocation.out.flush()?;
    let mut lost_terminal = false;
    let mut tell = |text: String| lost_terminal |= writeln!(invocation.err, "squall up: {text}").is_err();
    runtime.block_on(keeper.keep(child, asked_to_stop(), &mut tell));
    drop(keeper);
    let _ = writeln!(invocation.out, "\nending: jobs are cancelled, nodes given back");
    down::end(invocation, place, &runtime)
}

/// What `--detach` leaves behind.
fn keep_in_background(place: &Place) -> Result<i32, Failure> {
    // Fails for the leader of a group, which is then apart already.
    let _ = setsid();
    let Some(keeper) = Keeper::take(place).map_err(failed)? else { return Ok(0) };
    let runtime = runtime().map_err(failed)?;
    let child = runtime.block_on(controller_of(place))?;
    // Its output is its log.
    let mut tell = |text: String| eprintln!("{text}");
    runtime.block_on(keeper.keep(child, asked_to_stop(), &mut tell));
    Ok(0)
}

fn detach(invocation: &mut Invocation<'_>, place: &Place) -> Result<i32, Failure> {
    if keeper::of(place).is_none() {
        let log = OpenOptions::new().append(true).create(true).mode(0o600).open(place.keeper_log()).map_err(failed)?;
        let mut command = Command::new(own_program().map_err(failed)?);
        command.args(["up", "--keeper", "--dir"]).arg(place.dir());
        command.stdin(Stdio::null()).stdout(log.try_clone().map_err(failed)?).stderr(log);
        let mut child = command.current_dir("/").spawn().map_err(failed)?;
        wait_for_answer(place, Some(&mut child))?;
    } else {
        wait_for_answer(place, None)?;
    }
    tell_how_to_use(invocation, place, "your cluster is up in the background; squall down ends it")?;
    Ok(0)
}

fn wait_for_answer(place: &Place, mut keeper: Option<&mut Child>) -> Result<(), Failure> {
    let runtime = runtime().map_err(failed)?;
    let target = controller::target(place).map_err(failed)?;
    let until = Instant::now() + DETACH_PATIENCE;
    loop {
        let last = match runtime.block_on(controller::reach(&target)) {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        let ended = keeper.as_mut().is_some_and(|keeper| matches!(keeper.try_wait(), Ok(Some(_))));
        if ended || Instant::now() >= until {
            let log = controller::log_tail(&place.keeper_log());
            return Err(failed("it did not come up").and_line(last.to_string()).and_line(log));
        }
        std::thread::sleep(LOOK);
    }
}

fn tell_how_to_use(invocation: &mut Invocation<'_>, place: &Place, first: &str) -> Result<(), Failure> {
    let bin = place.bin();
    let (bin, dir) = (bin.display(), place.dir().display());
    writeln!(invocation.out, "{first}\n")?;
    writeln!(invocation.out, "  export PATH=\"{bin}:$PATH\"       puts sbatch, squeue and the rest on your PATH")?;
    if personal_state(&invocation.environment, &invocation.caller.home) != place.dir() {
        let socket = place.socket();
        writeln!(invocation.out, "  export SQUALL_CONTROLLER=unix:{}", socket.display())?;
    }
    writeln!(invocation.out, "\nconfiguration, journal and logs are in {dir}")?;
    Ok(())
}
