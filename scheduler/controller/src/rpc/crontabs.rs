//! Crontabs: their entries are submissions, which become durable with the text that they stand in, all together.

use super::submit::Admitted;
use super::{Service, answered, done, refused, unexpected};
use squall_core::authz::{Object, Verb, allow};
use squall_core::command::WantedEntry;
use squall_core::{Caller, Command, Rejection, Reply};
use squall_engine::Ask;
use squall_proto::server::{Channel, Failure};
use squall_types::api::{CronEntry, CrontabRequest, MAX_CRON_ENTRIES};
use squall_types::{Gid, Uid};

impl Service {
    pub(super) async fn crontab_of(&self, channel: &Channel, user: Option<Uid>) -> Result<String, Failure> {
        let who = self.who(channel, Verb::EditCrontab)?;
        let uid = whose(&who.caller, user)?;
        let published = self.published();
        Ok(published.cluster.crontabs.get(&uid).map(|crontab| crontab.text.clone()).unwrap_or_default())
    }

    pub(super) async fn change_crontab(
        &self,
        channel: &Channel,
        request: CrontabRequest,
    ) -> Result<Vec<String>, Failure> {
        let who = self.who(channel, Verb::EditCrontab)?;
        let uid = whose(&who.caller, request.user)?;
        let gid = if who.caller.uid() == Some(uid) { who.gid } else { self.group_of(uid).await? };
        let count = request.entries.len();
        if count > MAX_CRON_ENTRIES {
            let refusal = Rejection::new("SQ1031", "Crontab is too large");
            let refusal = refusal.asked(format!("a crontab of {count} entries"));
            return Err(refused(refusal.limit(format!("at most {MAX_CRON_ENTRIES}"))));
        }
        let (mut entries, mut blobs, mut said) = (Vec::with_capacity(count), Vec::new(), Vec::new());
        for CronEntry { first_line, last_line, submission } in request.entries {
            let Admitted { spec, more, token, blobs: contents, notes } =
                self.admit_job(channel, (uid, gid), submission).await?;
            if !more.is_empty() {
                let refusal = Rejection::new("SQ1032", "Invalid job specification");
                let refusal = refusal.asked(format!("a heterogeneous job in line {first_line} of a crontab"));
                return Err(refused(refusal.limit("an entry of a crontab has one component")));
            }
            entries.push(WantedEntry { spec, token, first_line, last_line });
            blobs.extend(contents);
            said.extend(notes.into_iter().filter(|note| !said.contains(note)).collect::<Vec<_>>());
        }
        let command = Command::SetCrontab { uid, text: request.text, entries };
        let reply = done(answered(self.handle.submit(who.caller.clone(), Ask::One(command), blobs)).await?)?;
        tracing::info!(caller = ?who.caller, %uid, entries = count, "a crontab was set");
        if reply == Reply::Done { Ok(said) } else { Err(unexpected()) }
    }

    /// The first group of a user as this machine knows her.
    async fn group_of(&self, uid: Uid) -> Result<Gid, Failure> {
        let found = tokio::task::spawn_blocking(move || {
            let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid.0)).ok().flatten();
            user.map(|user| Gid(user.gid.as_raw()))
        });
        found.await.ok().flatten().ok_or_else(|| {
            let refusal = Rejection::new("SQ1018", "Invalid user id").asked(format!("the crontab of uid {uid}"));
            refused(refusal.limit("the controller's machine knows no such user"))
        })
    }
}

/// Whose crontab is meant, where the caller may see and set it.
fn whose(caller: &Caller, user: Option<Uid>) -> Result<Uid, Failure> {
    let uid = user.or_else(|| caller.uid()).ok_or_else(|| Failure::Denied("only users have crontabs".to_owned()))?;
    allow(caller, Verb::EditCrontab, Object::Job { uid }).map_err(refused)?;
    Ok(uid)
}
