//! The limits of an account, an association or a quality of service.

use super::setting::{Setting, SettingError, count, is_none};
use super::tres::TresLimits;
use crate::Span;
use crate::span_text::{clock, parse_span};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// How much may be had at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Bounds {
    /// Jobs that hold nodes or wait for nodes that are bought for them.
    #[n(0)]
    pub jobs: Option<u32>,
    /// Jobs that have not ended; each element of an array is one.
    #[n(1)]
    pub submits: Option<u32>,
    /// What these jobs hold.
    #[n(2)]
    pub tres: TresLimits,
}

/// All limits that one owner can have. Associations and accounts use `group`, `user` (without resources), `job` and
/// `wall`, as Slurm's do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Limits {
    /// All together: Slurm's `Grp…`.
    #[n(0)]
    pub group: Bounds,
    /// Each user: `MaxJobs`, `MaxSubmitJobs`, and of a quality of service `MaxTRESPerUser`.
    #[n(1)]
    pub user: Bounds,
    /// Each account: `Max…PerAccount` of a quality of service.
    #[n(2)]
    pub account: Bounds,
    /// Each job: `MaxTRESPerJob`.
    #[n(3)]
    pub job: TresLimits,
    /// Each job: `MaxWallDurationPerJob`.
    #[n(4)]
    pub wall: Option<Span>,
}

impl Limits {
    pub fn is_empty(&self) -> bool {
        *self == Limits::default()
    }

    /// What the account above passes on: limits on each user and each job of which nothing is said here. Those of
    /// groups hold there already.
    pub fn inherit(&mut self, above: &Limits) {
        self.user.jobs = self.user.jobs.or(above.user.jobs);
        self.user.submits = self.user.submits.or(above.user.submits);
        self.job.inherit(&above.job);
        self.wall = self.wall.or(above.wall);
    }

    /// Takes in a limit of an account or association; `false` where it is none of theirs.
    pub(super) fn set_of_association(&mut self, setting: &Setting) -> Result<bool, SettingError> {
        match setting.name() {
            "grpjobs" => self.group.jobs = count(setting)?,
            "grpsubmitjobs" => self.group.submits = count(setting)?,
            "grptres" => merge(&mut self.group.tres, setting)?,
            "maxjobs" => self.user.jobs = count(setting)?,
            "maxsubmitjobs" => self.user.submits = count(setting)?,
            "maxtresperjob" => merge(&mut self.job, setting)?,
            "maxwall" => self.wall = wall(setting)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Takes in a limit of a quality of service; `false` where it is none of its.
    pub(super) fn set_of_qos(&mut self, setting: &Setting) -> Result<bool, SettingError> {
        match setting.name() {
            "maxtresperuser" => merge(&mut self.user.tres, setting)?,
            "maxjobsperaccount" => self.account.jobs = count(setting)?,
            "maxsubmitjobsperaccount" => self.account.submits = count(setting)?,
            "maxtresperaccount" => merge(&mut self.account.tres, setting)?,
            _ => return self.set_of_association(setting),
        }
        Ok(true)
    }

    pub(super) fn settings_of_association(&self) -> Vec<Setting> {
        let number = |name: &str, number: Option<u32>| number.map(|number| Setting::new(name, number));
        let mut settings: Vec<Setting> = number("grpjobs", self.group.jobs).into_iter().collect();
        settings.extend(number("grpsubmitjobs", self.group.submits));
        settings.extend(tres("grptres", &self.group.tres));
        settings.extend(number("maxjobs", self.user.jobs));
        settings.extend(number("maxsubmitjobs", self.user.submits));
        settings.extend(tres("maxtresperjob", &self.job));
        settings.extend(self.wall.map(|wall| Setting::new("maxwall", clock(wall))));
        settings
    }

    pub(super) fn settings_of_qos(&self) -> Vec<Setting> {
        let number = |name: &str, number: Option<u32>| number.map(|number| Setting::new(name, number));
        let mut settings = self.settings_of_association();
        settings.extend(tres("maxtresperuser", &self.user.tres));
        settings.extend(number("maxjobsperaccount", self.account.jobs));
        settings.extend(number("maxsubmitjobsperaccount", self.account.submits));
        settings.extend(tres("maxtresperaccount", &self.account.tres));
        settings
    }
}

fn tres(name: &str, limits: &TresLimits) -> Option<Setting> {
    (!limits.is_empty()).then(|| Setting::new(name, limits))
}

fn merge(limits: &mut TresLimits, setting: &Setting) -> Result<(), SettingError> {
    limits.merge(&setting.value).map_err(|problem| SettingError::Tres { key: setting.key.clone(), problem })
}

fn wall(setting: &Setting) -> Result<Option<Span>, SettingError> {
    if is_none(&setting.value) {
        return Ok(None);
    }
    let span = parse_span(&setting.value).map_err(|_| setting.wrong("a time as of --time, or -1 for none"))?;
    Ok((span < Span::FOREVER).then_some(span))
}
