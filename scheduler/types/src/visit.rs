//! What a visitor of a running job asks of its nodes beside its steps' streams: what they use, and files to be put there.

use crate::{Span, StepId, Timestamp};

/// What one step uses on one node at this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveStep {
    pub step: StepId,
    pub tasks: Vec<LiveTask>,
}

/// One task with everything that it has started. The batch script is a task of rank 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveTask {
    pub rank: u32,
    pub pids: Vec<u32>,
    pub user_cpu: Span,
    pub system_cpu: Span,
    pub rss_kib: u64,
    /// The most that one of its processes had at once, or all of them have now.
    pub max_rss_kib: u64,
    pub vm_kib: u64,
    /// Pages that had to be read from disk.
    pub pages: u64,
    /// From and to storage, where the system tells.
    pub read_bytes: u64,
    pub written_bytes: u64,
}

/// A file on its way to a node: what it is to become, then its content in order. The end of the stream is its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilePart {
    Begin(Box<FileBegin>),
    Bytes(Vec<u8>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileBegin {
    /// From a [`VisitGrant`](crate::api::VisitGrant).
    pub credential: Vec<u8>,
    /// An absolute path on the node.
    pub path: String,
    /// The lower nine bits of its mode.
    pub mode: u32,
    /// So many bytes will follow: fewer are a file that was cut off, which is not kept.
    pub size: u64,
    /// Whether a file that is there already is replaced.
    pub force: bool,
    /// When it was accessed and changed, where that is to be kept.
    pub accessed_at: Option<Timestamp>,
    pub modified_at: Option<Timestamp>,
}

/// What became of the file on one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileStored {
    /// The system's number for what went wrong; 0 where the file is there, whole.
    pub errno: i32,
    /// In words.
    pub text: String,
}
