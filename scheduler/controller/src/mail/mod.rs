//! `--mail-type`: what becomes of jobs, told by a mail program that the configuration names. The program may be any: a
//! script in its place can call a web hook.

mod letters;
mod outbox;

pub use letters::{Letter, Letters};
pub use outbox::Outbox;

use crate::settings::ControllerSettings;
use squall_core::{Cluster, Event};
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

/// The folder of the outbox in the state folder.
const FOLDER: &str = "mail";

/// Mail as it runs.
pub struct Mail {
    /// Where committed events go.
    pub events: UnboundedSender<Arc<[Event]>>,
    pub delivery: JoinHandle<()>,
}

/// Follows a controller's committed events from the state that it starts with, where a mail program is configured. Has
/// to be called within a tokio runtime.
///
/// # Errors
/// Where there can be no outbox.
pub fn follow(controller: &ControllerSettings, recovered: &Cluster) -> io::Result<Option<Mail>> {
    let Some(program) = controller.mail_program.clone() else { return Ok(None) };
    let outbox = Outbox::open(&controller.state_dir.join(FOLDER))?;
    let mut letters = Letters::recovered(recovered, controller.mail_domain.clone());
    let (events, mut batches) = unbounded_channel::<Arc<[Event]>>();
    let delivery = tokio::spawn(outbox.clone().deliver(program, recovered.config.cluster.clone()));
    // A thread, since each letter waits for the disk.
    std::thread::Builder::new().name("mail".to_owned()).spawn(move || {
        while let Some(batch) = batches.blocking_recv() {
            for letter in batch.iter().filter_map(|event| letters.observe(event)) {
                if let Err(error) = outbox.put(&letter) {
                    tracing::error!(%error, job = %letter.job, "a letter cannot be kept, and is not sent");
                }
            }
        }
    })?;
    Ok(Some(Mail { events, delivery }))
}
