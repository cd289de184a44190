//! A job as one line shows it.

use crate::show::moments::Moments;
use crate::show::{amounts, ids};
use squall_types::api::{ArrayView, JobDetail, JobState, JobView};
use squall_types::{EndState, Span, Timestamp, size, span_text};

/// A job, and what it takes to write it down.
pub struct Row<'a> {
    pub job: &'a JobView,
    /// Where a field shows more than a listing has.
    pub detail: Option<&'a JobDetail>,
    /// Empty where no field shows it.
    pub cluster: &'a str,
    /// One of them, with `--priority`.
    pub partition: &'a str,
    /// Only this element of a pending array, with `--array`.
    pub element: Option<u32>,
    pub moments: &'a Moments,
    /// Amounts keep the unit that they have.
    pub noconvert: bool,
    /// How much of a pending array's indices is shown.
    pub indices_shown: usize,
}

impl Row<'_> {
    pub fn id(&self) -> String {
        match (&self.job.array, self.element) {
            (Some(ArrayView::Pending { array, .. }), Some(index)) => format!("{array}_{index}"),
            (array, _) => ids::job_id(self.job.job, array.as_ref(), self.job.het, self.indices_shown),
        }
    }

    pub fn array_job(&self) -> String {
        match &self.job.array {
            Some(ArrayView::Pending { array, .. } | ArrayView::Element { array, .. }) => array.to_string(),
            None => self.job.job.to_string(),
        }
    }

    pub fn array_task(&self) -> String {
        match (&self.job.array, &self.element) {
            (_, Some(index)) | (Some(ArrayView::Element { index, .. }), None) => index.to_string(),
            (Some(ArrayView::Pending { indices, limit, .. }), None) => {
                ids::pending(indices, *limit, self.indices_shown)
            }
            (None, None) => "N/A".to_owned(),
        }
    }

    /// Since the gang was complete; a job that is being configured has used nothing.
    pub fn elapsed(&self) -> Span {
        self.job.elapsed(self.moments.now())
    }

    pub fn time_limit(&self) -> String {
        match self.job.time_limit {
            Some(limit) if limit < Span::FOREVER => span_text::short(limit),
            _ => "UNLIMITED".to_owned(),
        }
    }

    pub fn time_left(&self) -> String {
        match self.job.time_limit {
            Some(limit) if limit < Span::FOREVER => span_text::short(limit - self.elapsed()),
            _ => "UNLIMITED".to_owned(),
        }
    }

    pub fn moment_or_none(&self, at: Option<Timestamp>) -> String {
        at.map_or_else(|| "N/A".to_owned(), |at| self.moments.at(at))
    }

    /// What was asked for each node, or what was given, divided.
    pub fn memory_per_node(&self) -> String {
        let each = self.job.min_memory_mib;
        if self.noconvert { size::mib_unconverted(each) } else { size::mib(each) }
    }

    pub fn first_host(&self) -> String {
        self.job.nodes.first().map_or_else(|| "n/a".to_owned(), |node| node.to_string())
    }

    /// Where it runs; why it does not; how it failed.
    pub fn nodes_or_reason(&self) -> String {
        use EndState::{Deadline, Failed, OutOfMemory, Timeout};
        match self.job.state {
            JobState::Pending | JobState::Ended(Failed | Timeout | OutOfMemory | Deadline) => {
                ["(", self.job.reason.word(), ")"].concat()
            }
            _ => ids::nodes(&self.job.nodes),
        }
    }

    pub fn pending_seconds(&self) -> String {
        let until = self.job.start_at.filter(|_| self.job.state != JobState::Pending);
        until.unwrap_or(self.moments.now()).since(self.job.submitted_at).as_secs().to_string()
    }

    pub fn tres_alloc(&self) -> String {
        let job = self.job;
        let nodes = u64::from(job.node_count.max(1));
        // Before it has nodes, the memory is what was asked for each.
        let memory = if job.nodes.is_empty() { job.memory_mib.saturating_mul(nodes) } else { job.memory_mib };
        amounts::tres(job.cpus, memory, job.node_count, job.gpus)
    }
}
