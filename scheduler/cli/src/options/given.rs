//! What was given, by where it came from: the command line beats the environment, which beats the script.

use super::parse::{Parsed, Set};
use super::{Effect, Opt, Takes, of};
use crate::command::Command;
use crate::failure::{Advice, Failure};
use crate::invocation::Environment;

/// Where an option came from, the weightiest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    Script,
    Environment,
    CommandLine,
}

/// All options of one invocation.
#[derive(Clone, Debug)]
pub struct Given {
    command: Command,
    layers: Vec<(Source, Vec<Set>)>,
}

impl Given {
    /// Options of the command line alone.
    pub fn on_command_line(command: Command, parsed: &Parsed) -> Self {
        Given { command, layers: vec![(Source::CommandLine, parsed.set.clone())] }
    }

    /// Adds the options that input variables set. A flag is set by an empty value, `yes`, or a number but 0.
    pub fn and_environment(mut self, environment: &Environment) -> Self {
        let mut set = Vec::new();
        for opt in of(self.command) {
            let Some(value) = opt.value_in(environment, self.command) else { continue };
            match opt.takes {
                Takes::Nothing if is_on(value) => set.push(Set { opt, value: None }),
                Takes::Nothing => {}
                Takes::Maybe(_) | Takes::Loose(_) if value.is_empty() || value == "yes" => {
                    set.push(Set { opt, value: None })
                }
                Takes::Value(_) | Takes::Maybe(_) | Takes::Loose(_) => {
                    set.push(Set { opt, value: Some(value.to_owned()) })
                }
            }
        }
        self.layers.push((Source::Environment, set));
        self
    }

    /// Adds the options of a script's directives.
    pub fn and_script(mut self, directives: Vec<Set>) -> Self {
        self.layers.push((Source::Script, directives));
        self
    }

    /// The weightiest setting of the option: of the weightiest source, the last.
    fn setting(&self, long: &str) -> Option<(Source, &Set)> {
        self.layers
            .iter()
            .filter_map(|(source, set)| {
                set.iter().rev().find(|given| given.opt.long == long).map(|given| (*source, given))
            })
            .max_by_key(|(source, _)| *source)
    }

    /// `false` also where the command has no such option: the three that request resources share most, not all.
    pub fn has(&self, long: &str) -> bool {
        self.setting(long).is_some()
    }

    /// The option's value; `None` where it was not given or has none.
    pub fn text(&self, long: &str) -> Option<&str> {
        self.setting(long).and_then(|(_, set)| set.value.as_deref())
    }

    pub fn source(&self, long: &str) -> Option<Source> {
        self.setting(long).map(|(source, _)| source)
    }

    /// How often the option was given on the command line, for `-vv`.
    pub fn count(&self, long: &str) -> usize {
        let of_one = |set: &Vec<Set>| set.iter().filter(|given| given.opt.long == long).count();
        self.layers.iter().map(|(_, set)| of_one(set)).max().unwrap_or(0)
    }

    /// All values of an option that may be repeated, in order, from the weightiest source that has any.
    pub fn all(&self, long: &str) -> Vec<&str> {
        let Some(source) = self.source(long) else { return Vec::new() };
        let layer = self.layers.iter().find(|(of, _)| *of == source);
        let set = layer.map(|(_, set)| set.as_slice()).unwrap_or_default();
        set.iter().filter(|given| given.opt.long == long).filter_map(|given| given.value.as_deref()).collect()
    }

    /// Of options that exclude each other: the one that was given last in the weightiest source that has any.
    ///
    /// # Errors
    /// Two of them from the same source.
    pub fn one_of<'n>(&self, names: &[&'n str]) -> Result<Option<&'n str>, (Source, Vec<&'n str>)> {
        let given: Vec<(&str, Source)> =
            names.iter().filter_map(|name| self.source(name).map(|source| (*name, source))).collect();
        let Some(weightiest) = given.iter().map(|(_, source)| *source).max() else { return Ok(None) };
        let top: Vec<&str> = given.iter().filter(|(_, source)| *source == weightiest).map(|(name, _)| *name).collect();
        if top.len() > 1 { Err((weightiest, top)) } else { Ok(top.first().copied()) }
    }

    /// Of a pair of flags that take each other back, the one that was given later or weighs more.
    pub fn later_of<'n>(&self, names: &[&'n str]) -> Option<&'n str> {
        let mut found: Option<(Source, usize, &'n str)> = None;
        for (source, set) in &self.layers {
            for (at, given) in set.iter().enumerate() {
                if let Some(name) = names.iter().find(|name| **name == given.opt.long)
                    && found.is_none_or(|(than, before, _)| (*source, at) >= (than, before))
                {
                    found = Some((*source, at, name));
                }
            }
        }
        found.map(|(_, _, name)| name)
    }

    /// # Errors
    /// The first given option whose meaning this system cannot keep.
    pub fn refuse_what_cannot_be_kept(&self) -> Result<(), Failure> {
        for (_, set) in &self.layers {
            for given in set {
                if let Effect::Refused { why, try_this } = given.opt.effect {
                    return Err(self.cannot_keep(given, why, try_this));
                }
            }
        }
        Ok(())
    }

    fn cannot_keep(&self, given: &Set, why: &str, try_this: &str) -> Failure {
        let asked = match &given.value {
            Some(value) => format!("--{}={value}", given.opt.long),
            None => format!("--{}", given.opt.long),
        };
        Failure::error(self.command.name(), format!("--{} is not supported", given.opt.long)).advising(Advice {
            asked,
            limit: why.to_owned(),
            try_this: try_this.to_owned(),
            code: "SQ0002",
            ..Advice::default()
        })
    }

    /// The given options that have no effect, once each, with what happens instead.
    pub fn without_effect(&self) -> Vec<(&'static Opt, &'static str)> {
        let mut said: Vec<(&'static Opt, &'static str)> = Vec::new();
        for given in self.layers.iter().flat_map(|(_, set)| set) {
            if let Effect::Ignored { why } = given.opt.effect
                && !said.iter().any(|(opt, _)| opt.long == given.opt.long)
            {
                said.push((given.opt, why));
            }
        }
        said
    }
}

fn is_on(value: &str) -> bool {
    value.is_empty() || value.eq_ignore_ascii_case("yes") || value.parse::<i64>().is_ok_and(|number| number != 0)
}
