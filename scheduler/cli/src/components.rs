//! Heterogeneous jobs on the command line and in scripts: `A : B`, and what a component takes over from the one before.

use crate::command::Command;
use crate::failure::Failure;
use crate::invocation::Environment;
use crate::options::{self, Given, Parsed, Set};

const SEPARATOR: &str = ":";

/// What each component asks for anew; all other options hold from the component that gives them on, as in Slurm.
const ASKED_ANEW: &[&str] = &[
    "constraint",
    "contiguous",
    "core-spec",
    "cores-per-socket",
    "cpus-per-gpu",
    "cpus-per-task",
    "exclusive",
    "extra-node-info",
    "gpu-bind",
    "gpu-freq",
    "gpus",
    "gpus-per-node",
    "gpus-per-socket",
    "gpus-per-task",
    "gres",
    "gres-flags",
    "het-group",
    "hint",
    "licenses",
    "mem-per-gpu",
    "mincpus",
    "network",
    "nodefile",
    "nodelist",
    "nodes",
    "ntasks",
    "ntasks-per-core",
    "ntasks-per-gpu",
    "ntasks-per-node",
    "ntasks-per-socket",
    "overcommit",
    "oversubscribe",
    "partition",
    "relative",
    "sockets-per-node",
    "spread-job",
    "switches",
    "thread-spec",
    "threads-per-core",
    "tmp",
    "use-min-nodes",
];

/// The options of each component of a command line, and the words after the last.
#[derive(Clone, Debug)]
pub struct Components {
    command: Command,
    sets: Vec<Vec<Set>>,
    pub rest: Vec<String>,
}

impl Components {
    /// Components are separated by colons before the first word that is no option.
    ///
    /// # Errors
    /// An option of a later component that cannot be read.
    pub fn of(command: Command, parsed: Parsed) -> Result<Components, Failure> {
        let Parsed { set, mut rest } = parsed;
        let mut sets = vec![set];
        while rest.first().is_some_and(|word| word == SEPARATOR) {
            let next = options::parse(command, &rest[1..]).map_err(|error| error.told_by(command))?;
            sets.push(next.set);
            rest = next.rest;
        }
        Ok(Components { command, sets, rest })
    }

    /// What was given for any of them: options that are about the command and not about a component.
    pub fn any(&self, environment: &Environment) -> Given {
        let parsed = Parsed { set: self.sets.concat(), rest: Vec::new() };
        Given::on_command_line(self.command, &parsed).and_environment(environment)
    }

    /// What holds for each of them. `script` has the directives of each component of a script; a command line of one
    /// component is about all that the script has.
    pub fn each(&self, environment: &Environment, script: &[Vec<Set>]) -> Vec<Given> {
        let (typed, written) = (taken_over(&self.sets), taken_over(script));
        let count = typed.len().max(written.len());
        let component = |at: usize| {
            let set = typed.get(at).or(typed.last()).cloned().unwrap_or_default();
            // Beyond its last component a script says nothing but what is taken over.
            let directives = match (written.get(at), written.last()) {
                (Some(set), _) => set.clone(),
                (None, last) => last.into_iter().flatten().filter(|set| !is_asked_anew(set)).cloned().collect(),
            };
            let given = Given::on_command_line(self.command, &Parsed { set, rest: Vec::new() });
            given.and_environment(environment).and_script(directives)
        };
        (0..count).map(component).collect()
    }
}

fn is_asked_anew(set: &Set) -> bool {
    ASKED_ANEW.contains(&set.opt.long)
}

/// Each component with what it takes over from the one before it.
pub fn taken_over(sets: &[Vec<Set>]) -> Vec<Vec<Set>> {
    let mut all: Vec<Vec<Set>> = Vec::new();
    for own in sets {
        let before = all.last().into_iter().flatten().filter(|set| !is_asked_anew(set)).cloned();
        all.push(before.chain(own.iter().cloned()).collect());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn components(line: &str) -> Components {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let parsed = options::parse(Command::Sbatch, &words).expect("options");
        Components::of(Command::Sbatch, parsed).expect("components")
    }

    fn shown(given: &[Given]) -> Vec<[Option<&str>; 3]> {
        given.iter().map(|one| ["ntasks", "time", "job-name"].map(|long| one.text(long))).collect()
    }

    #[test]
    fn a_component_takes_over_what_is_not_asked_anew() {
        let found = components("-n1 -t5 -Ja : -n2 -Jb : job.sh : argument");
        assert_eq!(found.rest, ["job.sh", ":", "argument"]);
        let each = found.each(&Environment::default(), &[]);
        let (a, b) = ([Some("1"), Some("5"), Some("a")], [Some("2"), Some("5"), Some("b")]);
        assert_eq!(shown(&each), [a, b, [None, Some("5"), Some("b")]]);
    }

    #[test]
    fn a_line_of_one_component_is_about_all_that_the_script_has() {
        let script = [components("-n1 -t5").sets, components("-n2 -Jb").sets].concat();
        let of = |line: &str| components(line).each(&Environment::default(), &script);
        assert_eq!(shown(&of("-t9")), [[Some("1"), Some("9"), None], [Some("2"), Some("9"), Some("b")]]);
        assert_eq!(shown(&of("-t3 : -t4")), [[Some("1"), Some("3"), None], [Some("2"), Some("4"), Some("b")]]);
        assert_eq!(shown(&of("-t3 : -t4 : -n7"))[2], [Some("7"), Some("4"), Some("b")]);
    }
}
