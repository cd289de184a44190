//! `srun` and `salloc`: steps over real connections, with real processes.

use crate::agent::Agents;
use crate::canned::{Asked, Canned, refusal};
use crate::sample;
use crate::transcript::Desk;
use squall_types::agent::ExitStatus;
use squall_types::api::*;
use squall_types::step::StepStdio;
use squall_types::*;
use std::cell::RefCell;

/// Inside job 86, whose nodes have these tasks.
fn in_job(agents: &Agents) -> Desk {
    let canned = Canned { grant: agents.grant.clone(), ..Canned::default() };
    Desk::new(canned).set("SLURM_JOB_ID", "86").file("input", "one\ntwo\n")
}

/// Lines of different tasks come in any order.
fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn tasks_run_on_every_node_and_their_output_comes_here() {
    let agents = Agents::with(&[&[0, 1], &[2]]);
    let desk = in_job(&agents);
    let outcome = desk.run("srun --input=none sh -c 'echo rank $SLURM_PROCID; echo oops >&2'");
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(sorted(&outcome.out), ["rank 0", "rank 1", "rank 2"]);
    assert_eq!(sorted(&outcome.err), ["oops"; 3]);
    let outcome = desk.run("srun -l --input=none sh -c 'echo rank $SLURM_PROCID; printf end'");
    assert_eq!(sorted(&outcome.out), ["0: end", "0: rank 0", "1: end", "1: rank 1", "2: end", "2: rank 2"]);
}

#[test]
fn input_goes_to_all_tasks() {
    let agents = Agents::with(&[&[0], &[1]]);
    let outcome = in_job(&agents).run("srun -l --input=input cat");
    assert_eq!(sorted(&outcome.out), ["0: one", "0: two", "1: one", "1: two"], "{outcome:?}");
}

#[test]
fn the_worst_of_all_tasks_is_the_exit_code() {
    let agents = Agents::with(&[&[0, 1], &[2]]);
    let desk = in_job(&agents);
    let outcome = desk.run("srun --input=none sh -c 'exit $SLURM_PROCID'");
    assert_eq!(outcome.code, 2);
    assert_eq!(
        sorted(&outcome.err),
        ["srun: error: n1: task 1: Exited with exit code 1", "srun: error: n2: task 2: Exited with exit code 2"]
    );
    let outcome = desk.run("srun --input=none sh -c 'exit 7'");
    assert_eq!(
        sorted(&outcome.err),
        ["srun: error: n1: tasks 0-1: Exited with exit code 7", "srun: error: n2: task 2: Exited with exit code 7"]
    );
    let outcome = desk.run("srun --input=none sh -c 'kill -9 $$'");
    assert_eq!(outcome.code, 137);
    assert!(outcome.err.ends_with("srun: Force Terminated StepId=86.0\n"), "{}", outcome.err);
}

/// Inside job 86 with two components, of which the second has two tasks on a node of its own.
fn in_components(agents: &Agents) -> Desk {
    let part = |nodes: std::ops::Range<usize>, tasks| {
        let nodes = agents.grant.nodes[nodes].to_vec();
        StepGrant { nodes, tasks, ..agents.grant.clone() }
    };
    let grants = [(JobId(86), part(0..1, 1)), (JobId(87), part(1..2, 2))].into();
    let desk = Desk::new(Canned { grants, ..Canned::default() });
    let around = [("SLURM_JOB_ID", "86"), ("SLURM_HET_SIZE", "2"), ("SLURM_NTASKS", "1")];
    let first = [("SLURM_JOB_ID_HET_GROUP_0", "86"), ("SLURM_NTASKS_HET_GROUP_0", "1")];
    let second = [("SLURM_JOB_ID_HET_GROUP_1", "87"), ("SLURM_NTASKS_HET_GROUP_1", "2")];
    let all = around.into_iter().chain(first).chain(second);
    all.fold(desk, |desk, (name, value)| desk.set(name, value))
}

#[test]
fn one_launch_runs_in_several_components() {
    let agents = Agents::with(&[&[0], &[1, 2]]);
    let desk = in_components(&agents);
    let outcome = desk.run("srun -l --het-group=0,1 --input=none sh -c 'echo rank $SLURM_PROCID; exit $SLURM_PROCID'");
    assert_eq!(sorted(&outcome.out), ["0: rank 0", "1: rank 1", "2: rank 2"], "{outcome:?}");
    assert_eq!(outcome.code, 2, "the worst of all components");
    let asked: Vec<(JobId, Option<u32>, u32)> = desk
        .controller
        .asked
        .borrow()
        .iter()
        .filter_map(|asked| match asked {
            Asked::Step(request) => Some((request.job, request.tasks, request.first_rank)),
            _ => None,
        })
        .collect();
    assert_eq!(asked, [(JobId(86), Some(1), 0), (JobId(87), Some(2), 1)], "ranks go on from one to the next");
    let starts = agents.starts.lock().expect("the agents live");
    let mut whole: Vec<_> = starts.iter().map(|start| start.whole.clone().expect("a part of a whole")).collect();
    whole.sort_by_key(|whole| whole.first_node);
    assert_eq!(whole.iter().map(|whole| whole.first_node).collect::<Vec<_>>(), [0, 1]);
    assert_eq!((whole[0].nodes.len(), &whole[1].tasks_per_node), (2, &vec![1, 2]));
}

#[test]
fn components_may_run_programs_of_their_own() {
    let agents = Agents::with(&[&[0], &[1, 2]]);
    let desk = in_components(&agents);
    let outcome = desk.run("srun -l --input=none echo one : echo two");
    assert_eq!(sorted(&outcome.out), ["0: one", "1: two", "2: two"], "{outcome:?}");
    let outcome = desk.run("srun -l --input=none --het-group=1 echo one : --het-group=0 echo two");
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let outcome = desk.run("srun --input=none -- echo : one");
    assert_eq!(outcome.out, ": one\n", "behind -- a colon is an argument like any other");
    let none = desk.run("srun --het-group=2 true");
    assert_eq!(
        (none.code, none.err.lines().next()),
        (1, Some("srun: error: Requested het-group offset exceeds highest hetjob index (2 > 1)"))
    );
    assert_eq!(desk.run("srun --het-group=0 true : --het-group=0 true").code, 1);
    assert_eq!(desk.run("srun --het-group=x true").code, 255);
}

#[test]
fn a_bad_exit_ends_the_others_where_that_was_asked() {
    let agents = Agents::with(&[&[0], &[1]]);
    let desk = in_job(&agents);
    let line = "srun -K --input=none sh -c 'if [ $SLURM_PROCID = 0 ]; then exit 3; fi; exec sleep 60'";
    let outcome = desk.run(line);
    assert_eq!(outcome.code, 143, "{outcome:?}");
    insta::assert_snapshot!(outcome.err);
    let outcome = desk.run("srun -W 1 --input=none sh -c 'if [ $SLURM_PROCID = 0 ]; then exit 0; fi; exec sleep 60'");
    assert_eq!(outcome.code, 137, "{outcome:?}");
}

#[test]
fn output_goes_to_files_here_or_to_files_of_the_tasks() {
    let agents = Agents::with(&[&[0, 1]]);
    let desk = in_job(&agents);
    assert_eq!(desk.run("srun --input=none -o out_%j_%s.txt sh -c 'echo rank $SLURM_PROCID; echo oops >&2'").out, "");
    let written = std::fs::read_to_string(desk.directory.path().join("out_86_0.txt")).unwrap();
    assert_eq!(sorted(&written), ["oops", "oops", "rank 0", "rank 1"]);
    desk.run("srun --input=none -o out_%j_%s.txt --open-mode=append sh -c 'echo more'");
    let written = std::fs::read_to_string(desk.directory.path().join("out_86_0.txt")).unwrap();
    assert_eq!(written.lines().count(), 6);
    desk.run("srun --input=none --unbuffered --output %j_%t_log.out --error %j_%t_log.err true");
    let starts = agents.starts.lock().unwrap();
    let start = starts.last().unwrap();
    assert_eq!(start.stdout, StepStdio::File("%j_%t_log.out".into()));
    assert_eq!(start.stderr, Some(StepStdio::File("%j_%t_log.err".into())));
    assert!(start.unbuffered);
}

#[test]
fn options_become_a_step() {
    let agents = Agents::with(&[&[0]]);
    let step = |options: &str| {
        let desk =
            in_job(&agents).set("SLURM_NTASKS", "4").set("SLURM_NNODES", "2").set("SLURM_JOB_NODELIST", "n[1-2]");
        let outcome = desk.run(&format!("srun --input=none {options} true"));
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{options}");
        let asked = desk.controller.asked.borrow();
        let mut steps = asked.iter().filter_map(|asked| match asked {
            Asked::Step(request) => Some(request.clone()),
            _ => None,
        });
        steps.next_back().unwrap()
    };
    let plain = step("");
    assert_eq!((plain.job, plain.name.as_str(), plain.tasks, plain.nodes), (JobId(86), "true", Some(4), Some(2)));
    let one = step("-w n2 -N1 -n1 --overlap");
    assert_eq!((one.tasks, one.nodes, one.node_list, one.overlap), (Some(1), Some(1), vec!["n2".into()], true));
    // What the job was asked for says less than what is typed.
    assert_eq!(step("-n1").nodes, None);
    assert_eq!(step("-w n2").nodes, None);
    assert_eq!(step("--ntasks-per-node=1").tasks, None);
    assert_eq!(step("-r1").node_list, ["n2".into()]);
    let sized = step("-c3 --gpus=2 --gpus-per-task=1 -m cyclic -x n1 -J other");
    assert_eq!((sized.cpus_per_task, sized.gpus, sized.gpus_per_task, sized.cyclic), (Some(3), Some(2), Some(1), true));
    assert_eq!((sized.exclude, sized.name.as_str()), (vec!["n1".into()], "other"));
    let start = agents.starts.lock().unwrap().last().unwrap().clone();
    assert_eq!((start.command, start.umask, start.cpus_per_task), (vec!["true".to_owned()], 0o022, Some(3)));
}

#[test]
fn outside_a_job_srun_brings_its_own() {
    let agents = Agents::with(&[&[0], &[1]]);
    let job = |state| sample::job(42, "sh", state);
    let running = JobView { tasks: 2, ..sample::running(42, "sh", &["n1", "n2"], 1) };
    let canned = Canned {
        grant: agents.grant.clone(),
        jobs: vec![job(JobState::Pending), job(JobState::Configuring), running],
        ..Canned::default()
    };
    let desk = Desk::new(canned);
    let outcome = desk.run("srun -N2 -p gpu --input=none sh -c 'echo $SLURM_PROCID; exit 5'");
    assert_eq!(outcome.code, 5);
    assert_eq!(sorted(&outcome.out), ["0", "1"]);
    // It had its nodes at once: nothing is said of waiting, as Slurm does.
    assert!(outcome.err.starts_with("srun: error: "), "{}", outcome.err);
    let request = desk.controller.submitted();
    assert_eq!((request.spec.kind, request.spec.name.as_str(), request.script), (JobKind::Interactive, "sh", None));
    let asked = desk.controller.asked.borrow();
    assert!(asked.contains(&Asked::Finish(JobId(42), ExitStatus { code: 5, signal: 0 })));
    let Some(Asked::Step(step)) = asked.iter().find(|asked| matches!(asked, Asked::Step(_))) else { panic!("a step") };
    assert_eq!((step.job, step.tasks, step.nodes), (JobId(42), Some(2), None));
}

#[test]
fn a_step_that_began_with_its_job_is_not_asked_for_again() {
    let agents = Agents::with(&[&[0, 1]]);
    let run = squall_types::ids::Run { job: JobId(42), attempt: Attempt(1) };
    let grant = StepGrant { run, ..agents.grant.clone() };
    let reply = SubmitReply { job: JobId(42), step: Some(grant), ..SubmitReply::default() };
    let desk = Desk::new(Canned { submissions: RefCell::new(vec![Ok(reply)]), ..Canned::default() });
    let outcome = desk.run("srun -N1 -n2 -w n1 --input=none sh -c 'echo rank $SLURM_PROCID; exit 5'");
    assert_eq!((outcome.code, sorted(&outcome.out)), (5, vec!["rank 0", "rank 1"]), "{outcome:?}");
    let asked = desk.controller.asked.borrow();
    let [Asked::Submit(request), Asked::Finish(JobId(42), ExitStatus { code: 5, signal: 0 })] = &asked[..] else {
        panic!("{asked:?}")
    };
    let step = request.step.as_ref().expect("the step goes with the job");
    assert_eq!((step.tasks, step.nodes, step.node_list.len()), (Some(2), None, 0), "it is the job: all of its nodes");
    // Of several components each begins when all have their nodes.
    drop(asked);
    let desk = Desk::new(Canned { jobs: vec![sample::job(42, "true", JobState::Pending)], ..Canned::default() });
    desk.run("srun -n1 true : -n1 true");
    assert_eq!(desk.controller.submitted().step, None);
}

#[test]
fn a_job_that_never_begins_is_told_of_and_given_back() {
    let ended = sample::ended(42, "hostname", EndState::Cancelled, Reason::None, (0, 0));
    let desk = Desk::new(Canned { jobs: vec![ended], ..Canned::default() });
    insta::assert_snapshot!(desk.transcript("srun hostname"));
    let cancelled =
        desk.controller.asked.borrow().iter().any(|asked| matches!(asked, Asked::Act(_, JobAction::Cancel)));
    assert!(!cancelled, "it is over already");
}

#[test]
fn what_srun_refuses_is_told_in_slurms_words() {
    let agents = Agents::with(&[&[0]]);
    insta::assert_snapshot!(in_job(&agents).transcripts(&[
        "srun",
        "srun --foo",
        "srun -n abc hostname",
        "srun --jobid=abc hostname",
        "srun --multi-prog conf",
        "srun --input=nosuchfile cat",
        "srun --output=nosuch/x --input=none true",
        "srun --input=none cannot-run",
        "srun -r 5 hostname",
        "srun -N 0 hostname",
    ]));
    let gone = refusal("SQ1001", "Invalid job id specified", "a step in job 86", "the cluster does not know it", "");
    let desk = Desk::new(Canned { broken: Some(gone), ..Canned::default() }).set("SLURM_JOB_ID", "86");
    insta::assert_snapshot!("gone", desk.transcript("srun hostname"));
    let more = refusal("SQ1022", "Unable to create step: More processors requested than permitted", "9 tasks", "8", "");
    let desk = Desk::new(Canned { broken: Some(more), ..Canned::default() }).set("SLURM_JOB_ID", "86");
    insta::assert_snapshot!("more", desk.transcript("srun -n9 hostname"));
    let refused = refusal("SQ1042", "Invalid partition name specified", "-p nosuch", "", "-p batch");
    let canned = || Canned { submissions: RefCell::new(vec![Err(refused.clone())]), ..Canned::default() };
    insta::assert_snapshot!(
        "no_job",
        Desk::new(canned()).transcripts(&["srun -p nosuch hostname", "salloc -p nosuch"])
    );
}

#[test]
fn a_step_is_taken_up_where_its_news_broke_off() {
    let agents = Agents::with(&[&[0]]);
    let outcome = in_job(&agents).run("srun --input=none breaks");
    assert_eq!((outcome.code, outcome.out.as_str()), (4, "before\nafter\n"), "{outcome:?}");
    assert_eq!(outcome.err, "srun: error: n1: task 0: Exited with exit code 4\n");
}

#[test]
fn a_node_that_cannot_be_reached_is_named() {
    let mut grant = Agents::with(&[&[0]]).grant;
    grant.nodes[0].address = "127.0.0.1:1".to_owned();
    let desk = Desk::new(Canned { grant, ..Canned::default() }).set("SLURM_JOB_ID", "86");
    let outcome = desk.run("srun --input=none hostname");
    assert_eq!(outcome.code, 1);
    let first = "srun: error: Task launch for StepId=86.0 failed on node n1: Unable to contact slurm controller";
    assert!(outcome.err.starts_with(first), "{}", outcome.err);
}

#[test]
fn salloc_runs_a_command_in_an_allocation_and_gives_it_back() {
    let view = JobView { cpus: 4, tasks: 4, ..sample::running(42, "interactive", &["n1", "n2"], 1) };
    let canned = || Canned {
        jobs: vec![sample::job(42, "interactive", JobState::Pending), view.clone()],
        details: vec![sample::detail(view.clone())],
        ..Canned::default()
    };
    let desk = Desk::new(canned()).file("look.sh", "env | grep ^SLURM_ | sort > seen\nexit 3\n");
    let outcome = desk.run("salloc -N2 sh look.sh");
    assert_eq!(outcome.code, 3);
    insta::assert_snapshot!(outcome.err);
    let seen = std::fs::read_to_string(desk.directory.path().join("seen")).unwrap();
    let folder = desk.directory.path().to_str().unwrap();
    insta::assert_snapshot!("variables_of_salloc", seen.replace(folder, "/home/ann/work"));
    let asked = desk.controller.asked.borrow();
    assert!(asked.contains(&Asked::Finish(JobId(42), ExitStatus { code: 3, signal: 0 })));
    drop(asked);
    let desk = Desk::new(canned());
    insta::assert_snapshot!(
        "salloc",
        desk.transcripts(&["salloc no-such-command", "salloc --no-shell", "salloc --foo"])
    );
}

#[test]
fn a_program_that_is_copied_first_is_executed_from_where_it_was_put() {
    let agents = Agents::with(&[&[0], &[1]]);
    let canned = Canned { grant: agents.grant.clone(), visit: agents.visit(), ..Canned::default() };
    let desk = Desk::new(canned).set("SLURM_JOB_ID", "86");
    std::fs::create_dir(desk.directory.path().join("copies")).unwrap();
    let outcome = desk.run("srun --input=none --bcast=copies/same sh -c 'exit 4'");
    assert_eq!(outcome.code, 4, "{outcome:?}");
    desk.run("srun --input=none --bcast=copies/ true");
    let starts = agents.starts.lock().unwrap();
    let folder = desk.directory.path().display();
    assert_eq!(starts[0].command[0], format!("{folder}/copies/same"));
    assert_eq!(starts.last().unwrap().command, [format!("{folder}/copies/slurm_bcast_86.0")]);
    drop(starts);
    insta::assert_snapshot!(desk.transcripts(&["srun --bcast no-such-program", "srun --bcast=nowhere/true true"]));
}
