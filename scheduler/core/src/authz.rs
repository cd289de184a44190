//! Who may do what: one function, and whatever no rule allows is denied.
//!
//! Every request of a client and every word of an agent is one [`Verb`] on one [`Object`]. The caller is whom the
//! channel proved, never whom the message names. A job acts as its user: it gains nothing from its user being an admin.

use crate::command::Caller;
use crate::refuse::Rejection;
use squall_types::{NodeId, Uid};

/// Everything that can be asked of the controller from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    // Open to every user.
    Ping,
    /// Partitions, nodes, the summary.
    ReadCluster,
    /// Jobs, their details, why they wait, their news.
    ReadJobs,
    ReadAccounting,
    ReadLedger,
    ReadConfig,
    Submit,

    // For the owner of a job.
    /// Cancel, signal, hold, release, requeue, update.
    ChangeJob,
    /// The script, the environment and the output of a job.
    ReadScript,
    StartStep,
    /// Hear and speak to the steps of a job, see what they use, and put files on its nodes.
    VisitJob,
    FinishAllocation,
    /// Set a crontab, or read it.
    EditCrontab,
    /// Make, list and revoke the tokens with which a user comes over the network.
    UseTokens,

    // For admins.
    /// An explicit priority, a nice value below zero, or the release of what an admin holds.
    RaisePriority,
    /// Suspend and resume: what is suspended keeps its nodes from everybody else.
    SuspendJob,
    ChangeNode,
    /// Levels of users included.
    ChangeAccounts,
    Reconfigure,
    MakeJoinToken,
    Shutdown,

    // For machines.
    /// The controller's own, once it has checked the secret and the proof: who joins is nobody yet.
    Join,
    /// A new certificate for the same key.
    RenewCertificate,
    /// Registration, heartbeats, states of attempts and steps.
    AgentNews,
    /// Scripts and environments of what a node is to run.
    FetchBlob,
}

/// What it is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    /// A job of this user, or a submission in this user's name.
    Job {
        uid: Uid,
    },
    Node(NodeId),
    /// What belongs to a user and to no job of hers.
    User(Uid),
    /// Accounts, their users or qualities of service, and whether the caller was given them to look after.
    Accounts {
        entrusted: bool,
    },
    /// The cluster as a whole, or anything that belongs to nobody.
    Cluster,
    None,
}

/// What a verb takes.
enum Rule {
    Anyone,
    /// The job's user or an admin.
    Owner,
    /// The user herself or an admin, and no job: what it made would outlive it.
    Oneself,
    /// An admin, or a user to whom it was entrusted; no job.
    Entrusted,
    Admin,
    OwnNode,
    Controller,
}

impl Verb {
    /// All of them, for tests over every rule.
    pub const ALL: [Verb; 25] = [
        Verb::Ping,
        Verb::ReadCluster,
        Verb::ReadJobs,
        Verb::ReadAccounting,
        Verb::ReadLedger,
        Verb::ReadConfig,
        Verb::Submit,
        Verb::ChangeJob,
        Verb::ReadScript,
        Verb::StartStep,
        Verb::VisitJob,
        Verb::FinishAllocation,
        Verb::EditCrontab,
        Verb::UseTokens,
        Verb::RaisePriority,
        Verb::SuspendJob,
        Verb::ChangeNode,
        Verb::ChangeAccounts,
        Verb::Reconfigure,
        Verb::MakeJoinToken,
        Verb::Shutdown,
        Verb::Join,
        Verb::RenewCertificate,
        Verb::AgentNews,
        Verb::FetchBlob,
    ];

    fn rule(self) -> Rule {
        match self {
            Verb::Ping | Verb::ReadCluster | Verb::ReadJobs | Verb::ReadAccounting => Rule::Anyone,
            Verb::ReadLedger | Verb::ReadConfig | Verb::Submit => Rule::Anyone,
            Verb::ChangeJob | Verb::ReadScript | Verb::StartStep => Rule::Owner,
            Verb::VisitJob | Verb::FinishAllocation | Verb::EditCrontab => Rule::Owner,
            Verb::UseTokens => Rule::Oneself,
            Verb::ChangeAccounts => Rule::Entrusted,
            Verb::RaisePriority | Verb::SuspendJob | Verb::ChangeNode | Verb::Reconfigure => Rule::Admin,
            Verb::MakeJoinToken | Verb::Shutdown => Rule::Admin,
            Verb::RenewCertificate | Verb::AgentNews | Verb::FetchBlob => Rule::OwnNode,
            Verb::Join => Rule::Controller,
        }
    }

    /// For people, to be followed by the object.
    fn words(self) -> &'static str {
        match self {
            Verb::Ping => "to ping",
            Verb::ReadCluster => "to read the state of",
            Verb::ReadJobs => "to read",
            Verb::ReadAccounting => "to read the accounting of",
            Verb::ReadLedger => "to read the ledger of",
            Verb::ReadConfig => "to read the configuration of",
            Verb::Submit => "to submit",
            Verb::ChangeJob => "to change",
            Verb::ReadScript => "to read the script of",
            Verb::StartStep => "to start a step in",
            Verb::VisitJob => "to visit the nodes of",
            Verb::FinishAllocation => "to give back the allocation of",
            Verb::EditCrontab => "to see or set the crontab of the owner of",
            Verb::UseTokens => "to make, list or revoke tokens of",
            Verb::RaisePriority => "to raise the priority of",
            Verb::SuspendJob => "to suspend or resume",
            Verb::ChangeNode | Verb::ChangeAccounts => "to change",
            Verb::Reconfigure => "to reconfigure",
            Verb::MakeJoinToken => "to make a join token for",
            Verb::Shutdown => "to shut down",
            Verb::Join => "to join",
            Verb::RenewCertificate => "to renew the certificate of",
            Verb::AgentNews => "to report for",
            Verb::FetchBlob => "to fetch what is to run on",
        }
    }
}

/// Whether `caller` may do this.
///
/// # Errors
/// A refusal that says which rule stands in the way and who could do it.
pub fn allow(caller: &Caller, verb: Verb, object: Object) -> Result<(), Rejection> {
    if is_allowed(caller, verb, object) { Ok(()) } else { Err(denied(caller, verb, object)) }
}

fn is_allowed(caller: &Caller, verb: Verb, object: Object) -> bool {
    match (verb.rule(), caller, object) {
        (_, Caller::System, _) => true,
        (Rule::Anyone, Caller::Admin(_), _) => true,
        // A submission is in the caller's own name.
        (Rule::Anyone, Caller::User(uid) | Caller::Job { uid, .. }, Object::Job { uid: owner }) => {
            verb != Verb::Submit || *uid == owner
        }
        (Rule::Anyone, Caller::User(_) | Caller::Job { .. }, _) => true,
        (Rule::Owner, Caller::Admin(_), Object::Job { .. }) => true,
        (Rule::Owner, Caller::User(uid) | Caller::Job { uid, .. }, Object::Job { uid: owner }) => *uid == owner,
        (Rule::Oneself, Caller::Admin(_), Object::User(_)) => true,
        (Rule::Oneself, Caller::User(uid), Object::User(owner)) => *uid == owner,
        (Rule::Entrusted, Caller::Admin(_), _) => true,
        (Rule::Entrusted, Caller::User(_), Object::Accounts { entrusted }) => entrusted,
        (Rule::Admin, Caller::Admin(_), _) => true,
        (Rule::OwnNode, Caller::Node(node), Object::Node(owner)) => *node == owner,
        _ => false,
    }
}

fn denied(caller: &Caller, verb: Verb, object: Object) -> Rejection {
    let (code, limit, try_this) = match verb.rule() {
        Rule::Anyone if matches!(caller, Caller::Node(_)) => {
            ("SQ2004", "an agent may act for its own node alone", "ask as a user")
        }
        Rule::Anyone => ("SQ2001", "a job is submitted in the name of the user who asks", "submit it as that user"),
        Rule::Owner => ("SQ2001", "only the job's owner or an admin may", "ask its owner or an admin"),
        Rule::Oneself => {
            ("SQ2005", "a token is for the user who makes it, and for no job", "make it as that user, outside of a job")
        }
        Rule::Entrusted => (
            "SQ2006",
            "only an admin, an operator of the accounts or a coordinator of the account may",
            "ask an admin, or a coordinator: sacctmgr show account withcoord",
        ),
        Rule::Admin => ("SQ2002", "only root on the controller's host or a configured admin may", "ask an admin"),
        Rule::OwnNode => ("SQ2003", "an agent may act for its own node alone", ""),
        Rule::Controller => ("SQ2004", "only the controller itself may, after it has checked a join secret", ""),
    };
    Rejection::new(code, "Access/permission denied")
        .asked(format!("{} {}, by {}", verb.words(), object_words(object), caller_words(caller)))
        .limit(limit)
        .try_this(try_this)
}

fn object_words(object: Object) -> String {
    match object {
        Object::Job { uid } => format!("a job of uid {uid}"),
        Object::Node(node) => format!("node {node}"),
        Object::User(uid) => format!("uid {uid}"),
        Object::Accounts { .. } => "accounts".to_owned(),
        Object::Cluster => "the cluster".to_owned(),
        Object::None => "something new".to_owned(),
    }
}

fn caller_words(caller: &Caller) -> String {
    match caller {
        Caller::System => "the controller".to_owned(),
        Caller::Admin(uid) => format!("admin {uid}"),
        Caller::User(uid) => format!("uid {uid}"),
        Caller::Job { uid, run } => format!("job {run} of uid {uid}"),
        Caller::Node(node) => format!("the agent of node {node}"),
    }
}

#[cfg(test)]
mod tests;
