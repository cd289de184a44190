//! Refusals: what was asked, which rule and number refused it, whose limit it is, and what would work.

use squall_types::api::Refusal;

/// Why a command was refused. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection(pub Box<Refusal>);

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: asked {}; limit {}", self.0.slurm, self.0.asked, self.0.limit)
    }
}

impl std::error::Error for Rejection {}

impl Rejection {
    /// `code` is stable; `slurm` is the line that client programs match on.
    pub fn new(code: &str, slurm: &str) -> Self {
        Rejection(Box::new(Refusal {
            code: code.to_owned(),
            slurm: slurm.to_owned(),
            asked: String::new(),
            limit: String::new(),
            try_this: String::new(),
        }))
    }

    pub fn asked(mut self, text: impl Into<String>) -> Self {
        self.0.asked = text.into();
        self
    }

    pub fn limit(mut self, text: impl Into<String>) -> Self {
        self.0.limit = text.into();
        self
    }

    pub fn try_this(mut self, text: impl Into<String>) -> Self {
        self.0.try_this = text.into();
        self
    }
}
