//! What happened, as one number and, where asked for, as lines.

use squall_types::Timestamp;

/// Equal runs have equal hashes.
pub struct Trace {
    hash: u64,
    start: Timestamp,
    lines: Option<Vec<String>>,
}

impl Trace {
    pub fn new(start: Timestamp, keep_lines: bool) -> Self {
        Trace { hash: 0xcbf2_9ce4_8422_2325, start, lines: keep_lines.then(Vec::new) }
    }

    /// `detail` is made only where lines are kept; `kind` and `key` tell happenings apart in the hash.
    pub fn say(&mut self, at: Timestamp, kind: &'static str, key: u64, detail: impl FnOnce() -> String) {
        self.mix(kind.as_bytes());
        self.mix_number(at.0 as u64 ^ key.rotate_left(40));
        if let Some(lines) = &mut self.lines {
            let elapsed = at.since(self.start).as_millis();
            let (secs, millis) = (elapsed / 1000, elapsed % 1000);
            let (hours, minutes, secs) = (secs / 3600, secs / 60 % 60, secs % 60);
            lines.push(format!("{hours}:{minutes:02}:{secs:02}.{millis:03} {kind}: {}", detail()));
        }
    }

    pub fn mix(&mut self, bytes: &[u8]) {
        let chunks = bytes.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        });
        chunks.for_each(|word| self.mix_number(word));
    }

    fn mix_number(&mut self, word: u64) {
        self.hash = (self.hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}
