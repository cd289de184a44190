//! One of the two: a cluster, a folder to work in, and the jobs that were submitted there.

use super::mask;
use super::scene::folder;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// For one job to get where a scene needs it.
const PATIENCE: Duration = Duration::from_secs(60);
/// One command, in seconds.
const LONGEST: &str = "60";
const LOOK: Duration = Duration::from_millis(100);

/// What a command said, with everything masked that differs from run to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    code: i32,
    out: String,
    err: String,
}

impl Answer {
    pub fn shown(&self, who: &str) -> String {
        let mut text = format!("  {who} [exit {}]\n", self.code);
        for (stream, lines) in [("out", &self.out), ("err", &self.err)] {
            lines.lines().for_each(|line| text.push_str(&format!("  {who} {stream} |{line}|\n")));
        }
        text
    }
}

pub struct Side {
    script: &'static str,
    /// Removed with everything in it when this ends.
    home: tempfile::TempDir,
    environment: String,
    scene: PathBuf,
    jobs: Vec<(String, String)>,
}

impl Side {
    pub fn slurm() -> Side {
        Side::up("peer.sh", &[])
    }

    pub fn squall(binary: &Path) -> Side {
        let binary = std::path::absolute(binary).expect("a path");
        Side::up("squall.sh", &[binary.to_str().expect("a plain path")])
    }

    fn up(script: &'static str, arguments: &[&str]) -> Side {
        let home = tempfile::Builder::new().prefix("twin-").tempdir_in("/tmp").expect("a folder");
        let mut side = Side { script, home, environment: String::new(), scene: PathBuf::new(), jobs: Vec::new() };
        let output = Command::new(folder().join(script)).arg("up").arg(side.home.path()).args(arguments).output();
        let output = output.expect("the script runs");
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script} up failed:\n{err}");
        side.environment = String::from_utf8_lossy(&output.stdout).into_owned();
        side.enter("warm");
        // Every node has been used once, and both sides have given one job a number.
        side.run("sbatch --wait -N4 -o /dev/null --wrap hostname");
        side
    }

    /// A folder of its own for each scene.
    pub fn enter(&mut self, scene: &str) {
        self.scene = self.home.path().join("scenes").join(scene);
        std::fs::create_dir_all(&self.scene).expect("a folder");
        self.jobs.clear();
    }

    fn raw(&self, command: &str) -> std::process::Output {
        let mut numbers: String = self.jobs.iter().map(|(name, id)| format!("{name}={id}\n")).collect();
        // All jobs of the scene.
        let all: Vec<&str> = self.jobs.iter().map(|(_, id)| id.as_str()).collect();
        numbers.push_str(&format!("JOBS={}\n", all.join(",")));
        let text = format!("{}{numbers}{command}\n", self.environment);
        // A command that hangs is a difference (exit 124), not the end of the test.
        let mut bash = Command::new("timeout");
        bash.args(["--kill-after=5", LONGEST, "bash", "-c", &text]).current_dir(&self.scene).env_clear();
        bash.env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("HOME", "/nonexistent").env("TZ", "UTC");
        bash.stdin(std::process::Stdio::null()).output().expect("bash runs")
    }

    pub fn run(&self, command: &str) -> Answer {
        let output = self.raw(command);
        let masked = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            mask::masked(&text, &self.scene, &self.jobs)
        };
        Answer {
            code: output.status.code().unwrap_or(-1),
            out: masked(&output.stdout),
            err: mask::without_advice(&masked(&output.stderr)),
        }
    }

    /// Runs a submission and keeps the number it printed.
    pub fn submit(&mut self, name: &str, command: &str) -> Answer {
        let output = self.raw(command);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let digits =
            |text: &str| text.split(|c: char| !c.is_ascii_digit()).find(|word| word.len() >= 4).map(str::to_owned);
        let id = digits(&out).or_else(|| digits(&err));
        // Where one side refuses, that is the difference to tell of.
        self.jobs.push((name.to_owned(), id.unwrap_or_else(|| "0".to_owned())));
        let masked = |text: &str| mask::masked(text, &self.scene, &self.jobs);
        Answer { code: output.status.code().unwrap_or(-1), out: masked(&out), err: mask::without_advice(&masked(&err)) }
    }

    pub fn wait(&self, job: &str, states: &[String]) {
        let until = Instant::now() + PATIENCE;
        loop {
            let output = self.raw(&format!("squeue -h -t all -j ${job} -o %T"));
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            // Of an array, every element.
            if !text.trim().is_empty()
                && text.split_whitespace().all(|state| states.iter().any(|wanted| wanted == state))
            {
                return;
            }
            if Instant::now() >= until {
                eprintln!("{}: {job} is {}, not {states:?}", self.script, text.trim());
                return;
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        super::ended_by(self.script, self.home.path());
    }
}
