//! A cloud that outlives its process: what changed it is written down before it happens, and happens again, in the same
//! way, when the process is started anew.

use super::Settings;
use crate::answer::Answer;
use crate::{Cloud, CloudConfig, FaultPlan};
use async_trait::async_trait;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use squall_provisioner::{ProvisionError, Provisioner};
use squall_types::{Capabilities, InstanceId, LaunchOrder, Launched, Listing, Offer, Timestamp};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The calls that changed something, one JSON object in a line.
const CALLS: &str = "calls.jsonl";

/// A call that changes the cloud, when it came, and how much room there was.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    at: Timestamp,
    #[serde(default)]
    room: Option<u32>,
    call: Call,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Call {
    Launch(Box<LaunchOrder>),
    Retire(Vec<InstanceId>),
}

/// What a control file says.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Control {
    now: Option<Timestamp>,
    room: Option<u32>,
}

pub(super) struct KeptCloud {
    kept: Mutex<Kept>,
    control: Option<PathBuf>,
    /// Answers take as long as the cloud says; not where a file says what time it is.
    sleeps: bool,
}

struct Kept {
    cloud: Cloud,
    calls: File,
    /// Of questions that change nothing: each has a chance of its own to go wrong.
    questions: u64,
}

impl KeptCloud {
    pub fn open(
        folder: &Path,
        config: CloudConfig,
        faults: FaultPlan,
        settings: &Settings,
    ) -> Result<KeptCloud, String> {
        let path = folder.join(CALLS);
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut calls = opened.map_err(failed)?;
        let mut text = String::new();
        calls.read_to_string(&mut text).map_err(failed)?;
        // A line without an end was never carried out.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut cloud = Cloud::new(config, faults, settings.seed);
        for (number, line) in text[..whole].lines().enumerate() {
            let record: Record = serde_json::from_str(line)
                .map_err(|error| format!("{}: line {}: {error}", path.display(), number + 1))?;
            limit(&mut cloud, record.room);
            match &record.call {
                Call::Launch(order) => drop(cloud.launch(record.at, order)),
                Call::Retire(instances) => drop(cloud.retire(record.at, instances)),
            }
        }
        calls.set_len(whole as u64).and_then(|()| calls.seek(SeekFrom::End(0))).map_err(failed)?;
        let sleeps = settings.control.is_none() || settings.answer_ms.is_some();
        let kept = Mutex::new(Kept { cloud, calls, questions: 0 });
        Ok(KeptCloud { kept, control: settings.control.clone(), sleeps })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> (Timestamp, Option<u32>) {
        let text = self.control.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
        let control: Control = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let wall = || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
        };
        (control.now.unwrap_or_else(wall), control.room)
    }

    /// Writes a call down, carries it out, and answers when the cloud would.
    async fn change<T>(
        &self,
        call: Call,
        effect: impl FnOnce(&mut Cloud, Timestamp) -> Answer<T>,
    ) -> Result<T, ProvisionError> {
        let (at, room) = self.now();
        let record = Record { at, room, call };
        let mut line = serde_json::to_vec(&record).map_err(ProvisionError::unknown)?;
        line.push(b'\n');
        let answer = {
            let mut kept = self.kept();
            kept.calls.write_all(&line).map_err(ProvisionError::unknown)?;
            limit(&mut kept.cloud, room);
            effect(&mut kept.cloud, at)
        };
        self.told(at, answer).await
    }

    /// Asks a copy: questions leave no trace that a new start would have to repeat.
    async fn ask<T>(&self, question: impl FnOnce(&mut Cloud, Timestamp) -> Answer<T>) -> Result<T, ProvisionError> {
        let (at, room) = self.now();
        let answer = {
            let mut kept = self.kept();
            kept.questions += 1;
            let mut copy = kept.cloud.clone();
            copy.rng = ChaCha8Rng::seed_from_u64(kept.questions ^ at.0.unsigned_abs());
            limit(&mut copy, room);
            question(&mut copy, at)
        };
        self.told(at, answer).await
    }

    async fn told<T>(&self, at: Timestamp, answer: Answer<T>) -> Result<T, ProvisionError> {
        if self.sleeps {
            let millis = answer.heard_at.since(at).as_millis();
            tokio::time::sleep(Duration::from_millis(u64::try_from(millis).unwrap_or(0))).await;
        }
        answer.result.map_err(ProvisionError::from)
    }
}

fn limit(cloud: &mut Cloud, room: Option<u32>) {
    if room.is_some() {
        cloud.config_mut().sold.iter_mut().for_each(|sold| sold.capacity = room);
    }
}

#[async_trait]
impl Provisioner for KeptCloud {
    fn capabilities(&self) -> Capabilities {
        self.kept().cloud.capabilities()
    }
    async fn offers(&self) -> Result<Vec<Offer>, ProvisionError> {
        self.ask(|cloud, now| cloud.offers(now)).await
    }
    async fn launch(&self, order: &LaunchOrder) -> Result<Launched, ProvisionError> {
        // What a machine needs to join is a secret, and these boot nothing.
        let call = Call::Launch(Box::new(LaunchOrder { join: None, ..order.clone() }));
        self.change(call, |cloud, now| cloud.launch(now, order)).await
    }
    async fn retire(&self, instances: &[InstanceId]) -> Result<(), ProvisionError> {
        self.change(Call::Retire(instances.to_vec()), |cloud, now| cloud.retire(now, instances)).await
    }
    async fn list(&self) -> Result<Listing, ProvisionError> {
        self.ask(|cloud, now| cloud.list(now)).await
    }
}
