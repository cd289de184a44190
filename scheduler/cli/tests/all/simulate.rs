//! `squall simulate` on traces whose answers can be worked out on paper, and on what is no trace.

use crate::canned::Canned;
use crate::transcript::Desk;
use serde_json::Value;

const HEAD: &str =
    "job_id,user,account,submit_s,duration_s,nodes,gpus_per_node,cpus,mem_mib,gpu_type,time_limit_s,state\n";
/// Two nodes: the first job takes one for an hour, two more share the other, and the gang waits for both.
const FOUR: &str =
    "a,ann,x,0,3600,1,8,,,,,\nb,bob,x,0,1800,1,4,,,,,\nc,,y,600,1800,1,4,,,,,\nd,ann,x,700,60,2,8,,,,,\n";
const TWO_NODES: &str = r#"
[partitions.gpu]
pools = ["gpu"]
[pools.gpu]
provisioner = "sim"
max_nodes = 2
[pools.gpu.offers.big]
cpus = 64
memory = "512G"
gpus = "h100:8"
price = 36
typical_boot = "1m"
"#;

fn desk(lines: &str) -> Desk {
    Desk::new(Canned::default()).file("trace.csv", format!("{HEAD}{lines}")).file("two.toml", TWO_NODES)
}

fn json(desk: &Desk, options: &str) -> Value {
    let outcome = desk.run(&format!("squall simulate trace.csv --json {options}"));
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    serde_json::from_str(&outcome.out).expect("the report is JSON")
}

#[test]
fn a_small_trace_in_a_table() {
    let outcome = desk(FOUR).run("squall simulate trace.csv --config two.toml");
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    insta::assert_snapshot!(outcome.out);
}

#[test]
fn a_small_trace_in_figures() {
    let report = json(&desk(FOUR), "--config two.toml --baselines fifo,easy,sjf");
    let configuration = &report["configurations"][0];
    let [squall, fifo, easy, sjf] = configuration["outcomes"].as_array().unwrap().as_slice() else {
        panic!("four played: {report}")
    };
    for one in [squall, fifo, easy, sjf] {
        assert_eq!(one["ends"]["completed"], 4, "{one}");
        // 8 + 4/2 + 4/2 + 16/60 GPU-hours.
        assert_eq!(one["gpu_hours"]["used"], 12.27);
    }
    // Only the gang waits, from 700 s to the end of the first at 3600 s.
    assert_eq!((&fifo["wait"]["max_ms"], &fifo["wait"]["mean_ms"]), (&2_900_000.into(), &725_000.into()));
    assert_eq!(easy["wait"], fifo["wait"]);
    // The shortest of those that wait first: the same, as it is alone.
    assert_eq!(sjf["wait"], fifo["wait"]);
    // Two nodes at 36 dollars for 3660 s.
    assert_eq!((&fifo["cost_micro_usd"], &fifo["nodes"]["peak"]), (&73_200_000.into(), &2.into()));
    assert_eq!(configuration["bounds"]["peak_gpus"], 8 + 4 + 4 + 16);
    // 12.2666 GPU-hours at 4.50 dollars.
    assert_eq!(configuration["bounds"]["ideal_cost_micro_usd"], 55_200_000);

    // The engine's jobs wait for a boot of 45 to 120 s more, and its nodes are paid from launch to end.
    let wait = squall["wait"]["max_ms"].as_i64().unwrap();
    assert!((2_900_000..3_100_000).contains(&wait), "{wait}");
    assert_eq!((&squall["nodes"]["launches"], &squall["nodes"]["peak"]), (&2.into(), &2.into()));
    let (cost, spent) = (squall["cost_micro_usd"].as_i64().unwrap(), &squall["series"]["spent_micro_usd"]);
    assert!(cost > 73_200_000, "{cost}");
    let spent = spent.as_array().unwrap().last().unwrap().as_i64().unwrap();
    assert!((cost - spent).abs() < 1_000, "the bill {cost} is the integral of what is spent {spent}");
    assert_eq!(fifo["difference"]["from"], "Squall, two");
    assert_eq!(fifo["difference"]["cost_micro_usd"], 73_200_000 - cost);
}

#[test]
fn the_same_call_gives_the_same_bytes_and_another_seed_other_boots() {
    let desk = desk(FOUR);
    let call = |seed: u32| {
        let line =
            format!("squall simulate trace.csv --config two.toml --limits factor:4 --json --seed {seed} --svg c{seed}");
        let outcome = desk.run(&line);
        assert_eq!(outcome.code, 0, "{}", outcome.err);
        let chart = std::fs::read_to_string(desk.directory.path().join(format!("c{seed}"))).unwrap();
        (outcome.out, chart)
    };
    let (first, chart) = call(3);
    assert_eq!(call(3), (first.clone(), chart.clone()));
    assert_ne!(call(4).0.replace("\"seed\": 4", "\"seed\": 3"), first);
    assert!(chart.starts_with("<svg ") && chart.ends_with("</svg>\n"));
    for word in ["Jobs queued", "Nodes", "Spent (US$)", "Days since the first submission", "Squall", "FIFO", "EASY"] {
        assert!(chart.contains(&format!(">{word}</text>")), "{word} is not in the chart");
    }
}

#[test]
fn configurations_and_caps_stand_side_by_side() {
    let desk = desk(FOUR).file("one.toml", TWO_NODES.replace("price = 36", "price = 72"));
    let report = json(&desk, "--config two.toml --config one.toml --max-gpus unlimited,16 --baselines none");
    let names: Vec<&str> =
        report["configurations"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["two unlimited", "two ≤ 16 GPUs", "one unlimited", "one ≤ 16 GPUs"]);
    let cost = |at: usize| report["configurations"][at]["outcomes"][0]["cost_micro_usd"].as_i64().unwrap();
    assert_eq!(cost(3), cost(1) * 2, "everything costs twice as much");
    let waits = |at: usize| report["configurations"][at]["outcomes"][0]["wait"]["max_ms"].as_i64().unwrap();
    assert!(waits(0) < 200_000 && waits(1) > 2_900_000, "without a cap nobody waits but for machines");
    let table = desk.run("squall simulate trace.csv --config two.toml --config one.toml --baselines none").out;
    assert!(table.contains("beside two:\n  one: wait mean"), "{table}");
    assert!(table.contains("(+100.0 %)"), "{table}");
}

#[test]
fn jobs_that_never_fit_are_refused_with_their_reason() {
    let outcome = desk("a,,,0,60,1,8,,,,,\nb,,,0,60,3,8,,,,,\nc,,,0,60,1,9,,,,,\n")
        .run("squall simulate trace.csv --config two.toml");
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    let refused = outcome.out.lines().find(|line| line.trim_start().starts_with("refused")).unwrap();
    assert_eq!(refused.split_whitespace().collect::<Vec<_>>(), ["refused", "2", "2", "2"], "{}", outcome.out);
    assert!(outcome.out.contains("Squall: 1 job refused: the largest node type there has 8 GPUs"), "{}", outcome.out);
}

#[test]
fn a_limit_below_the_run_time_ends_the_job() {
    let report = json(&desk("a,,,0,600,1,8,,,,300,TIMEOUT\nb,,,0,60,1,8,,,,,\n"), "--config two.toml");
    for one in report["configurations"][0]["outcomes"].as_array().unwrap() {
        assert_eq!((&one["ends"]["timed_out"], &one["ends"]["completed"]), (&1.into(), &1.into()), "{one}");
    }
    let assumptions = &report["trace"]["assumptions"];
    assert_eq!(assumptions[0], "1 of 2 jobs: no time limit in the trace; taken: exactly what the job runs for");
}

#[test]
fn what_cannot_be_played_is_said() {
    let broken = [
        ("a,,,0,1,1,1,,,,,\nb,,,x,1,1,1,,,,,\n", "line 3: submit_s \"x\" is no number"),
        ("a,,,0,1,1,1,,,,,\nb,,,1,1,1\n", "line 3: 6 fields instead of 12"),
        ("a,,,9,1,1,1,,,,,\nb,,,1,1,1,1,,,,,\n", "line 3: submit_s 1 is before the line above, 9"),
        ("a,,,0,1e300,1,1,,,,,\n", "line 2: duration_s"),
        ("a,,,0,1,4000000000,1,,,,,\n", "line 2: nodes 4000000000 is above 100000"),
        ("a,,,0,1,1,1,,,,,\nb,,,3e10,1,1,1,,,,,\n", "its jobs are submitted over 948 years; at most 20 are played"),
        ("", "line 1: there is no job"),
    ];
    for (lines, problem) in broken {
        let outcome = desk(lines).run("squall simulate trace.csv");
        assert_eq!(outcome.code, 1);
        assert!(outcome.err.contains(problem), "{} does not say {problem}", outcome.err);
    }
    // Sizes and lengths that no machine has and no scheduler takes are refused job by job.
    let absurd = desk(
        "a,,,0,1e9,1,1,,,,,\nb,,,0,1,100000,1024,,,,,\nc,,,1,60,1,1,100000000,1099511627776,,,\nd,,,2,5,1,1,,,,,\n",
    );
    let report = json(&absurd, "--config two.toml");
    let squall = &report["configurations"][0]["outcomes"][0];
    assert_eq!((&squall["ends"]["refused"], &squall["ends"]["completed"]), (&3.into(), &1.into()), "{squall}");

    let desk = desk(FOUR).file("bad.toml", TWO_NODES.replace("max_nodes = 2", "max_nodes = \"two\""));
    let refused = [
        ("", "one trace is played at a time: squall simulate TRACE"),
        ("missing.csv", "missing.csv: No such file or directory"),
        ("trace.csv --config bad.toml", "bad.toml:6:"),
        ("trace.csv --config missing.toml", "missing.toml: No such file or directory"),
        ("trace.csv --limits factor:0", "--limits=factor:0: expected exact, partition, or factor:N"),
        ("trace.csv --max-gpus 4", "--max-gpus: 4 GPUs are less than one machine has, 8"),
        ("trace.csv --max-gpus many", "--max-gpus: \"many\" is neither"),
        ("trace.csv --baselines lottery", "--baselines: \"lottery\" is none of fifo, easy, sjf, none"),
        ("trace.csv --gpus-only", "--gpus-only needs --max-gpus"),
        ("trace.csv --type p4d.24xlarge", "--type names a type of the catalog: --catalog is missing"),
        ("trace.csv --jsn", "did you mean '--json'?"),
    ];
    for (words, problem) in refused {
        let outcome = desk.run(&format!("squall simulate {words}"));
        assert_eq!((outcome.code, outcome.out.as_str()), (1, ""), "{words}");
        assert!(outcome.err.contains(problem), "{} does not say {problem}", outcome.err);
    }
}

#[test]
fn gpus_alone_are_counted_without_nodes() {
    // 5 and 3 GPUs fit into 8 without nodes, and then a gang of 8 on any of them.
    let report = json(&desk("a,,,0,100,1,5,,,,,\nb,,,0,100,3,1,,,,,\nc,,,1,10,8,1,,,,,\n"), "--gpus-only --max-gpus 8");
    let outcomes = report["configurations"][0]["outcomes"].as_array().unwrap();
    assert_eq!(outcomes.len(), 2, "only baselines");
    assert_eq!((&outcomes[0]["wait"]["max_ms"], &outcomes[0]["ends"]["completed"]), (&99_000.into(), &3.into()));
}

#[test]
fn help_says_what_counts() {
    insta::assert_snapshot!(desk(FOUR).run("squall simulate --help").out);
}
