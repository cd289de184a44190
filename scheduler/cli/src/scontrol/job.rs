//! `scontrol show job` and `show step`.

use super::Manner;
use super::record::{Record, null};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::sacct::every_page;
use crate::select::{self, Named};
use crate::show::files::Files;
use crate::show::json::{write_jobs, write_steps};
use crate::show::moments::Moments;
use crate::show::{amounts, ids};
use crate::terminal::escaped;
use squall_types::api::{
    AccountedJob, AccountedStep, AccountingQuery, AllocationView, ArrayView, JobDetail, JobFilter, JobState,
};
use squall_types::{EndState, GpuAsk, JobId, JobKind, MemoryAsk, Span, StepId, Timestamp, size, span_text};

pub fn show(invocation: &mut Invocation<'_>, manner: Manner, id: Option<&str>) -> Result<i32, Failure> {
    let load = |error| Failure::load("slurm_load_jobs", &error);
    let details = match id {
        Some(text) => {
            let invalid = || Failure::plain("scontrol_print_job error: Invalid job id specified");
            let named = select::job(text).ok_or_else(invalid)?;
            let details = invocation.controller.job(&named.job).map_err(load)?;
            wanted(details, &named).ok_or_else(|| Failure::plain(format!("Job {} not found", escaped(text))))?
        }
        None => {
            let (filter, mut details) = (JobFilter { all_states: true, ..JobFilter::default() }, Vec::new());
            invocation.controller.each_details(&filter, &mut |page| details.extend(page)).map_err(load)?;
            details
        }
    };
    if let Some(notation) = manner.notation {
        return write_jobs(invocation, notation, &details);
    }
    if details.is_empty() {
        writeln!(invocation.out, "No jobs in the system")?;
        return Ok(0);
    }
    let moments = Moments::of(invocation);
    for detail in &details {
        let text = record(detail, manner, &moments).finished();
        invocation.out.write_all(text.as_bytes())?;
    }
    Ok(0)
}

/// Of an array, only the elements that were named.
fn wanted(details: Vec<JobDetail>, named: &Named) -> Option<Vec<JobDetail>> {
    let Some(elements) = &named.job.elements else { return Some(details) };
    let one_of_them = |detail: &JobDetail| match &detail.view.array {
        Some(ArrayView::Element { index, .. }) => elements.contains(*index),
        Some(ArrayView::Pending { indices, .. }) => !elements.intersection(indices).is_empty(),
        None => false,
    };
    let chosen: Vec<JobDetail> = details.into_iter().filter(one_of_them).collect();
    if chosen.is_empty() { None } else { Some(chosen) }
}

fn record(detail: &JobDetail, manner: Manner, moments: &Moments) -> Record {
    let mut record = Record::new(manner.form);
    who_and_what(&mut record, detail);
    when(&mut record, detail, manner, moments);
    where_it_runs(&mut record, detail, manner);
    files(&mut record, detail);
    record
}

fn who_and_what(record: &mut Record, detail: &JobDetail) {
    let (view, spec) = (&detail.view, &detail.spec);
    let id = view.job;
    let array = match &view.array {
        None => String::new(),
        Some(ArrayView::Element { array, index }) => format!(" ArrayJobId={array} ArrayTaskId={index}"),
        Some(ArrayView::Pending { array, indices, limit }) => {
            format!(" ArrayJobId={array} ArrayTaskId={}", ids::pending(indices, *limit, ids::INDICES_SHOWN))
        }
    };
    let throttle = spec.array.as_ref().and_then(|array| array.limit);
    let throttle = throttle.map(|limit| format!(" ArrayTaskThrottle={limit}")).unwrap_or_default();
    let het = view.het.map(|place| format!(" HetJobId={} HetJobOffset={}", place.leader, place.offset));
    let het = het.unwrap_or_default();
    record.line(format!("JobId={id}{array}{het}{throttle} JobName={}", view.name));
    if let Some(place) = view.het {
        record.line(format!("HetJobIdSet={}", ids::het_set(place)));
    }
    if let Some(cron) = &spec.cron {
        record.line(format!("CronJob=Yes CrontabSpec=\"{}\"", cron.times));
    }
    let group = select::group_name(view.gid);
    record.line(format!("UserId={}({}) GroupId={group}({}) MCS_label=N/A", view.user, view.uid, view.gid));
    let wckey = if spec.wckey.is_empty() { String::new() } else { format!(" WCKey={}", spec.wckey) };
    record.line(format!(
        "Priority={} Nice={} Account={} QOS={}{wckey}",
        view.priority,
        view.nice,
        null(view.account.as_str()),
        null(&view.qos)
    ));
    record.line(format!(
        "JobState={} Reason={} Dependency={}",
        view.state.word(),
        view.reason.word(),
        null(&view.dependency)
    ));
    record.line(format!(
        "Requeue={} Restarts={} BatchFlag={} Reboot=0 ExitCode={}:{}",
        u8::from(spec.requeue.unwrap_or(true)),
        view.restarts,
        u8::from(spec.kind == JobKind::Batch),
        view.exit.code,
        view.exit.signal
    ));
}

fn when(record: &mut Record, detail: &JobDetail, manner: Manner, moments: &Moments) {
    let (view, spec) = (&detail.view, &detail.spec);
    let or = |at: Option<Timestamp>, none: &str| at.map_or_else(|| none.to_owned(), |at| moments.at(at));
    if manner.details {
        record.line("DerivedExitCode=0:0");
    }
    let limit = match view.time_limit {
        Some(limit) if limit < Span::FOREVER => span_text::clock(limit),
        Some(_) => "UNLIMITED".to_owned(),
        None => "Partition_Limit".to_owned(),
    };
    record.line(format!("RunTime={} TimeLimit={limit} TimeMin=N/A", span_text::clock(view.elapsed(moments.now()))));
    let eligible = or(view.eligible_at, "Unknown");
    record.line(format!("SubmitTime={} EligibleTime={eligible}", moments.at(view.submitted_at)));
    record.line(format!("AccrueTime={eligible}"));
    record.line(format!(
        "StartTime={} EndTime={} Deadline={}",
        or(view.start_at, "Unknown"),
        or(view.end_at, "Unknown"),
        or(spec.end_by, "N/A")
    ));
    let suspended = or(view.suspend_at, "None");
    record.line(format!(
        "SuspendTime={suspended} SecsPreSuspend={} LastSchedEval=N/A Scheduler=Main",
        view.ran_before().as_secs()
    ));
}

fn where_it_runs(record: &mut Record, detail: &JobDetail, manner: Manner) {
    let (view, spec) = (&detail.view, &detail.spec);
    let ask = &spec.ask;
    record.line(format!("Partition={} AllocNode:Sid={}:0", null(&view.partition), null(&spec.submit_host)));
    let listed = |names: &[String]| squall_types::hostlist::compress(names);
    let (wanted, excluded) = (listed(&spec.node_list), listed(&spec.exclude));
    record.line(format!("ReqNodeList={} ExcNodeList={}", null(&wanted), null(&excluded)));
    record.line(format!("NodeList={}", ids::nodes(&view.nodes)));
    if let Some(first) = view.nodes.first() {
        record.line(format!("BatchHost={first}"));
    }
    let nodes = match view.node_count < view.max_nodes && view.nodes.is_empty() {
        true => format!("{}-{}", view.node_count, view.max_nodes),
        false => view.node_count.to_string(),
    };
    let each = amounts::cpus_per_task(ask);
    record.line(format!(
        "NumNodes={nodes} NumCPUs={} NumTasks={} CPUs/Task={each} ReqB:S:C:T=0:0:*:*",
        view.cpus, view.tasks
    ));
    record.line(format!("TRES={}", null(&view.tres)));
    let per_node = ask.tasks_per_node.unwrap_or(0);
    record.line(format!("Socks/Node=* NtasksPerN:B:S:C={per_node}:0:*:* CoreSpec=*"));
    if manner.details {
        for part in &detail.allocations {
            let AllocationView { node, cpus, memory_mib, gres, .. } = part;
            record.line(format!("  Nodes={node} CPUs={cpus} Mem={memory_mib} GRES={gres}"));
        }
    }
    let min_cpus = ask.min_cpus.max(each.saturating_mul(per_node.max(1)));
    let memory = match ask.memory {
        MemoryAsk::PerCpu(mib) => format!("MinMemoryCPU={}", size::mib(mib)),
        MemoryAsk::PerNode(mib) => format!("MinMemoryNode={}", size::mib(mib)),
        MemoryAsk::PerGpu(_) | MemoryAsk::Share => "MinMemoryNode=0".to_owned(),
    };
    record.line(format!("MinCPUsNode={min_cpus} {memory} MinTmpDiskNode=0"));
    record.line(format!("Features={} DelayBoot=00:00:00", null(&view.constraint)));
    if !view.prefer.is_empty() {
        record.line(format!("Prefer={}", view.prefer));
    }
    record.line(format!(
        "OverSubscribe={} Contiguous=0 Licenses={} Network=(null)",
        if view.exclusive { "NO" } else { "OK" },
        null(&spec.licenses)
    ));
}

fn files(record: &mut Record, detail: &JobDetail) {
    let (view, spec) = (&detail.view, &detail.spec);
    let arguments: String = spec.arguments.iter().map(|argument| format!(" {argument}")).collect();
    let command = format!("{}{arguments}", view.command);
    record.line(format!("Command={}", null(&command)));
    record.line(format!("WorkDir={}", null(&view.work_dir)));
    if !spec.reservation.is_empty() {
        record.line(format!("Reservation={}", spec.reservation));
    }
    if !view.comment.is_empty() {
        record.line(format!("Comment={} ", view.comment));
    }
    if spec.kind == JobKind::Batch {
        let files = Files::of(detail);
        record.line(format!("StdErr={}", files.stderr.path));
        record.line(format!("StdIn={}", files.stdin.path));
        record.line(format!("StdOut={}", files.stdout.path));
    }
    record.line("Power=");
    match &spec.ask.gpus {
        none if none.is_none() => {}
        GpuAsk::None => {}
        GpuAsk::PerNode(count, model) => {
            record.line(format!("TresPerNode={}", amounts::gres(u32::from(*count), model.as_ref())))
        }
        GpuAsk::PerTask(count, model) => {
            record.line(format!("TresPerTask={}", amounts::gres(u32::from(*count), model.as_ref())))
        }
        GpuAsk::Total(count, model) => record.line(format!("TresPerJob={}", amounts::gres(*count, model.as_ref()))),
    }
    if spec.mail != Default::default() {
        let user = if spec.mail_user.is_empty() { &spec.user } else { &spec.mail_user };
        record.line(format!("MailUser={user} MailType={}", spec.mail));
    }
    if view.cost.0 != 0 || spec.max_cost.is_some() || spec.max_price.is_some() {
        let price = spec.max_price.map(|price| format!(" MaxPrice={price}")).unwrap_or_default();
        let most = spec.max_cost.map(|cost| format!(" MaxCost={cost}")).unwrap_or_default();
        record.line(format!("Cost={}{price}{most}", view.cost));
    }
}

pub fn show_steps(invocation: &mut Invocation<'_>, manner: Manner, id: Option<&str>) -> Result<i32, Failure> {
    let mut query = AccountingQuery {
        states: vec![JobState::Running, JobState::Suspended, JobState::Completing],
        with_steps: true,
        ..AccountingQuery::default()
    };
    let mut one: Option<(JobId, Option<StepId>)> = None;
    if let Some(text) = id {
        let invalid = || Failure::plain("slurm_get_job_steps error: Invalid job id specified");
        let named = select::job(text).ok_or_else(invalid)?;
        one = Some((named.job.job, named.step));
        query.jobs.push(named.job);
    }
    let jobs = every_page(invocation.controller, query);
    let jobs = jobs.map_err(|error| Failure::load("slurm_get_job_steps", &error))?;
    let wanted = |step: StepId| one.is_none_or(|(_, only)| only.is_none_or(|only| only == step));
    let all = jobs.iter().flat_map(|job| job.steps.iter().map(move |step| (job, step)));
    let steps: Vec<_> = all.filter(|(_, step)| step.ended_at.is_none() && wanted(step.step)).collect();
    match (id, manner.notation) {
        (Some(id), _) if steps.is_empty() => {
            writeln!(invocation.out, "Job step {} not found", escaped(id))?;
            return Ok(1);
        }
        (_, Some(notation)) => return write_steps(invocation, notation, &steps),
        (None, None) if steps.is_empty() => writeln!(invocation.out, "No job steps in the system")?,
        (_, None) => {}
    }
    let moments = Moments::of(invocation);
    for (job, step) in steps {
        invocation.out.write_all(of_step(job, step, manner, &moments).finished_bare().as_bytes())?;
    }
    Ok(0)
}

fn of_step(job: &AccountedJob, step: &AccountedStep, manner: Manner, moments: &Moments) -> Record {
    let mut record = Record::new(manner.form);
    let start = moments.at(step.started_at);
    let id = format!("{}.{}", ids::job_id(job.job, job.array.as_ref(), job.het, 0), step.step.suffix());
    record.line(format!("StepId={id} UserId={} StartTime={start} TimeLimit=UNLIMITED", job.uid));
    let nodes = ids::nodes(&step.nodes);
    record.line(format!("State={} Partition={} NodeList={nodes}", running(step.state), job.partition));
    let (count, cpus, tasks) = (step.nodes.len(), step.cpus, step.tasks);
    record.line(format!("Nodes={count} CPUs={cpus} Tasks={tasks} Name={} Network=(null)", step.name));
    record.line(format!("TRES=cpu={cpus},node={count}"));
    record
}

fn running(state: JobState) -> &'static str {
    match state {
        JobState::Ended(EndState::Cancelled) => "CANCELLED",
        other => other.word(),
    }
}
