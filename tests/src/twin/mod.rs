//! Real Slurm and Squall side by side: the same commands, the same answers.
//!
//! `tests/slurm/table/` has the scenes, `tests/slurm/differences.txt` what is different on purpose, with the reason.
//! Runs where `SQUALL_BINARY` names the program and Slurm is installed, as root.

mod differences;
mod mask;
mod scene;
mod side;

use differences::Differences;
use scene::{Line, Scene};
use side::{Answer, Side};
use std::path::Path;
use std::process::Command;

/// Fewer comparisons would not show much.
const FEWEST: usize = 150;

/// One command on both sides.
struct Compared {
    command: String,
    real: Answer,
    ours: Answer,
}

#[test]
fn slurm_and_squall_answer_alike() {
    let Some(binary) = std::env::var_os("SQUALL_BINARY") else {
        eprintln!("SKIPPED: SQUALL_BINARY names no program to compare with Slurm");
        return;
    };
    if let Some(missing) = ["slurmctld", "slurmd", "slurmdbd", "mariadbd", "munged"].into_iter().find(|it| !there(it)) {
        eprintln!("SKIPPED: {missing} is not installed: there is no Slurm to compare with");
        return;
    }
    assert!(nix::unistd::geteuid().is_root(), "Slurm's daemons need root");
    let scenes = scene::all();
    let played = |mut side: Side| scenes.iter().map(|scene| play(&mut side, scene)).collect::<Vec<_>>();
    let (real, ours) = std::thread::scope(|scope| {
        let real = scope.spawn(|| played(Side::slurm()));
        let ours = scope.spawn(|| played(Side::squall(Path::new(&binary))));
        (real.join().expect("Slurm's side"), ours.join().expect("Squall's side"))
    });
    let mut compared = Vec::new();
    for ((scene, real), ours) in scenes.iter().zip(real).zip(ours) {
        let commands = scene.lines.iter().filter_map(Line::compared);
        for ((command, real), ours) in commands.zip(real).zip(ours) {
            compared.push(Compared { command: command.to_owned(), real, ours });
        }
    }
    report(&compared, &Differences::read());
}

fn there(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').chain(["/usr/sbin", "/sbin"]).any(|folder| Path::new(folder).join(program).is_file())
}

/// Plays one scene and says what its compared commands answered.
fn play(side: &mut Side, scene: &Scene) -> Vec<Answer> {
    side.enter(&scene.name);
    let answers = scene.lines.iter().filter_map(|line| match line {
        Line::Setup(command) => {
            side.run(command);
            None
        }
        Line::Submit { name, command } => Some(side.submit(name, command)),
        Line::Wait { job, states } => {
            side.wait(job, states);
            None
        }
        Line::Compare(command) => Some(side.run(command)),
    });
    let answers = answers.collect();
    side.run("scancel --me");
    answers
}

/// Fails with every difference that nobody has explained, and every explanation of what is the same by now.
fn report(compared: &[Compared], explained: &Differences) {
    let mut wrong = String::new();
    let mut different = 0;
    for one in compared {
        let same = one.real == one.ours;
        different += usize::from(!same);
        match (same, explained.reason(&one.command)) {
            (true, None) | (false, Some(_)) => {}
            (true, Some(_)) => {
                wrong.push_str(&format!("$ {}\n  is listed as different and is the same\n", one.command))
            }
            (false, None) => {
                wrong.push_str(&format!("$ {}\n{}{}", one.command, one.real.shown("slurm "), one.ours.shown("squall")));
            }
        }
    }
    for command in explained.commands().filter(|command| !compared.iter().any(|one| one.command == **command)) {
        wrong.push_str(&format!("$ {command}\n  is listed as different and is in no scene\n"));
    }
    let count = compared.len();
    println!("{count} invocations compared: {} alike, {different} different", count - different);
    if let Some(file) = std::env::var_os("SQUALL_TWIN_REPORT") {
        std::fs::write(file, &wrong).expect("the report can be written");
    }
    assert!(wrong.is_empty(), "real Slurm and Squall differ:\n{wrong}");
    assert!(count >= FEWEST, "only {count} invocations are compared");
}

/// Ends what the scripts beside this test started.
fn ended_by(script: &str, folder: &Path) {
    // Nothing is left to say in a destructor; what is left running is found by the next run.
    let _ = Command::new(scene::folder().join(script)).arg("down").arg(folder).output();
}
