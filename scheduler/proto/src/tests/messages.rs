//! Every message that a call sends or gets, with everything inside it.

use crate::convert::envelope::*;
use crate::convert::provisioner::{DescribeRequest, OfferList, RetireRequest};
use crate::sample::{Sample, Source};
use crate::wire::Wire;
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;
use squall_types::accounts::{AccountsEntry, AccountsQuery};
use squall_types::agent::{AgentOrder, AgentReport, JoinReply, JoinRequest};
use squall_types::api::*;
use squall_types::offer::*;
use squall_types::step::{StepCommand, StepNews};
use squall_types::visit::{FilePart, FileStored};
use squall_types::{AttemptState, Run, StepId};
use std::fmt::Debug;

/// Plain, packed, encoded, decoded, and plain again.
fn survives<T>(bytes: &[u8])
where
    T: Wire + Sample + Clone + PartialEq + Debug,
    T::Pb: Message + Default,
{
    let plain = T::sample(&mut Source(bytes));
    let encoded = plain.clone().to_pb().encode_to_vec();
    let decoded = T::Pb::decode(encoded.as_slice()).expect("what was encoded decodes");
    assert_eq!(T::from_pb(decoded), Ok(plain));
}

/// Whatever arrives is a value or an error.
fn endures<T>(garbage: &[u8])
where
    T: Wire,
    T::Pb: Message + Default,
{
    if let Ok(decoded) = T::Pb::decode(garbage) {
        let _ = T::from_pb(decoded);
    }
}

/// A valid message that was damaged on its way.
fn endures_damage<T>(bytes: &[u8], place: usize, to: u8)
where
    T: Wire + Sample,
    T::Pb: Message + Default,
{
    let mut encoded = T::sample(&mut Source(bytes)).to_pb().encode_to_vec();
    let length = encoded.len().max(1);
    if let Some(byte) = encoded.get_mut(place % length) {
        *byte = to;
    }
    endures::<T>(&encoded);
    endures::<T>(&encoded[..place % length]);
}

macro_rules! messages {
    ($($name:ident: $type:ty),* $(,)?) => { $(
        mod $name {
            use super::*;
            proptest! {
                #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
                #[test]
                fn comes_back_as_it_was_sent(bytes in vec(any::<u8>(), 0..3000)) {
                    survives::<$type>(&bytes);
                }
                #[test]
                fn never_panics_on_what_it_gets(
                    bytes in vec(any::<u8>(), 0..600), place in any::<usize>(), to in any::<u8>(),
                ) {
                    endures::<$type>(&bytes);
                    endures_damage::<$type>(&bytes, place, to);
                }
            }
        }
    )* };
}

messages! {
    ping_reply: PingReply,
    submit_request: SubmitRequest,
    submit_reply: SubmitReply,
    job_filter: JobFilter,
    job_view: JobView,
    job_ref: JobRef,
    job_detail: JobDetail,
    act_request: ActRequest,
    action_result: ActionResult,
    explanation: Explanation,
    script_request: ScriptRequest,
    script_reply: ScriptReply,
    watch_job_request: WatchJobRequest,
    job_news: JobNews,
    step_request: StepRequest,
    step_grant: StepGrant,
    visit_request: VisitRequest,
    visit_grant: VisitGrant,
    live_steps_ask: LiveStepsAsk,
    live_steps_reply: LiveStepsReply,
    file_part: FilePart,
    file_stored: FileStored,
    finish_request: FinishRequest,
    node_view: NodeView,
    act_on_nodes_request: ActOnNodesRequest,
    node_action_result: NodeActionResult,
    partitions_reply: PartitionsReply,
    accounts_query: AccountsQuery,
    accounts_entry: AccountsEntry,
    edit_accounts_request: EditAccountsRequest,
    accounting_query: AccountingQuery,
    accounting_page: AccountingPage,
    ledger_query: LedgerQuery,
    ledger_page: LedgerPage,
    summary: ClusterSummary,
    config_reply: ConfigReply,
    text_list: TextList,
    user_token_ask: UserTokenAsk,
    user_token_reply: UserTokenReply,
    join_token_for: JoinTokenFor,
    join_token_reply: JoinTokenReply,
    join_request: JoinRequest,
    join_reply: JoinReply,
    renew_request: RenewRequest,
    agent_report: AgentReport,
    agent_order: AgentOrder,
    attempt_news: (Run, AttemptState),
    step_of: (Run, StepId),
    fetch_blob_request: FetchBlobRequest,
    blob_chunk: BlobChunk,
    step_command: StepCommand,
    step_news: StepNews,
    describe_request: DescribeRequest,
    description: Description,
    launch_order: LaunchOrder,
    retire_request: RetireRequest,
    offers_reply: Result<OfferList, LaunchFailure>,
    launch_reply: Result<Launched, LaunchFailure>,
    retire_reply: Result<(), LaunchFailure>,
    list_reply: Result<Listing, LaunchFailure>,
    refusal: Refusal,
}
