//! What clients and agents ask, over channels that prove who they are.
//!
//! Each call establishes its caller from the channel alone, asks the one authorisation function, and then either reads
//! a published snapshot or hands a command to the engine. Nothing here decides.

mod access;
mod accounts;
mod caller;
mod clients;
mod crontabs;
mod hook;
mod lists;
mod nodes;
mod rate;
mod steps;
mod submit;
mod tokens;
mod users;
mod watch;

pub use caller::Who;

use crate::identity::{Authority, LoginHosts, Tokens, UserTokens};
use crate::limits::{ANSWER_WITHIN, JOINS, QUERIES};
use crate::meters::Meters;
use crate::reload::Reloader;
use crate::settings::Loaded;
use crate::shell::{Handle, Published, Stopped};
use hook::Hooks;
use rate::Rates;
use squall_core::{Caller, Command, Rejection, Reply};
use squall_engine::{Answer, Ask};
use squall_journal::{JournalError, Reader, RecentBlobs};
use squall_proto::server::Failure;
use std::sync::Arc;
use tokio::sync::Semaphore;
use users::Users;

/// Everything that a call may need. One for the whole controller.
pub struct Service {
    pub handle: Handle,
    pub authority: Arc<Authority>,
    pub tokens: Tokens,
    pub user_tokens: UserTokens,
    pub login_hosts: LoginHosts,
    pub journal: Reader,
    pub reloader: Arc<Reloader>,
    pub meters: Arc<Meters>,
    pub hostname: String,
    /// `HOST:PORT` under which machines reach this controller.
    pub address: String,
    rates: Rates,
    users: Users,
    hooks: Hooks,
    recent: Arc<RecentBlobs>,
    /// Walks over the state or the accounting at once.
    queries: Arc<Semaphore>,
    /// Joins and renewals at once.
    joins: Semaphore,
}

impl Service {
    pub fn new(
        handle: Handle,
        authority: Arc<Authority>,
        tokens: Tokens,
        user_tokens: UserTokens,
        login_hosts: LoginHosts,
        journal: Reader,
        reloader: Arc<Reloader>,
        meters: Arc<Meters>,
        address: String,
    ) -> Service {
        Service {
            handle,
            authority,
            tokens,
            user_tokens,
            login_hosts,
            journal,
            reloader,
            meters,
            hostname: hostname(),
            address,
            rates: Rates::default(),
            users: Users::default(),
            hooks: Hooks::default(),
            recent: Arc::default(),
            queries: Arc::new(Semaphore::new(QUERIES)),
            joins: Semaphore::new(JOINS),
        }
    }

    fn published(&self) -> Arc<Published> {
        self.handle.published()
    }

    fn settings(&self) -> Arc<Loaded> {
        self.reloader.current()
    }

    /// Asks the engine, and waits until what follows is on disk.
    async fn ask(&self, caller: Caller, ask: Ask) -> Result<Answer, Failure> {
        answered(self.handle.ask(caller, ask)).await
    }

    async fn command(&self, caller: Caller, command: Command) -> Result<Reply, Failure> {
        done(self.ask(caller, Ask::One(command)).await?)
    }
}

/// What the engine said, or why nothing is known of it.
async fn answered(asked: impl Future<Output = Result<Answer, Stopped>>) -> Result<Answer, Failure> {
    match tokio::time::timeout(ANSWER_WITHIN, asked).await {
        Ok(Ok(Answer::Refused(refusal))) => Err(Failure::Refused(refusal)),
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(Stopped)) => Err(Failure::Standby(Stopped.to_string())),
        Err(_) => {
            let text = format!("no answer within {} s: what was asked may still be done", ANSWER_WITHIN.as_secs());
            Err(Failure::Unanswered(text))
        }
    }
}

fn done(answer: Answer) -> Result<Reply, Failure> {
    match answer {
        Answer::Done(reply) => Ok(reply),
        Answer::Acted(_) | Answer::Refused(_) => Err(unexpected()),
    }
}

fn unexpected() -> Failure {
    Failure::Internal("the engine answered something else than was asked".to_owned())
}

fn refused(rejection: Rejection) -> Failure {
    Failure::Refused(*rejection.0)
}

/// A question that cannot be answered is the client's affair, everything else is not.
fn unread(error: &JournalError) -> Failure {
    match error {
        JournalError::BadQuery(text) => {
            refused(Rejection::new("SQ1090", "Invalid query").asked("accounting").limit(text.clone()))
        }
        _ => {
            tracing::error!(%error, "the journal cannot be read");
            Failure::Internal(format!("the journal cannot be read: {error}"))
        }
    }
}

fn hostname() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_else(|| "localhost".to_owned())
}
