//! Starts the controller again whenever it dies, as long as the cluster is to be up.

use super::Place;
use super::controller;
use super::process::Process;
use std::fs::{File, OpenOptions, TryLockError};
use std::future::Future;
use std::io;
use std::process::Child;
use std::time::{Duration, Instant};

/// Between two looks at whether the controller lives.
const LOOK: Duration = Duration::from_millis(200);
/// Before it is started again; doubled each time that it dies young.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A controller that has lived so long did not die young.
const GROWN_UP: Duration = Duration::from_secs(30);

/// The right to be the one that keeps a cluster up.
#[derive(Debug)]
pub struct Keeper {
    place: Place,
    _lock: File,
}

impl Keeper {
    /// `None` where another process has that right.
    ///
    /// # Errors
    /// As the file system says.
    pub fn take(place: &Place) -> io::Result<Option<Keeper>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(place.keeper_lock())?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if let Some(own) = Process::of(std::process::id()) {
            own.record(&record_of(place))?;
        }
        Ok(Some(Keeper { place: place.clone(), _lock: file }))
    }

    /// Keeps the controller up until `stop` resolves. `tell` hears what had to be done.
    pub async fn keep(&self, mut child: Option<Child>, stop: impl Future<Output = ()>, tell: &mut dyn FnMut(String)) {
        let mut stop = std::pin::pin!(stop);
        let mut pause = FIRST_PAUSE;
        let mut since = Instant::now();
        loop {
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let ended = match &mut child {
                Some(child) => child.try_wait().ok().flatten().map(|status| status.to_string()),
                None => Process::recorded(&self.place.controller_record()).is_none().then(|| "it is gone".to_owned()),
            };
            let Some(how) = ended else { continue };
            if since.elapsed() > GROWN_UP {
                pause = FIRST_PAUSE;
            }
            tell(format!("the controller ended ({how}); it is started again"));
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            since = Instant::now();
            child = match controller::start(&self.place) {
                Ok(child) => Some(child),
                Err(error) => {
                    tell(format!("the controller cannot be started: {error}"));
                    None
                }
            };
        }
    }
}

/// Who keeps the cluster up, if anybody does.
pub fn of(place: &Place) -> Option<Process> {
    Process::recorded(&record_of(place))
}

fn record_of(place: &Place) -> std::path::PathBuf {
    place.keeper_lock().with_extension("pid")
}
