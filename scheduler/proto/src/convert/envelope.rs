//! Messages that only put the arguments or the answer of one call together. No caller sees them.

use crate::wire::{message, put, take};
use squall_types::accounts::AccountsEdit;
use squall_types::api::{ConfigEntry, JobAction, JobFilter, NodeAction, PartitionView};
use squall_types::visit::LiveStep;
use squall_types::{BlobDigest, ExitStatus, JobId, Run, Uid};

macro_rules! envelope {
    ($($name:ident { $($field:ident: $type:ty $(, $kind:ident)?;)* })*) => { $(
        #[cfg_attr(test, derive(Clone, Debug, PartialEq))]
        pub(crate) struct $name { $(pub $field: $type),* }
        message! { $name { $($field $(: $kind)?),* } }
    )* };
}

envelope! {
    ActRequest { filter: JobFilter, required; action: JobAction, required; }
    ScriptRequest { job: JobId; }
    ScriptReply { script: Vec<u8>; }
    CrontabQuery { user: Option<Uid>; }
    CrontabReply { text: String; }
    WatchJobRequest { job: JobId; }
    VisitRequest { job: JobId; }
    LiveStepsAsk { credential: Vec<u8>; }
    LiveStepsReply { steps: Vec<LiveStep>; }
    FinishRequest { job: JobId; exit: ExitStatus, required; }
    ActOnNodesRequest { nodes: String; action: NodeAction, required; }
    EditAccountsRequest { edits: Vec<AccountsEdit>; }
    PartitionsReply { partitions: Vec<PartitionView>; }
    ConfigReply { entries: Vec<ConfigEntry>; }
    TextList { texts: Vec<String>; }
    JoinTokenReply { token: String; controller: String; ca_pin: String; }
    RenewRequest { csr_pem: String; }
    FetchBlobRequest { digest: BlobDigest; run: Run, required; }
    BlobChunk { bytes: Vec<u8>; }
}
