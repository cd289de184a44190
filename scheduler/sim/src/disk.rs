//! The journal as bytes: frames with a checksum, an end that may be lost, kept or torn by a crash.

use squall_core::{Cluster, Event};
use squall_types::Epoch;

/// One batch on its way to the disk.
struct Writing {
    writer: u64,
    frame: Vec<u8>,
}

/// What a crash makes of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsynced {
    Lost,
    Kept,
    /// Half of it is there.
    Torn,
}

/// Log and snapshots. A batch is there whole or not at all, once it was recovered.
#[derive(Default)]
pub struct Disk {
    log: Vec<u8>,
    /// Where each intact frame ends.
    ends: Vec<usize>,
    /// What was written by a process that died before it was synced.
    writing: Vec<Writing>,
    snapshot: Option<(usize, Vec<u8>)>,
    backup: Option<usize>,
    /// Of the last durable `ControllerStarted`: a lower one can write nothing.
    pub epoch: Epoch,
}

impl Disk {
    /// A batch is written and not synced.
    pub fn write(&mut self, writer: u64, events: &[Event]) -> &[u8] {
        let frame = frame(events);
        self.writing.push(Writing { writer, frame });
        self.writing.last().map_or(&[], |writing| &writing.frame)
    }

    /// The batch of `writer` is durable; `false` where it has none.
    pub fn sync(&mut self, writer: u64) -> bool {
        let Some(at) = self.writing.iter().position(|writing| writing.writer == writer) else { return false };
        let writing = self.writing.remove(at);
        self.log.extend_from_slice(&writing.frame);
        self.ends.push(self.log.len());
        true
    }

    /// The writer died, or may write no more.
    pub fn abandon(&mut self, writer: u64, unsynced: Unsynced) {
        let Some(at) = self.writing.iter().position(|writing| writing.writer == writer) else { return };
        let writing = self.writing.remove(at);
        match unsynced {
            Unsynced::Lost => {}
            Unsynced::Kept => {
                self.log.extend_from_slice(&writing.frame);
                self.ends.push(self.log.len());
            }
            Unsynced::Torn => self.log.extend_from_slice(&writing.frame[..writing.frame.len() / 2]),
        }
    }

    /// Reads what is whole, and cuts off what is not.
    ///
    /// # Errors
    /// Where an intact frame cannot be decoded.
    pub fn recover(&mut self) -> Result<Vec<Event>, String> {
        let (events, ends) = read(&self.log)?;
        if ends != self.ends {
            return Err(format!("{} frames were synced, {} are whole", self.ends.len(), ends.len()));
        }
        self.log.truncate(ends.last().copied().unwrap_or(0));
        Ok(events)
    }

    /// The state of the last snapshot and the events since, where there is a snapshot.
    pub fn recover_from_snapshot(&self) -> Option<Result<Cluster, String>> {
        let (at, bytes) = self.snapshot.as_ref()?;
        let tail = read(self.log.get(*at..)?);
        Some(Cluster::from_snapshot(bytes).map_err(|error| error.to_string()).and_then(|mut cluster| {
            tail?.0.iter().for_each(|event| cluster.apply(event));
            Ok(cluster)
        }))
    }

    pub fn take_snapshot(&mut self, cluster: &Cluster) {
        self.snapshot = Some((self.ends.last().copied().unwrap_or(0), cluster.to_snapshot()));
    }

    pub fn take_backup(&mut self) {
        self.backup = Some(self.ends.len());
    }

    /// Everything since the backup is gone; `false` where there is none.
    pub fn restore(&mut self) -> bool {
        let Some(frames) = self.backup else { return false };
        self.ends.truncate(frames);
        self.log.truncate(self.ends.last().copied().unwrap_or(0));
        self.writing.clear();
        let end = self.log.len();
        self.snapshot = self.snapshot.take().filter(|(at, _)| *at <= end);
        true
    }
}

fn frame(events: &[Event]) -> Vec<u8> {
    let mut payload = Vec::new();
    for event in events {
        let bytes = event.encode();
        payload.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        payload.extend_from_slice(&bytes);
    }
    let mut frame = (payload.len() as u32).to_le_bytes().to_vec();
    frame.extend_from_slice(&checksum(&payload).to_le_bytes());
    frame.append(&mut payload);
    frame
}

fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// All events of whole frames, and where each frame ends.
fn read(log: &[u8]) -> Result<(Vec<Event>, Vec<usize>), String> {
    let mut events = Vec::new();
    let mut ends = Vec::new();
    let mut at = 0;
    while let Some(payload) = next_frame(&log[at..]) {
        let mut rest = payload;
        while let Some((bytes, after)) = next_event(rest) {
            events.push(Event::decode(bytes).map_err(|error| format!("a whole record cannot be decoded: {error}"))?);
            rest = after;
        }
        at += 8 + payload.len();
        ends.push(at);
    }
    Ok((events, ends))
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.get(..4)?.try_into().ok().map(u32::from_le_bytes)
}

fn next_frame(bytes: &[u8]) -> Option<&[u8]> {
    let payload = bytes.get(8..8 + number(bytes)? as usize)?;
    (number(&bytes[4..])? == checksum(payload)).then_some(payload)
}

fn next_event(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = 4 + number(bytes)? as usize;
    Some((bytes.get(4..end)?, &bytes[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_core::What;
    use squall_types::{Epoch, Timestamp};

    fn event(epoch: u64) -> Event {
        What::ControllerStarted { epoch: Epoch(epoch), version: "1".to_owned() }.at(Timestamp(epoch as i64))
    }

    #[test]
    fn a_torn_batch_is_cut_off_and_the_next_one_is_read() {
        let mut disk = Disk::default();
        disk.write(1, &[event(1), event(2)]);
        assert!(disk.sync(1));
        disk.write(1, &[event(3), event(4)]);
        disk.abandon(1, Unsynced::Torn);
        assert_eq!(disk.recover(), Ok(vec![event(1), event(2)]));
        disk.write(2, &[event(5)]);
        assert!(disk.sync(2));
        assert_eq!(disk.recover(), Ok(vec![event(1), event(2), event(5)]));
    }

    #[test]
    fn a_kept_batch_is_there_although_nobody_was_told() {
        let mut disk = Disk::default();
        disk.write(1, &[event(1)]);
        disk.abandon(1, Unsynced::Kept);
        assert_eq!(disk.recover(), Ok(vec![event(1)]));
    }

    #[test]
    fn a_restored_backup_forgets_what_came_later() {
        let mut disk = Disk::default();
        disk.write(1, &[event(1)]);
        disk.sync(1);
        disk.take_backup();
        disk.write(1, &[event(2)]);
        disk.sync(1);
        assert!(disk.restore());
        assert_eq!(disk.recover(), Ok(vec![event(1)]));
    }
}
