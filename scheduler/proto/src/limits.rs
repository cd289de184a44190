//! Every limit of the wire in one place. Bytes unless the name says otherwise.

use std::time::Duration;

/// A message that a server of ours accepts: a submission with the largest script and environment, and room for its spec.
pub const REQUEST_BYTES: usize = MAX_SCRIPT + MAX_ENVIRONMENT + 2 * 1024 * 1024;
/// A message that a client of ours accepts: a full set of duties is the largest.
pub const REPLY_BYTES: usize = 64 * 1024 * 1024;
/// A page of a streamed list is cut here, unless a single item is larger.
pub const PAGE_BYTES: usize = 512 * 1024;
/// Items in one page of a streamed list.
pub const PAGE_ITEMS: usize = 250;
/// Items that a client gathers from one streamed list.
pub const GATHERED_ITEMS: usize = 4_000_000;

/// A batch script, as in Slurm.
pub const MAX_SCRIPT: usize = 4 * 1024 * 1024;
/// The environment of a submission or a step.
pub const MAX_ENVIRONMENT: usize = 4 * 1024 * 1024;
/// Any field of bytes; a script or environment is the largest.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
/// A chunk of a blob, of input, or of output.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// Any text; a submit line with `--wrap` is the largest.
pub const MAX_TEXT: usize = 256 * 1024;
/// Any name.
pub const MAX_NAME: usize = 255;
/// Entries of any list; the elements of the largest array, or the ranks of the largest step.
pub const MAX_LIST: usize = 100_000;
/// Nesting of a feature expression.
pub const MAX_CONSTRAINT_DEPTH: usize = 8;
/// One text of a refusal; all of them travel in a trailer, and trailers are limited to 16 KiB.
pub const MAX_REFUSAL_TEXT: usize = 1024;

/// The message of a failure, which travels in a trailer too.
pub const MAX_FAILURE_TEXT: usize = 2048;

/// Messages that wait on one stream for the connection to take them.
pub const STREAM_QUEUE: usize = 64;
/// Calls at once on one connection. An agent or login host asks for all its users over one, and each `srun` and each
/// `sbatch --wait` there is a call that lasts; what is above this waits in the client.
pub const CALLS_PER_CONNECTION: u32 = 4096;

/// TLS handshakes at once on one listener; more wait in the system's queue.
pub const HANDSHAKES: usize = 256;
/// How long a peer may take for its TLS handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// After the system refused a connection for want of file descriptors or memory.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a connection of the Unix socket may stay silent before its first word, and before each call in HTTP/1.1.
pub const SILENCE: Duration = Duration::from_secs(30);

/// How long a client waits for a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client waits for an answer, and for the next page of one.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a connection in use is probed, and how long the answer may take.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
