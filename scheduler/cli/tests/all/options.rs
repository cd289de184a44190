//! The option table: what it says is so.
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use crate::canned::{Asked, Canned};
use crate::transcript::Desk;
use proptest::prelude::*;
use squall::command::Command;
use squall::options::{self, Effect, Opt, Takes};
use squall_types::api::SubmitRequest;
use std::collections::BTreeMap;

/// A value for each option of `sbatch` that acts on the job; options that stand here with others before them need those.
fn samples() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("array", "--array=0-3"),
        ("account", "--account=lab"),
        ("begin", "--begin=now+1hour"),
        ("comment", "--comment=words"),
        ("deadline", "--deadline=now+1hour"),
        ("dependency", "--dependency=afterok:7"),
        ("hold", "--hold"),
        ("job-name", "--job-name=other"),
        ("kill-on-invalid-dep", "--kill-on-invalid-dep=yes"),
        ("mail-type", "--mail-type=END"),
        ("mail-user", "--mail-user=x@y"),
        ("nice", "--nice"),
        ("no-kill", "--no-kill"),
        ("no-requeue", "--no-requeue"),
        ("partition", "--partition=gpu"),
        ("priority", "--priority=5"),
        ("qos", "--qos=high"),
        ("requeue", "--requeue"),
        ("signal", "--signal=USR1"),
        ("time", "--time=5"),
        ("wckey", "--wckey=w"),
        ("max-cost", "--max-cost=5"),
        ("max-price", "--max-price=5"),
        ("spot", "--spot"),
        ("test-only", "--test-only"),
        ("wrap", "--wrap=date"),
        ("cpus-per-gpu", "--gpus=1 --cpus-per-gpu=2"),
        ("cpus-per-task", "--cpus-per-task=2"),
        ("gpus", "--gpus=2"),
        ("gpus-per-node", "--gpus-per-node=2"),
        ("gpus-per-task", "--gpus-per-task=1"),
        ("gres", "--gres=gpu:2"),
        ("mem", "--mem=1G"),
        ("mem-per-cpu", "--mem-per-cpu=1G"),
        ("mem-per-gpu", "--gpus=1 --mem-per-gpu=1G"),
        ("mincpus", "--mincpus=4"),
        ("nodes", "--nodes=2"),
        ("ntasks", "--ntasks=2"),
        ("ntasks-per-gpu", "--gpus=2 --ntasks-per-gpu=2"),
        ("ntasks-per-node", "--ntasks-per-node=2"),
        ("tres-per-task", "--tres-per-task=cpu=2"),
        ("constraint", "--constraint=fast"),
        ("prefer", "--prefer=fast"),
        ("exclude", "--exclude=n1"),
        ("exclusive", "--exclusive"),
        ("licenses", "--licenses=lic"),
        ("nodefile", "--nodefile=nodes"),
        ("nodelist", "--nodelist=n1"),
        ("reservation", "--reservation=r"),
        ("chdir", "--chdir=/srv"),
        ("error", "--error=e"),
        ("export", "--export=NIL"),
        ("export-file", "--export-file=environment"),
        ("get-user-env", "--get-user-env"),
        ("input", "--input=i"),
        ("open-mode", "--open-mode=append"),
        ("output", "--output=o"),
        ("distribution", "--distribution=cyclic"),
    ])
}

/// Options of `sbatch` that act on what the command prints or does, not on the job.
const NOT_OF_THE_JOB: [&str; 8] = ["clusters", "parsable", "quiet", "verbose", "wait", "help", "usage", "version"];

fn request(options: &str) -> SubmitRequest {
    let script = if options.contains("--wrap") { "" } else { " job.sh" };
    let desk = Desk::new(Canned::default())
        .file("job.sh", "#!/bin/sh\ndate\n")
        .file("nodes", "n1\nn2\n")
        .file("environment", "A=1\n");
    let outcome = desk.run(&format!("sbatch {options}{script}"));
    assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{options}");
    let mut request = desk.controller.submitted();
    // These differ with every call.
    request.token = Default::default();
    request.spec.submit_line.clear();
    let folder = desk.directory.path().to_str().unwrap();
    for text in [&mut request.spec.work_dir, &mut request.spec.command] {
        *text = text.replace(folder, "DIR");
    }
    request.environment = String::from_utf8(request.environment).unwrap().replace(folder, "DIR").into_bytes();
    request
}

#[test]
fn an_option_that_acts_changes_the_job() {
    let samples = samples();
    let plain = request("");
    let with_gpu = request("--gpus=1");
    let with_gpus = request("--gpus=2");
    for opt in options::of(Command::Sbatch).filter(|opt| opt.effect == Effect::Acts && opt.same_as.is_none()) {
        if NOT_OF_THE_JOB.contains(&opt.long) {
            continue;
        }
        let sample = samples.get(opt.long).unwrap_or_else(|| panic!("no sample of --{}", opt.long));
        let base = match sample.split_once(' ') {
            Some(("--gpus=1", _)) => &with_gpu,
            Some(("--gpus=2", _)) => &with_gpus,
            _ => &plain,
        };
        assert_ne!(&request(sample), base, "--{} changes nothing", opt.long);
    }
}

#[test]
fn an_option_without_effect_changes_only_what_is_shown_of_it() {
    let plain = request("");
    for opt in options::of(Command::Sbatch).filter(|opt| matches!(opt.effect, Effect::Ignored { .. })) {
        let option = match opt.takes {
            Takes::Value(_) => format!("--{}=1", opt.long),
            Takes::Nothing | Takes::Maybe(_) | Takes::Loose(_) => format!("--{}", opt.long),
        };
        let mut with = request(&option);
        let wish = opt.same_as.unwrap_or(opt.long);
        assert!(with.spec.wishes.iter().any(|known| known.starts_with(wish)), "--{}", opt.long);
        with.spec.wishes.clear();
        assert_eq!(with, plain, "--{}", opt.long);
    }
}

#[test]
fn input_variables_are_the_ones_of_slurm() {
    let of = |command, long| -> Vec<String> {
        options::named(command, long).map(|opt: &Opt| opt.variables(command)).unwrap()
    };
    assert_eq!(of(Command::Sbatch, "array"), ["SBATCH_ARRAY_INX"]);
    assert_eq!(of(Command::Sbatch, "mem"), ["SBATCH_MEM_PER_NODE"]);
    assert_eq!(of(Command::Salloc, "time"), ["SALLOC_TIMELIMIT"]);
    assert_eq!(of(Command::Srun, "ntasks"), ["SLURM_NTASKS", "SLURM_NPROCS"]);
    assert_eq!(of(Command::Srun, "cpus-per-task")[0], "SRUN_CPUS_PER_TASK");
    assert_eq!(of(Command::Squeue, "format"), ["SQUEUE_FORMAT"]);
}

/// Words that mean something to one of the commands, and some that mean nothing to any.
fn word() -> impl Strategy<Value = String> {
    let blocks = ["iterate", "wait", "get-user-env", "epilog", "prolog"];
    let names: Vec<String> = Command::LINKED
        .into_iter()
        .flat_map(options::of)
        .filter(|opt| !blocks.contains(&opt.long))
        .flat_map(|opt| [format!("--{}", opt.long), format!("--{}=", opt.long)])
        .collect();
    let values = [
        "1",
        "0",
        "-1",
        "99999999999999999999",
        "1-5",
        "1-5:2%2",
        "gpu:h100:4",
        "4G",
        "now+1hour",
        "%i %j",
        "%.18i|%-20j",
        "n[1-3]",
        "n[1-",
        "afterok:1",
        "a&b",
        "USR1@60",
        "job.sh",
        "show",
        "job",
        "hold",
        "update",
        "JobId=1",
        "TimeLimit=5",
        "all",
        "PD,R",
        "\u{1b}[2J",
        "%%%%",
        "jobid:.20,state",
        "1_[2-3]",
        "1.batch",
        "é",
        "--",
        "-",
        ":",
    ];
    let short = "[a-zA-Z]"
        .prop_map(|letter| format!("-{letter}"))
        // -i and -W wait.
        .prop_filter("waits", |flag| !["-i", "-W"].contains(&flag.as_str()));
    prop_oneof![
        3 => proptest::sample::select(names),
        3 => proptest::sample::select(values.to_vec()).prop_map(str::to_owned),
        2 => short,
        // Nothing that could be a path elsewhere.
        2 => "[^/\\x00]{0,12}".prop_filter("waits", |text| !text.starts_with("-i") && !text.starts_with("-W") && !text.contains("NONE")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_words_make_a_command_panic(
        command in proptest::sample::select(Command::LINKED.as_slice()),
        words in proptest::collection::vec(word(), 0..6),
    ) {
        let desk = Desk::new(Canned { jobs: crate::sample::queue(), accounting: crate::sample::accounts(), ..Canned::default() })
            .file("job.sh", "#!/bin/sh\ndate\n")
            .set("VISUAL", "true");
        let line: Vec<String> = std::iter::once(command.name().to_owned()).chain(words).collect();
        let outcome = desk.run_words(&line);
        prop_assert!([0, 1, 255].contains(&outcome.code), "{line:?}: {outcome:?}");
        // Whatever went wrong, it was said.
        prop_assert!(
            outcome.code == 0
                || !outcome.err.is_empty()
                || !outcome.out.is_empty()
                || matches!(command, Command::Sbatch),
            "{line:?}"
        );
        let submitted = desk.controller.asked.borrow().iter().any(|asked| matches!(asked, Asked::Submit(_)));
        prop_assert!(!submitted || matches!(command, Command::Sbatch | Command::Srun | Command::Salloc));
    }

    #[test]
    fn no_script_makes_sbatch_panic(lines in "(#SBATCH [ -~]{0,40}\n|[ -~é\t]{0,20}\n){0,8}") {
        let desk = Desk::new(Canned::default()).file("job.sh", format!("#!/bin/sh\n{lines}"));
        let outcome = desk.run("sbatch --export=NIL job.sh");
        prop_assert!(outcome.code == 0 || !outcome.err.is_empty(), "{outcome:?}");
    }
}
