//! As whom a job runs, and how the agent's rights are given up for it.

use minicbor::{Decode, Encode};
use nix::unistd::{self, Gid, Group, Uid, User};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The most groups that a user is taken to have: the kernel's own limit.
const MAX_GROUPS: usize = 65_536;
/// A change of users or groups is seen after so long.
const BELIEVED: Duration = Duration::from_secs(10);
const MOST_TOLD: usize = 1024;

/// A user as this machine knows it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Identity {
    #[n(0)]
    pub uid: u32,
    #[n(1)]
    pub gid: u32,
    /// Supplementary groups, from this machine's own user database.
    #[n(2)]
    pub groups: Vec<u32>,
    /// Empty where the machine has no such user.
    #[n(3)]
    pub name: String,
    #[n(4)]
    pub home: String,
    #[n(5)]
    pub shell: String,
    /// Rights are to be given up; otherwise the agent runs as this user already.
    #[n(6)]
    pub switch: bool,
}

/// Why a job cannot run as its user here.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error(
        "this agent runs as uid {own} and is not root, so it can run only that user's jobs, not those of uid {asked}"
    )]
    NotRoot { own: u32, asked: u32 },
    #[error("the rights of the agent could not be given up: {0}")]
    NotDropped(String),
}

impl Identity {
    /// The identity for jobs of a user, where it was asked for not long ago. Nobody is asked now: [`Identity::of`] may have to
    /// wait for a directory of users on another machine.
    pub fn known(uid: u32, gid: u32) -> Option<Identity> {
        USERS.get((uid, gid))
    }

    /// The identity for jobs of a user, if this process may take it.
    ///
    /// # Errors
    /// [`IdentityError::NotRoot`] where the agent is another user and not root.
    pub fn of(uid: u32, gid: u32) -> Result<Identity, IdentityError> {
        let own = unistd::geteuid();
        if !own.is_root() && own.as_raw() != uid {
            return Err(IdentityError::NotRoot { own: own.as_raw(), asked: uid });
        }
        if let Some(known) = Identity::known(uid, gid) {
            return Ok(known);
        }
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        let groups = user.as_ref().map_or_else(Vec::new, |user| groups(&user.name, gid));
        let identity = Identity {
            uid,
            gid,
            groups,
            name: user.as_ref().map_or_else(String::new, |user| user.name.clone()),
            home: user.as_ref().map_or_else(|| "/".to_owned(), |user| user.dir.to_string_lossy().into_owned()),
            shell: user.as_ref().map_or_else(|| "/bin/sh".to_owned(), |user| user.shell.to_string_lossy().into_owned()),
            switch: own.is_root(),
        };
        // Whoever is not found may only not have been told of.
        if user.is_some() {
            USERS.keep((uid, gid), &identity);
        }
        Ok(identity)
    }

    /// Becomes this user for good, in this process: groups, group, user; then makes sure that there is no way back.
    ///
    /// # Errors
    /// Any doubt. The process must then end and execute nothing.
    pub fn assume(&self) -> Result<(), IdentityError> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        let doubt = |what: &str| IdentityError::NotDropped(what.to_owned());
        if self.switch {
            let groups: Vec<Gid> = self.groups.iter().map(|group| Gid::from_raw(*group)).collect();
            unistd::setgroups(&groups).map_err(|errno| doubt(&format!("setgroups: {errno}")))?;
            unistd::setresgid(gid, gid, gid).map_err(|errno| doubt(&format!("setresgid: {errno}")))?;
            unistd::setresuid(uid, uid, uid).map_err(|errno| doubt(&format!("setresuid: {errno}")))?;
            let groups_now = unistd::getresgid().map_err(|errno| doubt(&errno.to_string()))?;
            if [groups_now.real, groups_now.effective, groups_now.saved] != [gid; 3] {
                return Err(doubt("a group id is not what was set"));
            }
        }
        let users_now = unistd::getresuid().map_err(|errno| doubt(&errno.to_string()))?;
        if [users_now.real, users_now.effective, users_now.saved] != [uid; 3] {
            return Err(doubt("a user id is not what was set"));
        }
        if !uid.is_root() && (unistd::setuid(Uid::from_raw(0)).is_ok() || unistd::seteuid(Uid::from_raw(0)).is_ok()) {
            return Err(doubt("root could be regained"));
        }
        nix::sys::prctl::set_no_new_privs().map_err(|errno| doubt(&format!("no_new_privs: {errno}")))
    }

    /// The group's name, else its number.
    pub fn group_name(&self) -> String {
        if let Some(known) = GROUPS.get(self.gid) {
            return known;
        }
        let Some(group) = Group::from_gid(Gid::from_raw(self.gid)).ok().flatten() else { return self.gid.to_string() };
        GROUPS.keep(self.gid, &group.name);
        group.name
    }
}

/// What the system's name services have said, for a while: they read files anew for each question, or ask a server.
struct Told<K, V>(Mutex<BTreeMap<K, (Instant, V)>>);

static USERS: Told<(u32, u32), Identity> = Told::new();
static GROUPS: Told<u32, String> = Told::new();

impl<K: Copy + Ord, V: Clone> Told<K, V> {
    const fn new() -> Told<K, V> {
        Told(Mutex::new(BTreeMap::new()))
    }

    fn get(&self, key: K) -> Option<V> {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.get(&key).filter(|(at, _)| at.elapsed() < BELIEVED).map(|(_, value)| value.clone())
    }

    fn keep(&self, key: K, value: &V) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= MOST_TOLD {
            told.clear();
        }
        told.insert(key, (Instant::now(), value.clone()));
    }
}

fn groups(name: &str, gid: u32) -> Vec<u32> {
    let Ok(name) = CString::new(name) else { return vec![gid] };
    unistd::getgrouplist(&name, Gid::from_raw(gid))
        .map(|groups| groups.into_iter().take(MAX_GROUPS).map(Gid::as_raw).collect())
        .unwrap_or_else(|_| vec![gid])
}
