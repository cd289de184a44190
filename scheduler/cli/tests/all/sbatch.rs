//! `sbatch`: what it accepts becomes the right job.

use crate::canned::{Asked, Canned, refusal};
use crate::sample;
use crate::transcript::{Desk, NOW};
use squall_proto::ClientError;
use squall_types::api::{Estimate, JobView, SubmitReply, SubmitRequest};
use squall_types::spec::{JobSpec, MailEvents, OpenMode, SignalSpec};
use squall_types::*;
use std::cell::RefCell;
use std::time::Duration;

const SCRIPT: &str = "#!/bin/sh\nhostname\n";

fn desk() -> Desk {
    Desk::new(Canned::default()).file("job.sh", SCRIPT)
}

fn submitted_at(desk: &Desk, line: &str) -> SubmitRequest {
    let outcome = desk.run(line);
    assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{line}");
    desk.controller.submitted()
}

fn submitted(line: &str) -> SubmitRequest {
    submitted_at(&desk(), line)
}

fn spec(options: &str) -> JobSpec {
    *submitted(&format!("sbatch {options} job.sh")).spec
}

fn ask(options: &str) -> Ask {
    spec(options).ask
}

/// Submits a script with these lines below its first.
fn spec_of_script(lines: &str) -> JobSpec {
    let desk = desk().file("with.sh", format!("#!/bin/sh\n{lines}\nhostname\n"));
    *submitted_at(&desk, "sbatch with.sh").spec
}

fn environment(desk: &Desk, line: &str) -> Vec<String> {
    let blob = submitted_at(desk, line).environment;
    let text = String::from_utf8(blob).expect("text");
    text.split_terminator('\0').map(str::to_owned).collect()
}

#[test]
fn a_job_says_its_number_and_nothing_else() {
    insta::assert_snapshot!(desk().transcripts(&[
        "sbatch job.sh",
        "sbatch --parsable job.sh",
        "sbatch --parsable -M storm job.sh",
        "sbatch -M storm job.sh",
        "sbatch -Q job.sh",
        "squall sbatch job.sh",
        "/opt/squall/bin/sbatch --wrap hostname",
    ]));
}

#[test]
fn a_plain_script_becomes_a_plain_job() {
    let request = submitted("sbatch job.sh one 'two three' -n5");
    assert_eq!(request.script.as_deref(), Some(SCRIPT.as_bytes()));
    assert_eq!(request.spec.name, "job.sh");
    assert_eq!(request.spec.arguments, ["one", "two three", "-n5"]);
    assert_eq!(request.spec.ask, Ask::default());
    assert_eq!((request.spec.uid, request.spec.user.as_str()), (Uid(1000), "ann"));
    assert_eq!(request.spec.submit_line, "sbatch job.sh one two three -n5");
    assert_eq!((request.spec.umask, request.spec.submit_host.as_str()), (0o022, "login"));
    assert_eq!(request.token.as_str().len(), 32);
    assert_ne!(request.token, submitted("sbatch job.sh").token);
}

#[test]
fn a_script_comes_from_a_file_from_standard_input_or_from_a_line() {
    let typed = submitted_at(&desk().typing("#!/bin/sh\n#SBATCH -n2\ndate\n"), "sbatch");
    assert_eq!((typed.spec.name.as_str(), typed.spec.ask.tasks), ("sbatch", Some(2)));
    let wrapped = submitted("sbatch --wrap 'echo hi'");
    assert_eq!(wrapped.spec.name, "wrap");
    assert_eq!(
        wrapped.script.as_deref(),
        Some(&b"#!/bin/sh\n# This script was created by sbatch --wrap.\n\necho hi\n"[..])
    );
    let elsewhere = Desk::new(Canned::default()).file("on-path.sh", SCRIPT);
    let folder = elsewhere.directory.path().to_str().unwrap().to_owned();
    let mut desk = desk().set("PATH", &folder);
    desk.variables.remove(0);
    assert_eq!(submitted_at(&desk, "sbatch on-path.sh").spec.name, "on-path.sh");
}

#[test]
fn every_spelling_of_an_option_is_the_same_option() {
    for options in ["-n4", "-n 4", "--ntasks=4", "--ntasks 4", "--ntasks=4", "-Hn4", "-n3 -n4", "-n 4 --"] {
        assert_eq!(ask(options).tasks, Some(4), "{options}");
    }
}

#[test]
fn sizes_are_read_in_every_form() {
    let nodes = |min, max| Some(NodeCount { min, max });
    assert_eq!(ask("-N 4").nodes, nodes(4, 4));
    assert_eq!(ask("-N 2-4").nodes, nodes(2, 4));
    assert_eq!(ask("-N 1k").nodes, nodes(1000, 1000));
    assert_eq!(ask("-c 3").cpus, CpuAsk::PerTask(3));
    assert_eq!(ask("--tasks-per-node=4").tasks_per_node, Some(4));
    let memory = [
        ("--mem=100", MemoryAsk::PerNode(100)),
        ("--mem=4g", MemoryAsk::PerNode(4096)),
        ("--mem=4GB", MemoryAsk::PerNode(4096)),
        ("--mem=7K", MemoryAsk::PerNode(1)),
        ("--mem=0", MemoryAsk::PerNode(0)),
        ("--mem-per-cpu=512M", MemoryAsk::PerCpu(512)),
        ("--mem-per-cpu=0", MemoryAsk::PerNode(0)),
        ("--gpus=1 --mem-per-gpu=1T", MemoryAsk::PerGpu(1024 * 1024)),
    ];
    for (options, expected) in memory {
        assert_eq!(ask(options).memory, expected, "{options}");
    }
    assert!(ask("--exclusive").exclusive);
    assert!(!ask("--exclusive --oversubscribe").exclusive);
    assert_eq!(ask("--mincpus=8").min_cpus, 8);
}

#[test]
fn gpus_are_read_in_every_form() {
    let h100 = || Some(GpuModel::from("h100"));
    let cases = [
        ("--gres=gpu:4", GpuAsk::PerNode(4, None)),
        ("--gres=gpu", GpuAsk::PerNode(1, None)),
        ("--gres=gpu:h100:4", GpuAsk::PerNode(4, h100())),
        ("--gres=none", GpuAsk::None),
        ("--gpus-per-node=h100:2", GpuAsk::PerNode(2, h100())),
        ("--gres=gpu:2 --gpus-per-node=2", GpuAsk::PerNode(2, None)),
        ("-G 12", GpuAsk::Total(12, None)),
        ("-n2 --gpus-per-task=h100:1", GpuAsk::PerTask(1, h100())),
        ("-n2 --tres-per-task=cpu=4,gres/gpu:h100=1", GpuAsk::PerTask(1, h100())),
    ];
    for (options, expected) in cases {
        assert_eq!(ask(options).gpus, expected, "{options}");
    }
    assert_eq!(ask("-n2 --tres-per-task=cpu=4").cpus, CpuAsk::PerTask(4));
    assert_eq!(ask("--gpus=2 --cpus-per-gpu=6").cpus, CpuAsk::PerGpu(6));
}

#[test]
fn what_follows_from_two_requests_for_gpus_is_worked_out() {
    let both = ask("--gpus=8 --gpus-per-node=4");
    assert_eq!((both.nodes, both.gpus), (Some(NodeCount { min: 2, max: 2 }), GpuAsk::PerNode(4, None)));
    let both = ask("--gpus=8 --gpus-per-task=2");
    assert_eq!((both.tasks, both.gpus), (Some(4), GpuAsk::PerTask(2, None)));
    let both = ask("--gpus-per-node=8 --gpus-per-task=2");
    assert_eq!((both.tasks_per_node, both.gpus), (Some(4), GpuAsk::PerTask(2, None)));
    let both = ask("--gpus=4 --ntasks-per-gpu=2");
    assert_eq!((both.tasks, both.gpus), (Some(8), GpuAsk::Total(4, None)));
    let both = ask("--gpus-per-node=4 --ntasks-per-gpu=2");
    assert_eq!((both.tasks_per_node, both.gpus), (Some(8), GpuAsk::PerNode(4, None)));
    let both = ask("-n8 --ntasks-per-gpu=2");
    assert_eq!((both.tasks, both.gpus), (Some(8), GpuAsk::Total(4, None)));
}

#[test]
fn times_and_moments_are_read_in_every_form() {
    let limits = [
        ("30", 30),
        ("0:300", 5),
        ("1:30:00", 90),
        ("2:3:4", 124),
        ("1-12", 36 * 60),
        ("1-02:30:00", 26 * 60 + 30),
        ("00:00:01", 1),
    ];
    for (text, minutes) in limits {
        assert_eq!(spec(&format!("-t {text}")).time_limit, Some(Span::from_mins(minutes)), "{text}");
    }
    assert_eq!(spec("-t UNLIMITED").time_limit, Some(Span::FOREVER));
    assert_eq!(spec("").time_limit, None);
    assert_eq!(spec("-b now+1hour").begin_at, Some(NOW + Span::from_hours(1)));
    assert_eq!(spec("--begin=tomorrow").begin_at, Some(Timestamp::from_secs(1_795_651_200)));
    assert_eq!(spec("--deadline=2027-01-01").end_by, Some(Timestamp::from_secs(1_798_761_600)));
}

#[test]
fn everything_else_reaches_the_job() {
    let spec = spec(
        "-A lab -q high -p a,b -H --nice=5 --priority=7 --comment='two words' --wckey=w -D sub -o o_%j.out -e e.err -i in \
         --open-mode=append --requeue --signal=B:USR1@60 --mail-type=END,FAIL --mail-user=x@y -k -a 1-5:2%2 \
         -d afterok:1:2,singleton -C 'a&b' -w n[1-2] -x n3,n4 -L lic --kill-on-invalid-dep=yes --spot --max-price=12.50 \
         --max-cost=$100 -J name -m cyclic --prefer=c|d --contiguous --hint=nomultithread",
    );
    assert_eq!((spec.account.as_str(), spec.qos.as_ref().map(|qos| qos.as_str())), ("lab", Some("high")));
    assert_eq!(spec.partitions, ["a".into(), "b".into()]);
    assert!(spec.hold && spec.no_kill && spec.cancel_if_never && spec.allow_spot);
    assert_eq!((spec.nice, spec.priority, spec.comment.as_str(), spec.wckey.as_str()), (5, Some(7), "two words", "w"));
    assert!(spec.work_dir.ends_with("/sub"));
    let streams = (spec.stdin.as_deref(), spec.stdout.as_deref(), spec.stderr.as_deref());
    assert_eq!(streams, (Some("in"), Some("o_%j.out"), Some("e.err")));
    assert_eq!((spec.open_mode, spec.requeue), (OpenMode::Append, Some(true)));
    let warning = SignalSpec { signal: 10, before: Span::from_secs(60), batch_only: true };
    assert_eq!(spec.signal, Some(warning));
    assert_eq!(spec.mail, MailEvents { end: true, fail: true, ..MailEvents::default() });
    let array = spec.array.expect("an array");
    assert_eq!((array.to_string(), array.step), ("1-5:2%2".to_owned(), 2));
    assert_eq!(spec.dependency.terms.len(), 3);
    assert_eq!(spec.constraint.map(|constraint| constraint.to_string()), Some("a&b".to_owned()));
    assert_eq!(spec.prefer.map(|prefer| prefer.to_string()), Some("c|d".to_owned()));
    assert_eq!(
        (spec.node_list, spec.exclude),
        (vec!["n1".to_owned(), "n2".to_owned()], vec!["n3".to_owned(), "n4".to_owned()])
    );
    assert_eq!((spec.licenses.as_str(), spec.name.as_str()), ("lic", "name"));
    assert_eq!((spec.max_price, spec.max_cost), (Some(HourlyPrice(12_500_000)), Some(MicroUsd(100_000_000))));
    assert_eq!(spec.step_options, ["distribution=cyclic"]);
    assert_eq!(spec.wishes, ["contiguous", "hint=nomultithread"]);
}

#[test]
fn flags_that_take_each_other_back_count_by_their_order() {
    assert_eq!(spec("--requeue --no-requeue").requeue, Some(false));
    assert_eq!(spec("--no-requeue --requeue").requeue, Some(true));
    assert_eq!(spec("--nice").nice, 100);
    assert_eq!(spec("--nice=-3").nice, -3);
    assert!(!spec("--no-kill=off").no_kill);
}

#[test]
fn directives_are_read_as_slurm_reads_them() {
    let name = |lines: &str| spec_of_script(lines).name;
    let tasks = |lines: &str| spec_of_script(lines).ask.tasks;
    assert_eq!(name("#SBATCH --job-name=xx   --comment=c # and a comment"), "xx");
    assert_eq!(name("#SBATCH --job-name   'two words'"), "two words");
    assert_eq!(name("#SBATCH -J \"x\""), "x");
    assert_eq!(name("#SBATCH --job-name=a#b"), "a");
    assert_eq!(tasks("#SBATCH -n3 -n5"), Some(5));
    assert_eq!(tasks("#SBATCH\t-n\t3"), Some(3));
    assert_eq!(tasks("#SBATCH-n 3"), Some(3));
    assert_eq!(tasks("#SBATCH --exclusive   \n\n# words\n#SBATCH -n 3"), Some(3));
    // None of these is a directive.
    assert_eq!(tasks("##SBATCH -n 3"), None);
    assert_eq!(tasks(" #SBATCH -n 3"), None);
    assert_eq!(tasks("#sbatch -n 3"), None);
    // After the first command there are none.
    assert_eq!(tasks("echo\n#SBATCH -n 3"), None);
    assert_eq!(tasks("echo\n#SBATCH --no-such-option"), None);
    // What submitit writes.
    let spec = spec_of_script(
        "#SBATCH --array=0-3%4\n#SBATCH --mem=4GB\n#SBATCH --open-mode=append\n#SBATCH --output=/l/%A_%a_0_log.out\n#SBATCH --signal=USR2@90\n#SBATCH --time=5\n#SBATCH --wckey=submitit",
    );
    assert_eq!(spec.signal, Some(SignalSpec { signal: 12, before: Span::from_secs(90), batch_only: false }));
    assert_eq!(spec.stdout.as_deref(), Some("/l/%A_%a_0_log.out"));
    // `--parsable` in the script counts.
    let desk = desk().file("quiet.sh", "#!/bin/sh\n#SBATCH --parsable\n");
    assert_eq!(desk.run("sbatch quiet.sh").out, "42\n");
}

#[test]
fn components_stand_between_colons_and_between_directives() {
    let sizes = |request: &SubmitRequest| {
        let all = std::iter::once(&*request.spec).chain(&request.more);
        all.map(|spec| (spec.ask.tasks, spec.time_limit, spec.name.clone())).collect::<Vec<_>>()
    };
    let minutes = |count| Some(Span::from_mins(count));
    let request = submitted("sbatch -n1 -t5 -Jfirst : -n2 job.sh : argument");
    let (one, two) = ((Some(1), minutes(5), "first".to_owned()), (Some(2), minutes(5), "first".to_owned()));
    assert_eq!(sizes(&request), [one, two]);
    assert_eq!(request.spec.arguments, [":", "argument"], "behind the script a colon is an argument like any other");
    assert!(request.more[0].arguments.is_empty());

    let script = "#!/bin/sh\n#SBATCH -n1 -t5\n#SBATCH hetjob\n#SBATCH -n2 -J second\nhostname\n";
    let desk = desk().file("het.sh", script).file("pack.sh", script.replace("hetjob", "packjob"));
    let first = (Some(1), minutes(9), "het.sh".to_owned());
    assert_eq!(
        sizes(&submitted_at(&desk, "sbatch -t9 het.sh")),
        [first, (Some(2), minutes(9), "second".to_owned())],
        "a line of one component is about all of them"
    );
    let told = desk.transcript("sbatch pack.sh");
    assert!(told.contains("component separator is being deprecated"), "{told}");
}

#[test]
fn the_command_line_beats_the_environment_which_beats_the_script() {
    let script = "#!/bin/sh\n#SBATCH -J script --mem=1G -p script\n";
    let desk = desk().file("with.sh", script).set("SBATCH_JOB_NAME", "variable").set("SBATCH_MEM_PER_CPU", "100");
    let spec = submitted_at(&desk, "sbatch with.sh").spec;
    assert_eq!((spec.name.as_str(), spec.partitions[0].as_str()), ("variable", "script"));
    assert_eq!(spec.ask.memory, MemoryAsk::PerCpu(100));
    let spec = submitted_at(&desk, "sbatch -J typed --mem-per-gpu=2G --gpus=1 with.sh").spec;
    assert_eq!((spec.name.as_str(), spec.ask.memory), ("typed", MemoryAsk::PerGpu(2048)));
}

#[test]
fn input_variables_set_flags_as_slurm_says() {
    let requeue = |value| submitted_at(&desk().set("SBATCH_NO_REQUEUE", value), "sbatch job.sh").spec.requeue;
    assert_eq!([requeue(""), requeue("yes"), requeue("1")], [Some(false); 3]);
    assert_eq!([requeue("0"), requeue("no")], [None, None]);
    assert!(submitted_at(&desk().set("SBATCH_EXCLUSIVE", ""), "sbatch job.sh").spec.ask.exclusive);
}

#[test]
fn a_job_sees_the_environment_that_export_lets_through() {
    let desk = || {
        desk()
            .set("HOME", "/home/ann")
            .set("SLURM_TIME_FORMAT", "%s")
            .set("SLURM_ARRAY_TASK_ID", "3")
            .set("SLURM_JOB_ID", "8")
    };
    let all = environment(&desk(), "sbatch job.sh");
    let expected = [
        "HOME=/home/ann",
        "PATH=/usr/bin:/bin",
        "SLURM_SUBMIT_DIR=DIR",
        "SLURM_SUBMIT_HOST=login",
        "SLURM_TIME_FORMAT=%s",
        "SLURM_UMASK=0022",
    ];
    let folderless = |list: &[String]| -> Vec<String> {
        list.iter()
            .map(
                |one| {
                    if one.starts_with("SLURM_SUBMIT_DIR=") { "SLURM_SUBMIT_DIR=DIR".to_owned() } else { one.clone() }
                },
            )
            .collect()
    };
    assert_eq!(folderless(&all), expected);
    let nil = environment(&desk(), "sbatch --export=NIL job.sh");
    assert!(nil.iter().all(|one| one.starts_with("SLURM_")), "{nil:?}");
    assert!(nil.contains(&"SLURM_EXPORT_ENV=NIL".to_owned()));
    let some = environment(&desk(), "sbatch --export=HOME,A=1,B='x,y' job.sh");
    assert!(some.contains(&"HOME=/home/ann".to_owned()) && some.contains(&"A=1".to_owned()));
    assert!(!some.iter().any(|one| one.starts_with("PATH=")), "{some:?}");
    let more = environment(&desk(), "sbatch --export=ALL,A=1 job.sh");
    assert!(more.contains(&"PATH=/usr/bin:/bin".to_owned()) && more.contains(&"A=1".to_owned()));
    let quoted = environment(&desk(), "sbatch \"--export=ALL,B='x,y'\" job.sh");
    assert!(quoted.contains(&"B=x,y".to_owned()), "{quoted:?}");
    let none = environment(&desk(), "sbatch --export=NONE job.sh");
    assert!(none.contains(&"USER=ann".to_owned()), "{none:?}");
    let file = environment(&desk().file("env", b"ONE=1\0TWO=a\nb\0"), "sbatch --export-file=env job.sh");
    assert!(file.contains(&"ONE=1".to_owned()) && file.contains(&"TWO=a\nb".to_owned()));
}

#[test]
fn a_controller_that_starts_again_is_waited_for_and_one_that_stays_away_is_not_for_ever() {
    let away = || {
        let (target, cause) = ("unix:/run/squall/ctld.sock".to_owned(), "Connection refused".to_owned());
        Err(ClientError::Unreachable { target, cause })
    };
    let found = Ok(SubmitReply { job: JobId(7), ..SubmitReply::default() });
    let submissions = RefCell::new(vec![away(), away(), away(), found]);
    let desk = Desk::new(Canned { submissions, ..Canned::default() }).file("job.sh", SCRIPT);
    assert_eq!(desk.run("sbatch job.sh").out, "Submitted batch job 7\n");
    assert_eq!(desk.controller.asked.borrow().len(), 4);
    let never =
        Desk::new(Canned { submissions: RefCell::new(vec![away()]), ..Canned::default() }).file("job.sh", SCRIPT);
    assert!(never.run("sbatch job.sh").err.contains("Unable to contact slurm controller"));
    assert_eq!(never.controller.asked.borrow().len(), 21);
}

#[test]
fn a_lost_answer_is_asked_for_again_with_the_same_token() {
    let lost = Err(ClientError::TimedOut { after: Duration::from_secs(30) });
    let found = Ok(SubmitReply { job: JobId(7), ..SubmitReply::default() });
    let submissions = RefCell::new(vec![lost.clone(), found]);
    let desk = Desk::new(Canned { submissions, ..Canned::default() }).file("job.sh", SCRIPT);
    assert_eq!(desk.run("sbatch job.sh").out, "Submitted batch job 7\n");
    let asked = desk.controller.asked.borrow();
    let tokens: Vec<_> = asked
        .iter()
        .map(|asked| match asked {
            Asked::Submit(request) => request.token.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(tokens.len(), 2);
    assert_eq!(tokens[0], tokens[1]);
    let never = Desk::new(Canned { submissions: RefCell::new(vec![lost]), ..Canned::default() }).file("job.sh", SCRIPT);
    insta::assert_snapshot!(never.transcript("sbatch job.sh"));
}

#[test]
fn test_only_says_when_and_where_on_standard_error() {
    let estimate = Estimate {
        start_at: Some(NOW),
        nodes: vec!["n1".into(), "n2".into()],
        cpus: 16,
        partition: "batch".into(),
        purchase: "2 x p5.48xlarge spot in use1-az4".to_owned(),
        hourly: HourlyPrice(24_600_000),
    };
    let reply = SubmitReply { job: JobId(50), estimate: Some(estimate), notes: Vec::new(), step: None };
    let desk =
        Desk::new(Canned { submissions: RefCell::new(vec![Ok(reply)]), ..Canned::default() }).file("job.sh", SCRIPT);
    let outcome = desk.run("sbatch --test-only -N2 job.sh");
    assert_eq!((outcome.code, outcome.out.as_str()), (0, ""));
    insta::assert_snapshot!(outcome.err);
    assert!(desk.controller.submitted().test_only);
}

#[test]
fn waiting_ends_with_the_jobs_exit_code() {
    let wait = |view: JobView| {
        let desk = Desk::new(Canned { jobs: vec![view], ..Canned::default() }).file("job.sh", SCRIPT);
        desk.run("sbatch -W job.sh").code
    };
    let ended = |end, exit| sample::ended(42, "job.sh", end, Reason::None, exit);
    assert_eq!(wait(ended(EndState::Completed, (0, 0))), 0);
    assert_eq!(wait(ended(EndState::Failed, (5, 0))), 5);
    assert_eq!(wait(ended(EndState::Failed, (0, 9))), 137);
    assert_eq!(wait(ended(EndState::Cancelled, (0, 0))), 1);
    let element = |id, index, exit| sample::element(ended(EndState::Failed, (exit, 0)), 42, index).with_id(id);
    let jobs = vec![element(43, 0, 2), element(42, 1, 7)];
    let desk = Desk::new(Canned { jobs, ..Canned::default() }).file("job.sh", SCRIPT);
    assert_eq!(desk.run("sbatch -W -a 0-1 job.sh").code, 7);
}

trait WithId {
    fn with_id(self, id: u32) -> Self;
}

impl WithId for JobView {
    fn with_id(mut self, id: u32) -> Self {
        self.job = JobId(id);
        self
    }
}

#[test]
fn a_verbose_submission_says_what_has_no_effect() {
    let reply = SubmitReply {
        job: JobId(1),
        notes: vec!["memory was taken from the GPUs' share".into()],
        ..SubmitReply::default()
    };
    let desk = Desk::new(Canned { submissions: RefCell::new(vec![Ok(reply)]), ..Canned::default() });
    insta::assert_snapshot!(
        desk.file("job.sh", SCRIPT).transcript("sbatch -v --contiguous --hint=compute_bound job.sh")
    );
}

#[test]
fn a_refusal_of_the_controller_is_told_with_what_would_work() {
    let refused = refusal(
        "SQ1070",
        "Requested node configuration is not available",
        "--gpus-per-node=16 in partition \"a100\"",
        "the largest node type there has 8 GPUs",
        "--nodes=2 --gpus-per-node=8     (would start in about 4 min, $41.20/h)",
    );
    let desk =
        Desk::new(Canned { submissions: RefCell::new(vec![Err(refused)]), ..Canned::default() }).file("job.sh", SCRIPT);
    insta::assert_snapshot!(desk.transcript("sbatch --gpus-per-node=16 -p a100 job.sh"));
}

#[test]
fn the_exit_code_of_an_error_can_be_chosen() {
    use squall::command::Command;
    use squall::dispatch::exit_code;
    assert_eq!(exit_code(Command::Sbatch, 1, Some("17")), 17);
    assert_eq!(exit_code(Command::Srun, 1, None), 1);
    assert_eq!(exit_code(Command::Squeue, 1, Some("17")), 1);
    assert_eq!(exit_code(Command::Sbatch, 137, Some("17")), 137);
}
