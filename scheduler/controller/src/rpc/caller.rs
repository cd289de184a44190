//! Who calls, from the channel alone: the kernel's word, a certificate, or a credential that the controller signed.

use super::Service;
use crate::identity::{Machine, Proven};
use crate::settings::{Loaded, uid_range};
use squall_core::{Caller, Cluster};
use squall_proto::credential::Credential;
use squall_proto::server::{Channel, Failure};
use squall_types::{Gid, NodeId, Timestamp, Uid};

/// A caller and what else is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    pub caller: Caller,
    /// The group that its jobs get; of a node there is none.
    pub gid: Gid,
}

impl Service {
    /// A user, an admin or a job. Agents have no business here.
    pub(super) fn user(&self, channel: &Channel) -> Result<Who, Failure> {
        let published = self.published();
        let settings = self.settings();
        let now = self.handle.now();
        if let Some(token) = &channel.bearer {
            return self.token_bearer(channel, token, now);
        }
        if let Some(frame) = &channel.job_credential {
            self.may_carry_credentials(channel, &published.cluster, &settings, now)?;
            let credential = self.authority.verify_job(frame, now).map_err(|error| denied(error.to_string()))?;
            return job(&published.cluster, &credential);
        }
        if let Some(peer) = channel.peer {
            return Ok(local_user(&published.cluster, peer.uid, peer.gid));
        }
        match self.machine(channel, now)? {
            Proven { machine: Machine::LoginHost(name), key, .. } => {
                let vouched = channel
                    .vouched
                    .ok_or_else(|| denied("a login host asks for its users, and this one did not say for whom"))?;
                if !self.login_hosts.is_enrolled(&name, &key) {
                    return Err(denied(format!("the login host {name} was enrolled again since, with another key")));
                }
                vouched_user(&published.cluster, &settings, &name, vouched.uid, vouched.gid)
            }
            Proven { machine: Machine::Node { .. }, .. } => {
                Err(denied("an agent asks in the name of a job, with the job's credential"))
            }
        }
    }

    /// A user of the network. However powerful she is elsewhere, a token is no admin: what leaks is to cost little.
    fn token_bearer(&self, channel: &Channel, token: &str, now: Timestamp) -> Result<Who, Failure> {
        if channel.peer.is_some() || channel.cert_der.is_some() || channel.vouched.is_some() {
            return Err(denied("a token is for users of the network, and something else proves this caller already"));
        }
        let (uid, gid) = self.user_tokens.verify(token, now).map_err(|error| denied(error.to_string()))?;
        Ok(Who { caller: Caller::User(uid), gid })
    }

    /// The agent of a node that the ledger knows, with a certificate that has not expired.
    pub(super) fn node(&self, channel: &Channel) -> Result<NodeId, Failure> {
        let now = self.handle.now();
        let proven = self.machine(channel, now)?;
        agent_of(&self.published().cluster, &proven)
    }

    /// The machine that the certificate names. Whether it may do what it asks is decided elsewhere.
    fn machine(&self, channel: &Channel, now: Timestamp) -> Result<Proven, Failure> {
        let proven = self.certificate(channel)?;
        if now >= proven.expires_at {
            return Err(denied("the certificate has expired: it can only be renewed"));
        }
        Ok(proven)
    }

    /// The same for one that may have expired: it may be renewed, and do nothing else.
    pub(super) fn certificate(&self, channel: &Channel) -> Result<Proven, Failure> {
        let der = channel.cert_der.as_deref().ok_or_else(|| denied("nothing proves who is calling"))?;
        Proven::read(der, self.authority.cluster()).map_err(|error| denied(error.to_string()))
    }

    /// A credential counts from the agents that were given it, and from processes of this machine.
    fn may_carry_credentials(
        &self,
        channel: &Channel,
        cluster: &Cluster,
        settings: &Loaded,
        now: Timestamp,
    ) -> Result<(), Failure> {
        if channel.peer.is_some() {
            return Ok(());
        }
        match self.machine(channel, now)? {
            proven @ Proven { machine: Machine::Node { .. }, .. } => agent_of(cluster, &proven).map(|_| ()),
            Proven { machine: Machine::LoginHost(name), key, .. }
                if settings.settings.login_hosts.contains_key(&name) && self.login_hosts.is_enrolled(&name, &key) =>
            {
                Ok(())
            }
            Proven { machine: Machine::LoginHost(name), .. } => {
                Err(denied(format!("{name} is no login host of this cluster any more")))
            }
        }
    }
}

/// The node of an agent, if the ledger binds it to this key.
pub(super) fn agent_of(cluster: &Cluster, proven: &Proven) -> Result<NodeId, Failure> {
    let Machine::Node { node, .. } = &proven.machine else {
        return Err(denied("this is for agents of nodes"));
    };
    match cluster.nodes.get(node) {
        Some(known) if known.is_gone() => Err(denied(format!("node {} is gone", known.name))),
        Some(known) if known.key.as_deref() == Some(&proven.key) => Ok(*node),
        Some(known) => Err(denied(format!("node {} joined with another key", known.name))),
        None => Err(denied(format!("node {node} is not in the ledger"))),
    }
}

/// Whom the kernel names at the other end of the controller's own socket.
fn local_user(cluster: &Cluster, uid: Uid, gid: Gid) -> Who {
    let admin = uid == Uid(0) || cluster.config.admins.contains(&uid);
    Who { caller: if admin { Caller::Admin(uid) } else { Caller::User(uid) }, gid }
}

/// For whom a login host speaks: never root, never an admin, only users of its range.
fn vouched_user(cluster: &Cluster, settings: &Loaded, host: &str, uid: Uid, gid: Gid) -> Result<Who, Failure> {
    let Some(host_settings) = settings.settings.login_hosts.get(host) else {
        return Err(denied(format!("{host} is no login host of this cluster any more")));
    };
    if uid == Uid(0) || cluster.config.admins.contains(&uid) {
        return Err(denied(format!(
            "the login host {host} cannot vouch for root or an admin: come to the controller's host"
        )));
    }
    if !uid_range(&host_settings.uids).is_some_and(|range| range.contains(&uid)) {
        return Err(denied(format!("the login host {host} may vouch for uids {}, not for {uid}", host_settings.uids)));
    }
    Ok(Who { caller: Caller::User(uid), gid })
}

/// A job acts as its user while the attempt lives.
fn job(cluster: &Cluster, credential: &Credential) -> Result<Who, Failure> {
    let run = credential.run;
    let lives = cluster
        .jobs
        .get(&run.job)
        .is_some_and(|job| job.attempt == run.attempt && !job.is_ended() && job.spec.uid == credential.uid);
    if !lives {
        return Err(denied(format!("job {run} is over, and its credential with it")));
    }
    Ok(Who { caller: Caller::Job { uid: credential.uid, run }, gid: credential.gid })
}

pub(super) fn denied(why: impl Into<String>) -> Failure {
    Failure::Denied(why.into())
}
