//! Bytes that nobody meant, at every parser of what people type: none may panic, and none may take long.
//!
//! From seeds, so that a finding is found again. `SQUALL_FUZZ_SECONDS` is how long each target runs; without it, a
//! moment. `SQUALL_FUZZ_SEED` begins elsewhere; `SQUALL_FUZZ_TARGETS` names those that run, comma separated.

use crate::accounts;
use crate::canned::Canned;
use crate::sample;
use crate::transcript::{Desk, NOW};
use jiff::tz::TimeZone;
use nix::time::{ClockId, clock_gettime};
use squall::command::Command;
use squall::moment::{self, Past};
use squall::sacctmgr::flat;
use squall::{options, scrontab, select, terminal};
use squall_types::cron::{CronSpec, Zone};
use squall_types::indices::{ArrayLimits, parse_array};
use squall_types::pattern::{self, PatternValues};
use squall_types::span_text::{TimeLimit, parse_span};
use squall_types::{Constraint, Dependency, JobId, MailEvents, StepId, gres, hostlist, signal, size, spec::SignalSpec};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// How long a target runs unless somebody says otherwise.
const MOMENT: Duration = Duration::from_millis(150);
/// No input takes longer, in time of the processor: what a machine under load does meanwhile is not the parser's fault.
const LONGEST: Duration = Duration::from_secs(5);
/// Nor hangs without using any.
const HANGS: Duration = Duration::from_secs(300);
/// Inputs are at most so many bytes.
const MAX_INPUT: usize = 400;

/// What is fed, what it begins from, and what takes it.
struct Target {
    name: &'static str,
    seeds: &'static [&'static str],
    feed: fn(&str),
}

static TARGETS: &[Target] = &[
    Target {
        name: "time limits",
        seeds: &["30", "2:00:00", "1-12", "1-12:30:15", "UNLIMITED", "-1"],
        feed: |text| {
            let _ = text.parse::<TimeLimit>().map(|limit| limit.whole_minutes().short());
            let _ = parse_span(text);
        },
    },
    Target {
        name: "memory",
        seeds: &["512M", "4GB", "7k", "1.5T", "0"],
        feed: |text| {
            let _ = size::parse_mib(text).map(size::mib);
        },
    },
    Target {
        name: "gres",
        seeds: &["gpu:h100:4", "gpu:2,gpu:a100:1", "gres/gpu=4", "h100:8"],
        feed: |text| {
            let _ = gres::parse_gres(text).map(gres::single);
            let _ = gres::parse_gpus(text).map(gres::single);
        },
    },
    Target {
        name: "hostlists",
        seeds: &["n[1-3,007-009]", "a,b,c[1-2]d[3-4]", "x[1-99999999]"],
        feed: |text| {
            let _ = hostlist::count(text);
            if let Ok(names) = hostlist::parse(text) {
                let folded = hostlist::compress(&names);
                assert_eq!(hostlist::parse(&folded).ok().as_ref(), Some(&names), "{folded}");
            }
        },
    },
    Target {
        name: "arrays",
        seeds: &["0-15", "1,3,5", "0-99:2%4", "1-4294967295"],
        feed: |text| {
            let _ = parse_array(text, ArrayLimits::DEFAULT).map(|array| array.indices.to_string());
        },
    },
    Target {
        name: "dependencies",
        seeds: &["afterok:1:2", "afterany:1,after:2+5", "singleton", "afterok:1?afterok:2"],
        feed: |text| {
            let _ = text.parse::<Dependency>().map(|dependency| dependency.to_string());
        },
    },
    Target {
        name: "signals",
        seeds: &["USR1@60", "B:TERM@120", "SIGKILL", "R:10@5", "9"],
        feed: |text| {
            let _ = text.parse::<SignalSpec>();
            let _ = signal::parse_signal(text);
        },
    },
    Target {
        name: "constraints",
        seeds: &["a&b|c", "[a|b]&c", "a*2&b", "(a&b)|c"],
        feed: |text| {
            let _ = text.parse::<Constraint>().map(|constraint| constraint.alternatives().len());
        },
    },
    Target {
        name: "mail types",
        seeds: &["BEGIN,END", "ALL", "FAIL,REQUEUE", "TIME_LIMIT_80"],
        feed: |text| {
            let _ = text.parse::<MailEvents>().map(|events| events.to_string());
        },
    },
    Target {
        name: "file names",
        seeds: &["out-%j.txt", "%A_%4a-%x-%u", "%%", "%9999999999j", "\\%j"],
        feed: |text| {
            let values = PatternValues {
                job: JobId(7),
                array: Some((JobId(6), 3)),
                step: StepId::BATCH,
                task: 0,
                node_rank: 0,
                node: "n1",
                user: "ann",
                name: text,
            };
            let _ = pattern::expand(text, &values);
        },
    },
    Target {
        name: "moments",
        seeds: &["now+1hour", "2030-01-20T12:34:00", "16:00", "12/25/26-6:30 PM", "tomorrow"],
        feed: |text| {
            let _ = moment::parse(text, NOW, &TimeZone::UTC, Past::Skipped);
            let _ = moment::parse(text, NOW, &TimeZone::UTC, Past::Allowed);
        },
    },
    Target {
        name: "job ids",
        seeds: &["123_4.batch", "123_[0-3,7%2]", "1.0", "7_*"],
        feed: |text| {
            for id in select::split_ids(text) {
                let _ = select::job(id);
            }
            let _ = select::states(text);
        },
    },
    Target {
        name: "options",
        seeds: &["--job-name=a b -n4", "-N 2-4 --gpus-per-node=h100:8 x", "--ex -Hn4"],
        feed: |text| {
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            for command in Command::LINKED {
                if let Err(error) = options::parse(command, &words) {
                    let _ = error.told_by(command).to_string();
                }
            }
        },
    },
    Target {
        name: "scripts",
        seeds: &["#SBATCH -n 4 --mem='4 G'\nsrun x\n", "#SBATCH hetjob\n", "#PBS -l x\n"],
        feed: |text| {
            let desk = Desk::new(Canned::default()).file("job.sh", format!("#!/bin/sh\n{text}"));
            desk.run_words(&["sbatch", "--export=NIL", "job.sh"].map(str::to_owned));
        },
    },
    Target {
        name: "exports",
        seeds: &["ALL,A=1", "NONE", "A,B='x,y'", "NIL"],
        feed: |text| {
            let desk = Desk::new(Canned::default());
            desk.run_words(&["sbatch".into(), format!("--export=SLURM_X,{text}"), "--wrap=true".into()]);
        },
    },
    Target {
        name: "formats",
        seeds: &["%.18i %.9P|%-20j", "%%i", "JobID:8,Name:.10|", "%99999999999j", "jobid%20,state%-9"],
        feed: |text| {
            let desk = Desk::new(Canned { jobs: sample::queue(), accounting: sample::accounts(), ..Canned::default() });
            for words in [
                ["squeue", "-o"],
                ["squeue", "-O"],
                ["squeue", "-S"],
                ["sinfo", "-o"],
                ["sacct", "-o"],
                ["sprio", "-o"],
            ] {
                desk.run_words(&[words[0].to_owned(), words[1].to_owned(), text.to_owned()]);
            }
        },
    },
    Target {
        name: "updates",
        seeds: &["JobId=7 TimeLimit=+10", "job 7 Nice=5", "NodeName=n[1-2] State=drain"],
        feed: |text| {
            let desk = Desk::new(Canned { jobs: sample::queue(), ..Canned::default() });
            let words = ["scontrol", "update"].into_iter().chain(text.split(' ')).map(str::to_owned);
            desk.run_words(&words.collect::<Vec<_>>());
        },
    },
    Target {
        name: "accounts",
        seeds: &["list user ann format=account%256", "show assoc where user=root"],
        feed: |text| {
            let desk = Desk::new(Canned::default());
            let words = std::iter::once("sacctmgr").chain(text.split(' ')).map(str::to_owned);
            desk.run_words(&words.collect::<Vec<_>>());
        },
    },
    Target {
        name: "visits",
        seeds: &[
            "sattach --output-filter=1 1.0",
            "sbcast -s 4k -j 1.0 a b",
            "sstat -o jobid%-4,maxrss 1.batch",
            "strigger --get -n n[1-2]",
        ],
        feed: |text| {
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            // Other commands have targets of their own, and some of them wait for what never comes here.
            if ["sattach", "sbcast", "sstat", "strigger"].contains(&words[0].as_str()) {
                Desk::new(Canned::default()).run_words(&words);
            }
        },
    },
    Target {
        name: "association files",
        seeds: &[
            "Cluster - 'storm':QOS='normal'\nParent - 'root'\nAccount - 'lab':GrpTRES=cpu=4,mem=62.50G:MaxJobs=-1\n",
            "cluster - storm\nProject - \"a b\":Description='x: # y' # z\nParent - lab\nUser - ann:QOS+=high:GrpNodes=4",
            "User - 'ann':Partition='gpu':DefaultAccount='lab':AdminLevel='Operator':Coordinator='lab,root'",
        ],
        feed: |text| {
            let written = flat::write(&flat::read(text).0);
            let (lines, wrong) = flat::read(&written);
            assert!(wrong.is_empty(), "{written}{wrong:?}");
            assert_eq!(flat::write(&lines), written);
            let file = format!("Cluster - storm\n{text}");
            let desk = Desk::new(Canned { accounts: accounts::rows(), ..Canned::default() }).file("file", file);
            for words in ["sacctmgr -i load file", "sacctmgr -i load file cluster=storm clean"] {
                desk.run_words(&words.split(' ').map(str::to_owned).collect::<Vec<_>>());
            }
        },
    },
    Target {
        name: "crontab",
        seeds: &[
            "A=1\n#SCRON -t 5 -J 'a b'\n*/5 1-2,4 * jan mon-fri ./run\n",
            "@daily a \\\n b",
            "59 23 29 2 7 x",
            "CET-1CEST,M3.5.0,M10.5.0/3",
        ],
        feed: |text| {
            let zone: Zone = text.parse().unwrap_or(Zone::UTC);
            let mut at = 0;
            for entry in scrontab::read(text, zone).unwrap_or_default() {
                assert!(at < entry.first_line && entry.first_line <= entry.last_line, "{entry:?}");
                at = entry.last_line;
                let spec = CronSpec { times: entry.times.clone(), zone: "UTC0".to_owned() };
                let first = spec.next(squall_types::Timestamp(1_700_000_000_000));
                let again = first.and_then(|first| spec.next(first));
                assert!(first < again, "{entry:?}");
            }
            for rule in [text.to_owned(), format!("AAA3BBB,{text}")] {
                let spec = CronSpec { times: "30 2 * * *".to_owned(), zone: rule };
                let next = spec.next(squall_types::Timestamp(1_700_000_000_000));
                assert!(next.is_none_or(|next| next.0 > 1_700_000_000_000), "{spec:?}");
            }
        },
    },
    Target {
        name: "terminals",
        seeds: &["a\u{1b}[2Jb", "\u{202e}x", "\0"],
        feed: |text| {
            let shown = terminal::escaped(text);
            assert!(!shown.chars().any(char::is_control), "{shown:?}");
        },
    },
];

/// xorshift: as good as any for choosing what to break.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

/// Pieces that mean something to one parser or another.
const PIECES: [&str; 26] = [
    "-",
    ":",
    ",",
    "%",
    "[",
    "]",
    "@",
    "=",
    "+",
    "*",
    "|",
    "&",
    "_",
    ".",
    "/",
    " ",
    "'",
    "\"",
    "\\",
    "\n",
    "\u{0}",
    "é",
    "\u{202e}",
    "0",
    "4294967296",
    "18446744073709551616",
];

fn broken(target: &Target, dice: &mut Dice) -> String {
    let mut text: Vec<char> = target.seeds[dice.below(target.seeds.len())].chars().collect();
    for _ in 0..=dice.below(6) {
        let at = dice.below(text.len() + 1);
        match dice.below(5) {
            0 => drop(text.drain(at..(at + dice.below(4)).min(text.len()))),
            1 => {
                let piece = PIECES[dice.below(PIECES.len())];
                text.splice(at..at, piece.chars());
            }
            2 => text.insert(at, char::from_u32(dice.below(0x250) as u32).unwrap_or('?')),
            3 => {
                let other: Vec<char> = target.seeds[dice.below(target.seeds.len())].chars().collect();
                text.splice(at..at, other);
            }
            _ => {
                let again: Vec<char> = text[at..].to_vec();
                text.extend(again);
            }
        }
        text.truncate(MAX_INPUT);
    }
    text.into_iter().collect()
}

/// What this thread has had of a processor.
fn busy() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

#[test]
fn no_input_makes_a_parser_panic_or_linger() {
    let given = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let time = given("SQUALL_FUZZ_SECONDS").map_or(MOMENT, Duration::from_secs);
    let seed = given("SQUALL_FUZZ_SEED").unwrap_or(0x5eed_u64);
    let chosen = std::env::var("SQUALL_FUZZ_TARGETS").unwrap_or_default();
    let chosen: Vec<&str> = chosen.split(',').filter(|name| !name.is_empty()).collect();
    for target in TARGETS.iter().filter(|target| chosen.is_empty() || chosen.contains(&target.name)) {
        let mut dice = Dice(seed | 1);
        let until = Instant::now() + time;
        let mut count = 0u64;
        while Instant::now() < until {
            let text = broken(target, &mut dice);
            let (began, busy) = (Instant::now(), busy());
            let outcome = catch_unwind(AssertUnwindSafe(|| (target.feed)(&text)));
            assert!(outcome.is_ok(), "{}: seed {seed}, input {count}: {text:?}", target.name);
            let took = self::busy() - busy;
            assert!(
                took < LONGEST && began.elapsed() < HANGS,
                "{}: seed {seed}, input {count}, {took:?}: {text:?}",
                target.name
            );
            count += 1;
        }
        println!("{:<14} {count} inputs", target.name);
    }
}
