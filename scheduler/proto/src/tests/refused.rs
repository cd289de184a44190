//! What is not understood is refused, and the error says where it stood.

use crate::convert::envelope::FetchBlobRequest;
use crate::limits::{MAX_BYTES, MAX_CONSTRAINT_DEPTH, MAX_LIST, MAX_NAME, MAX_TEXT};
use crate::pb;
use crate::sample::{Sample, Source};
use crate::wire::{Problem, Wire, WireError};
use prost::Message;
use squall_types::api::{JobAction, JobFilter, JobRef, JobView, SubmitRequest};
use squall_types::{Constraint, GpuAsk, IndexSet, JobId, JobSpec};

fn error(field: &str, problem: Problem) -> WireError {
    WireError { field: field.to_owned(), problem }
}

fn job_view() -> pb::JobView {
    JobView::sample(&mut Source(&[])).to_pb()
}

#[test]
fn a_word_that_nobody_knows_is_refused() {
    let newer = pb::JobView { reason: 9999, ..job_view() };
    assert_eq!(JobView::from_pb(newer), Err(error("reason", Problem::Unknown(9999))));
    let unsaid = pb::JobView { state: 0, ..job_view() };
    assert_eq!(JobView::from_pb(unsaid), Err(error("state", Problem::Unknown(0))));
}

#[test]
fn an_action_that_nobody_knows_is_refused() {
    // Field 15 with an empty message: a variant of a version to come.
    let newer = pb::JobAction::decode([0x7a, 0x00].as_slice()).unwrap();
    assert_eq!(JobAction::from_pb(newer), Err(error("", Problem::Missing)));
}

#[test]
fn a_field_that_nobody_knows_is_passed_over() {
    let spec = JobSpec { name: "n".into(), ..JobSpec::default() };
    let mut encoded = spec.clone().to_pb().encode_to_vec();
    encoded.extend([0xfa, 0x3f, 0x03, b'n', b'e', b'w']);
    assert_eq!(JobSpec::from_pb(pb::JobSpec::decode(encoded.as_slice()).unwrap()), Ok(spec));
}

#[test]
fn a_message_that_has_to_be_there_is_missed_by_its_path() {
    let mut request = SubmitRequest::default().to_pb();
    request.spec.as_mut().unwrap().ask.as_mut().unwrap().gpus = None;
    assert_eq!(SubmitRequest::from_pb(request), Err(error("spec.ask.gpus", Problem::Missing)));
}

#[test]
fn the_error_reads_as_a_sentence() {
    let text = error("spec.ask.gpus", Problem::Missing).to_string();
    assert_eq!(text, "spec.ask.gpus: is missing, or of a kind that this version does not know");
}

#[test]
fn lengths_are_limited() {
    let too_long = |length, unit, most| Problem::TooLong { length, unit, most };
    let text = JobSpec { comment: "x".repeat(MAX_TEXT + 1), ..JobSpec::default() };
    let problem = too_long(MAX_TEXT + 1, "bytes", MAX_TEXT);
    assert_eq!(JobSpec::from_pb(text.to_pb()), Err(error("comment", problem)));

    let name = JobSpec { account: "x".repeat(MAX_NAME + 1).as_str().into(), ..JobSpec::default() };
    let problem = too_long(MAX_NAME + 1, "bytes", MAX_NAME);
    assert_eq!(JobSpec::from_pb(name.to_pb()), Err(error("account", problem)));

    let list = JobFilter { users: vec![Default::default(); MAX_LIST + 1], ..JobFilter::default() };
    let problem = too_long(MAX_LIST + 1, "entries", MAX_LIST);
    assert_eq!(JobFilter::from_pb(list.to_pb()), Err(error("users", problem)));

    let script = SubmitRequest { script: Some(vec![0; MAX_BYTES + 1]), ..SubmitRequest::default() };
    let problem = too_long(MAX_BYTES + 1, "bytes", MAX_BYTES);
    assert_eq!(SubmitRequest::from_pb(script.to_pb()), Err(error("script", problem)));
}

#[test]
fn nesting_is_limited() {
    let nested =
        |depth| (1..depth).fold(Constraint::Feature("a".into()), |inside, _| Constraint::All(vec![inside])).to_pb();
    assert!(Constraint::from_pb(nested(MAX_CONSTRAINT_DEPTH)).is_ok());
    let refused = Constraint::from_pb(nested(MAX_CONSTRAINT_DEPTH + 1));
    assert_eq!(refused, Err(error("", Problem::TooDeep(MAX_CONSTRAINT_DEPTH))));
    // What is nested without measure does not even decode.
    assert!(pb::Constraint::decode(nested(200).encode_to_vec().as_slice()).is_err());
}

#[test]
fn indices_have_to_be_in_order() {
    let set = |ranges: &[(u32, u32)]| {
        let ranges = ranges.iter().map(|&(first, last)| pb::IndexRange { first, last }).collect();
        IndexSet::from_pb(pb::IndexSet { ranges })
    };
    assert_eq!(set(&[(1, 3), (4, 4), (9, u32::MAX)]).unwrap().ranges(), [(1, 4), (9, u32::MAX)]);
    assert!(set(&[(3, 1)]).is_err());
    assert!(set(&[(5, 6), (1, 2)]).is_err());
    assert!(set(&[(1, 5), (5, 6)]).is_err());
}

#[test]
fn numbers_and_digests_have_their_size() {
    let amount = pb::GpuAmount { count: 70_000, model: None };
    let ask = pb::GpuAsk { ask: Some(pb::gpu_ask::Ask::PerNode(amount)) };
    assert_eq!(GpuAsk::from_pb(ask), Err(error("count", Problem::TooLarge { value: 70_000, most: 65_535 })));

    let digest = pb::FetchBlobRequest { digest: vec![0; 31], run: Some(pb::Run { job: 1, attempt: 1 }) };
    let refused = FetchBlobRequest::from_pb(digest).unwrap_err();
    assert_eq!(refused.to_string(), "digest: a digest has 32 bytes");
}

#[test]
fn a_job_without_elements_is_not_a_job_with_no_elements() {
    let whole = JobRef::from(JobId(5));
    let none = JobRef { job: JobId(5), elements: Some(IndexSet::new()), component: None };
    assert_eq!(JobRef::from_pb(whole.clone().to_pb()), Ok(whole));
    assert_eq!(JobRef::from_pb(none.clone().to_pb()), Ok(none));
}
