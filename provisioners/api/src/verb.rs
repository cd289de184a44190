//! The four verbs, as values to count and to limit by.

use std::fmt;

/// The four things that a provisioner can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    Offers,
    Launch,
    Retire,
    List,
}

impl Verb {
    pub const ALL: [Verb; 4] = [Verb::Offers, Verb::Launch, Verb::Retire, Verb::List];

    /// As metrics and logs spell it.
    pub fn word(self) -> &'static str {
        match self {
            Verb::Offers => "offers",
            Verb::Launch => "launch",
            Verb::Retire => "retire",
            Verb::List => "list",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One value for each verb.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PerVerb<T>([T; 4]);

impl<T> PerVerb<T> {
    pub(crate) fn from_fn(value: impl FnMut(Verb) -> T) -> Self {
        Self(Verb::ALL.map(value))
    }

    pub(crate) fn get(&self, verb: Verb) -> &T {
        &self.0[verb as usize]
    }
}
