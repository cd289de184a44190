//! A controller whose answers are set beforehand, and that keeps what it was asked.

use crate::transcript::NOW;
use squall::controller::{Controller, Heard};
use squall_proto::ClientError;
use squall_types::accounts::{AccountsEdit, AccountsEntry, AccountsQuery};
use squall_types::agent::ExitStatus;
use squall_types::api::*;
use squall_types::offer::JoinTicket;
use squall_types::{Attempt, JobId, JobSpec, Span, Uid};
use std::cell::RefCell;
use std::ops::ControlFlow;

/// Answers what it holds; what it holds nothing for, it refuses or answers with nothing.
#[derive(Default)]
pub struct Canned {
    pub jobs: Vec<JobView>,
    pub details: Vec<JobDetail>,
    pub nodes: Vec<NodeView>,
    pub partitions: Vec<PartitionView>,
    pub accounting: Vec<AccountedJob>,
    pub configuration: Vec<ConfigEntry>,
    pub accounts: Vec<AccountsEntry>,
    pub ledger: Vec<LedgerRow>,
    /// What changes of accounts are refused with.
    pub no_edits: Option<ClientError>,
    pub explanation: Explanation,
    pub script: Vec<u8>,
    pub crontab: String,
    /// Answers to submissions, in order; the last is kept.
    pub submissions: RefCell<Vec<Result<SubmitReply, ClientError>>>,
    pub results: Vec<ActionResult>,
    pub node_results: Vec<NodeActionResult>,
    /// Of jobs that have one of their own.
    pub grants: std::collections::BTreeMap<JobId, StepGrant>,
    pub grant: StepGrant,
    pub visit: VisitGrant,
    /// What queries fail with.
    pub broken: Option<ClientError>,
    pub asked: RefCell<Vec<Asked>>,
}

/// A call that changes something, or a question with conditions.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    Submit(Box<SubmitRequest>),
    Crontab(Box<CrontabRequest>),
    Jobs(JobFilter),
    Job(JobRef),
    Act(JobFilter, JobAction),
    Nodes(String, NodeAction),
    Accounting(AccountingQuery),
    Step(StepRequest),
    Finish(JobId, ExitStatus),
    JoinToken(JoinTokenFor),
    UserTokens(UserTokenAsk),
    EditAccounts(Vec<AccountsEdit>),
    Reconfigure,
}

impl Canned {
    fn note(&self, asked: Asked) -> Result<(), ClientError> {
        self.asked.borrow_mut().push(asked);
        self.sound()
    }

    fn sound(&self) -> Result<(), ClientError> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    /// The one submission that was made last.
    pub fn submitted(&self) -> SubmitRequest {
        let asked = self.asked.borrow();
        let mut submissions = asked.iter().filter_map(|asked| match asked {
            Asked::Submit(request) => Some((**request).clone()),
            _ => None,
        });
        submissions.next_back().expect("a submission")
    }
}

pub fn refusal(code: &str, slurm: &str, asked: &str, limit: &str, try_this: &str) -> ClientError {
    ClientError::Refused(Refusal {
        code: code.into(),
        slurm: slurm.into(),
        asked: asked.into(),
        limit: limit.into(),
        try_this: try_this.into(),
    })
}

fn invalid_id() -> ClientError {
    refusal("SQ1001", "Invalid job id specified", "", "", "")
}

impl Controller for Canned {
    fn ping(&self) -> Result<PingReply, ClientError> {
        self.sound()?;
        let hostname = "head".to_owned();
        Ok(PingReply { cluster: "storm".to_owned(), hostname, version: "0.1.0".to_owned(), ..PingReply::default() })
    }

    fn submit(&self, request: &SubmitRequest) -> Result<SubmitReply, ClientError> {
        self.note(Asked::Submit(Box::new(request.clone())))?;
        let mut answers = self.submissions.borrow_mut();
        match answers.len() {
            0 => Ok(SubmitReply { job: JobId(42), ..SubmitReply::default() }),
            1 => answers[0].clone(),
            _ => answers.remove(0),
        }
    }

    fn crontab(&self, user: Option<Uid>) -> Result<String, ClientError> {
        self.sound()?;
        Ok(if user.is_some() { String::new() } else { self.crontab.clone() })
    }

    fn set_crontab(&self, request: &CrontabRequest) -> Result<Vec<String>, ClientError> {
        self.note(Asked::Crontab(Box::new(request.clone())))?;
        Ok(Vec::new())
    }

    fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobView>, ClientError> {
        self.note(Asked::Jobs(filter.clone()))?;
        let wanted = |job: &JobRef, view: &JobView| match (&job.elements, &view.array) {
            (None, Some(ArrayView::Element { array, .. } | ArrayView::Pending { array, .. })) => {
                *array == job.job || view.job == job.job
            }
            (None, None) => view.job == job.job,
            (Some(elements), Some(ArrayView::Element { array, index })) => {
                *array == job.job && elements.contains(*index)
            }
            _ => false,
        };
        let known = |job: &JobRef| self.jobs.iter().any(|view| wanted(job, view));
        if let [one] = filter.jobs.as_slice()
            && !known(one)
        {
            return Err(invalid_id());
        }
        let any = |view: &&JobView| filter.jobs.is_empty() || filter.jobs.iter().any(|job| wanted(job, view));
        let state = |view: &&JobView| {
            filter.all_states
                || (filter.states.is_empty() && !matches!(view.state, JobState::Ended(_)))
                || filter.states.contains(&view.state)
        };
        let user = |view: &&JobView| filter.users.is_empty() || filter.users.contains(&view.uid);
        let name = |view: &&JobView| filter.names.is_empty() || filter.names.contains(&view.name);
        let found = self.jobs.iter().filter(any).filter(state).filter(user).filter(name).cloned();
        Ok(found.map(|view| if filter.brief { view.briefly() } else { view }).collect())
    }

    /// Of jobs without a detail of their own, what an empty submission has.
    fn each_details(&self, filter: &JobFilter, each: &mut dyn FnMut(Vec<JobDetail>)) -> Result<(), ClientError> {
        let detail = |view: JobView| match self.details.iter().find(|detail| detail.view == view) {
            Some(known) => known.clone(),
            None => JobDetail { view, spec: JobSpec::default(), allocations: Vec::new() },
        };
        each(self.jobs(filter)?.into_iter().map(detail).collect());
        Ok(())
    }

    fn job(&self, job: &JobRef) -> Result<Vec<JobDetail>, ClientError> {
        self.note(Asked::Job(job.clone()))?;
        let of_array = |view: &JobView| match &view.array {
            Some(ArrayView::Element { array, .. } | ArrayView::Pending { array, .. }) => *array == job.job,
            None => false,
        };
        let wanted = |detail: &&JobDetail| detail.view.job == job.job || of_array(&detail.view);
        let found: Vec<JobDetail> = self.details.iter().filter(wanted).cloned().collect();
        if found.is_empty() { Err(invalid_id()) } else { Ok(found) }
    }

    fn act(&self, filter: &JobFilter, action: &JobAction) -> Result<Vec<ActionResult>, ClientError> {
        self.note(Asked::Act(filter.clone(), action.clone()))?;
        Ok(self.results.clone())
    }

    fn why(&self, job: &JobRef) -> Result<Explanation, ClientError> {
        self.note(Asked::Job(job.clone()))?;
        Ok(self.explanation.clone())
    }

    fn script(&self, _: JobId) -> Result<Vec<u8>, ClientError> {
        self.sound()?;
        Ok(self.script.clone())
    }

    fn watch(&self, job: JobId, each: &mut dyn FnMut(Heard) -> ControlFlow<()>) -> Result<(), ClientError> {
        self.sound()?;
        for view in self.jobs.iter().filter(|view| view.job == job) {
            if each(Heard::News(Box::new(JobNews { view: view.clone(), end: None }))).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn start_step(&self, request: &StepRequest) -> Result<StepGrant, ClientError> {
        self.note(Asked::Step(request.clone()))?;
        let grant = self.grants.get(&request.job).unwrap_or(&self.grant).clone();
        Ok(StepGrant { run: squall_types::Run { job: request.job, attempt: Attempt(1) }, ..grant })
    }

    fn visit(&self, job: JobId) -> Result<VisitGrant, ClientError> {
        self.sound()?;
        if self.visit.nodes.is_empty() {
            return Err(refusal("SQ1020", "Job is pending execution", &format!("the nodes of job {job}"), "", ""));
        }
        Ok(self.visit.clone())
    }

    fn finish(&self, job: JobId, exit: ExitStatus) -> Result<(), ClientError> {
        self.note(Asked::Finish(job, exit))
    }

    fn nodes(&self) -> Result<Vec<NodeView>, ClientError> {
        self.sound()?;
        Ok(self.nodes.clone())
    }

    fn act_on_nodes(&self, nodes: &str, action: &NodeAction) -> Result<Vec<NodeActionResult>, ClientError> {
        self.note(Asked::Nodes(nodes.to_owned(), action.clone()))?;
        Ok(self.node_results.clone())
    }

    fn partitions(&self) -> Result<Vec<PartitionView>, ClientError> {
        self.sound()?;
        Ok(self.partitions.clone())
    }

    fn accounting(&self, query: &AccountingQuery) -> Result<AccountingPage, ClientError> {
        self.note(Asked::Accounting(query.clone()))?;
        // Pages of two, so that every reader has to ask on.
        let from: usize = query.after.parse().unwrap_or(0);
        let of_array = |job: &AccountedJob, named: JobId| match &job.array {
            Some(ArrayView::Element { array, .. } | ArrayView::Pending { array, .. }) => *array == named,
            None => false,
        };
        let named = |job: &AccountedJob, asked: &JobRef| job.job == asked.job || of_array(job, asked.job);
        let wanted = |job: &&AccountedJob| query.jobs.is_empty() || query.jobs.iter().any(|asked| named(job, asked));
        let all: Vec<AccountedJob> = self.accounting.iter().filter(wanted).cloned().collect();
        let jobs: Vec<AccountedJob> = all.iter().skip(from).take(2).cloned().collect();
        let next = if from + 2 < all.len() { (from + 2).to_string() } else { String::new() };
        Ok(AccountingPage { jobs, next })
    }

    fn ledger(&self, _: &LedgerQuery) -> Result<LedgerPage, ClientError> {
        self.sound()?;
        Ok(LedgerPage { rows: self.ledger.clone(), next: String::new() })
    }

    fn summary(&self) -> Result<ClusterSummary, ClientError> {
        self.sound()?;
        Ok(ClusterSummary { cluster: "storm".to_owned(), ..ClusterSummary::default() })
    }

    fn configuration(&self) -> Result<Vec<ConfigEntry>, ClientError> {
        self.sound()?;
        Ok(self.configuration.clone())
    }

    fn accounts(&self, _: &AccountsQuery) -> Result<Vec<AccountsEntry>, ClientError> {
        self.sound()?;
        Ok(self.accounts.clone())
    }

    fn edit_accounts(&self, edits: Vec<AccountsEdit>) -> Result<(), ClientError> {
        self.note(Asked::EditAccounts(edits))?;
        self.no_edits.clone().map_or(Ok(()), Err)
    }

    fn apart(&self) -> Option<Box<dyn Controller + Send>> {
        None
    }

    fn user_tokens(&self, ask: &UserTokenAsk) -> Result<UserTokenReply, ClientError> {
        self.note(Asked::UserTokens(ask.clone()))?;
        let token = UserToken {
            id: "0011223344556677".to_owned(),
            uid: Uid(1000),
            created_at: NOW,
            expires_at: NOW + Span::from_hours(12),
        };
        let made = matches!(ask, UserTokenAsk::Create { .. }).then(|| JoinTicket {
            controller: "https://head:6820".to_owned(),
            ca_pin: "ab".repeat(32),
            secret: "squall-user-0011".to_owned(),
        });
        Ok(UserTokenReply { tokens: vec![token], made })
    }

    fn join_token(&self, joiner: &JoinTokenFor) -> Result<JoinTicket, ClientError> {
        self.note(Asked::JoinToken(joiner.clone()))?;
        let (controller, secret) = ("https://head:6820".to_owned(), "5ec2e7".to_owned());
        Ok(JoinTicket { controller, ca_pin: "ab".repeat(32), secret })
    }

    fn reconfigure(&self) -> Result<Vec<String>, ClientError> {
        self.note(Asked::Reconfigure)?;
        Ok(Vec::new())
    }
}
