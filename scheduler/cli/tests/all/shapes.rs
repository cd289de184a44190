//! Every version of the JSON shape, against `shapes.txt`: each member is there with its type, and no other but our own.

use crate::canned::Canned;
use crate::sample::*;
use crate::transcript::Desk;
use serde_json::{Value, json};
use squall_types::api::*;
use squall_types::*;
use std::collections::{BTreeMap, BTreeSet};

const VERSIONS: [u32; 5] = [39, 40, 41, 42, 43];

/// Members by section: path, type, first and last version.
struct Shapes(BTreeMap<&'static str, Vec<(&'static str, &'static str, u32, u32)>>);

impl Shapes {
    fn read() -> Shapes {
        let mut sections: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut section = "";
        let lines = include_str!("shapes.txt").lines();
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                section = name;
                continue;
            }
            let words: Vec<&str> = line.split(' ').collect();
            let (first, last) = words.get(2).map_or(("", ""), |range| range.split_once('-').expect("a range"));
            let number = |text: &str, none| if text.is_empty() { none } else { text.parse().expect("a version") };
            let member = (words[0], words[1], number(first, 0), number(last, u32::MAX));
            match (section, words[0].split_once('.')) {
                ("squall", Some((of, path))) => {
                    sections.entry(of).or_default().push((path, member.1, member.2, member.3))
                }
                _ => sections.entry(section).or_default().push(member),
            }
        }
        Shapes(sections)
    }
}

/// Compares one answer.
struct Check<'a> {
    shapes: &'a Shapes,
    version: u32,
    complex: bool,
    /// Sections of which there was a record.
    seen: BTreeSet<&'static str>,
    faults: Vec<String>,
}

impl Check<'_> {
    fn record(&mut self, section: &'static str, value: &Value, at: &str) {
        self.seen.insert(section);
        let all = &self.shapes.0[section];
        let here = all.iter().filter(|(_, _, first, last)| (*first..=*last).contains(&self.version));
        let mut missing: BTreeMap<&'static str, &'static str> = here.map(|(path, kind, ..)| (*path, *kind)).collect();
        self.members(&mut missing, value, "", at);
        missing.retain(|_, kind| !kind.ends_with('~'));
        self.faults.extend(missing.keys().map(|path| format!("{at}.{path} is missing")));
    }

    fn members(&mut self, known: &mut BTreeMap<&'static str, &'static str>, value: &Value, prefix: &str, at: &str) {
        let Some(object) = value.as_object() else {
            return self.faults.push(format!("{at}.{prefix} is no object: {value}"));
        };
        for (name, value) in object {
            let path = format!("{prefix}{name}");
            match known.remove(path.as_str()) {
                Some(kind) => self.value(kind, value, &format!("{at}.{path}")),
                None if known.keys().any(|other| other.starts_with(&format!("{path}."))) => {
                    self.members(known, value, &format!("{path}."), at);
                }
                None => self.faults.push(format!("{at}.{path} is not in the shape")),
            }
        }
    }

    fn value(&mut self, kind: &'static str, value: &Value, at: &str) {
        let texts = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
        let right = match kind {
            "text" => value.is_string(),
            "bool" => value.is_boolean(),
            "int" => value.is_i64() || value.is_u64(),
            "fraction" => value.is_f64(),
            "perhaps" => value.is_null() || value.is_u64(),
            "number" if self.complex => value.is_i64() || value == "Infinity",
            "decimal" if self.complex => value.is_f64(),
            "number" => amount(value).is_some_and(Value::is_i64),
            "decimal" => amount(value).is_some_and(Value::is_f64),
            "words" => texts(value),
            "list" => value.as_array().is_some_and(Vec::is_empty),
            "empty" => value.as_object().is_some_and(serde_json::Map::is_empty),
            other => return self.part(other, value, at),
        };
        let none = self.complex && value.is_null() && !matches!(kind, "bool" | "int");
        if !right && !none {
            self.faults.push(format!("{at} is not {kind}: {value}"));
        }
    }

    fn part(&mut self, kind: &'static str, value: &Value, at: &str) {
        let name = kind.strip_prefix('@').unwrap_or_else(|| panic!("{kind} is no type"));
        if let Some(name) = name.strip_suffix("[]") {
            let Some(list) = value.as_array() else { return self.faults.push(format!("{at} is no list: {value}")) };
            return list.iter().for_each(|value| self.record(name, value, at));
        }
        let none = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
        if !(none && name.ends_with('?')) {
            self.record(name.trim_end_matches(['?', '~']), value, at);
        }
    }
}

fn amount(value: &Value) -> Option<&Value> {
    let object = value.as_object().filter(|object| object.len() == 3)?;
    (object["set"].is_boolean() && object["infinite"].is_boolean()).then(|| &object["number"])
}

/// With what was asked for left as it is where nothing is said.
fn plain(view: JobView) -> JobDetail {
    JobDetail { spec: JobSpec::default(), ..detail(view) }
}

/// A cluster with a job of every kind, so that every part of a record is somewhere.
fn desk() -> Desk {
    let (partitions, nodes) = machines();
    let killed = ended(12, "killed", EndState::Cancelled, Reason::None, (0, 9));
    let mut jobs = queue();
    jobs.push(killed.clone());
    let steps =
        vec![step(StepId::BATCH, "batch", Some(EndState::Completed), (0, 0)), step(StepId(0), "", None, (0, 0))];
    let keyed = |job: AccountedJob| AccountedJob { wckey: "key".to_owned(), ..job };
    Desk::new(Canned {
        accounting: vec![keyed(accounted(&queue()[0], steps)), accounted(&killed, Vec::new())],
        details: jobs.iter().cloned().map(plain).collect(),
        jobs,
        partitions,
        nodes,
        ..Canned::default()
    })
}

const COMMANDS: [(&str, &str); 10] = [
    ("squeue", "squeue -t all --json"),
    ("squeue", "scontrol show jobs --json"),
    ("nodes", "scontrol show nodes --json"),
    ("partitions", "scontrol show partitions --json"),
    ("sinfo", "sinfo --json"),
    ("steps", "squeue --steps --json"),
    ("steps", "scontrol show steps --json"),
    ("licenses", "scontrol show lic --json"),
    ("reservations", "scontrol show reservations --json"),
    ("sacct", "sacct -a -S 2020-01-01 --json"),
];

#[test]
fn every_version_has_its_members_and_no_others_but_our_own() {
    let (shapes, desk) = (Shapes::read(), desk());
    let mut seen = BTreeSet::new();
    for version in VERSIONS {
        for complex in [false, true] {
            if version == 39 && complex {
                continue;
            }
            for (section, command) in COMMANDS {
                let flag = if complex { "+complex" } else { "" };
                let line = format!("{command}=v0.0.{version}{flag}");
                let answer: Value = serde_json::from_str(&desk.run(&line).out).expect("JSON");
                let mut check = Check { shapes: &shapes, version, complex, seen: BTreeSet::new(), faults: Vec::new() };
                check.record(section, &answer, section);
                assert!(check.faults.is_empty(), "{line}:\n{}", check.faults.join("\n"));
                seen.append(&mut check.seen);
            }
        }
    }
    let unseen: Vec<_> = shapes.0.keys().filter(|section| !seen.contains(*section)).collect();
    assert!(unseen.is_empty(), "no record has {unseen:?}");
}

/// The same member of one record in every version.
fn in_all(line: &str, member: &str) -> Vec<Value> {
    let desk = desk();
    let flags = VERSIONS.map(|version| format!("v0.0.{version}"));
    let written = flags.iter().map(|version| {
        let answer: Value = serde_json::from_str(&desk.run(&format!("{line} --json={version}")).out).expect("JSON");
        answer.pointer(member).cloned().unwrap_or_else(|| "missing".into())
    });
    written.collect()
}

#[test]
fn states_and_ends_are_written_as_each_version_has_them() {
    let exit = |code: u64, signal: Value, name: &str, status: &str, set: bool| {
        json!({
            "status": [status],
            "return_code": { "set": set, "infinite": false, "number": code },
            "signal": { "id": signal, "name": name },
        })
    };
    let number = |set: bool, number: u64| json!({ "set": set, "infinite": false, "number": number });
    let later = |first: Value, then: Value| vec![first, then.clone(), then.clone(), then.clone(), then];
    let failed = exit(3, number(false, 0), "", "ERROR", true);
    let killed = exit(0, number(true, 9), "KILL", "SIGNALED", false);
    assert_eq!(in_all("squeue -j 2 -t all", "/jobs/0/job_state"), later(json!("FAILED"), json!(["FAILED"])));
    assert_eq!(in_all("squeue -j 2 -t all", "/jobs/0/exit_code"), later(number(true, 3 << 8), failed));
    assert_eq!(in_all("squeue -j 12 -t all", "/jobs/0/exit_code"), later(number(true, 9), killed.clone()));
    let before = json!({ "status": "SIGNALED", "return_code": -127, "signal": { "signal_id": 9, "name": "KILL" } });
    assert_eq!(in_all("sacct -j 12", "/jobs/0/exit_code"), later(before, killed));
    assert_eq!(in_all("sacct -j 12", "/jobs/0/state/current"), later(json!("CANCELLED"), json!(["CANCELLED"])));
}

#[test]
fn the_long_form_of_numbers_is_left_out_where_complex_values_are_asked_for() {
    let answer = desk().run("squeue -j 1 --json=v0.0.40+complex").out;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let job = &answer["jobs"][0];
    assert_eq!(job["time_limit"], json!(1560));
    assert_eq!((&job["tasks_per_core"], &job["cores_per_socket"]), (&json!("Infinity"), &Value::Null));
    assert_eq!((&job["comment"], &job["admin_comment"]), (&json!("hello world"), &Value::Null));
}

#[test]
fn accounting_holds_nothing_that_nobody_held() {
    let members = ["hold", "priority/set", "nodes"].map(|member| in_all("sacct -j 7", &format!("/jobs/0/{member}")));
    assert_eq!(members.map(|values| values[2].clone()), [json!(false), json!(false), json!("None assigned")]);
}

#[test]
fn what_a_running_job_holds_is_named_by_node() {
    let held = in_all("squeue -j 1", "/jobs/0/job_resources");
    assert_eq!(held[1]["allocated_nodes"][0]["nodename"], "n1");
    let node = json!({
        "index": 0, "name": "n1", "cpus": { "count": 4, "used": 0 },
        "memory": { "used": 0, "allocated": 2048 }, "sockets": [],
    });
    assert_eq!(held[2]["nodes"]["allocation"], json!([node]));
    let gpus = in_all("squeue -j 1", "/jobs/0/gres_detail");
    assert_eq!(gpus[0], json!(["gpu:h100:2(IDX:0-1)"]));
    let waits = in_all("squeue -j 5", "/jobs/0/job_resources");
    assert_eq!(waits, [json!({}), json!({}), Value::Null, Value::Null, Value::Null]);
}

#[test]
fn files_are_told_with_and_without_their_patterns() {
    let path = |name: &str| vec![json!(format!("/home/ann/{name}")); 4];
    let then = |mut all: Vec<Value>, last: &str| {
        all.push(json!(last));
        all
    };
    let (out, pattern) = (in_all("squeue -j 1", "/jobs/0/standard_output"), "/home/ann/slurm-%j.out");
    assert_eq!(out, then(path("slurm-1.out"), pattern));
    let expanded = in_all("squeue -j 8", "/jobs/0/stdout_expanded");
    assert_eq!(expanded, then(vec![json!("missing"); 4], "/home/ann/slurm-3_0.out"));
    let accounted = |member: &str| in_all("sacct -j 12", &format!("/jobs/0/{member}"))[1..3].to_vec();
    assert_eq!(accounted("stdout"), [json!("missing"), json!("/home/ann/logs/%x-%j.out")]);
    assert_eq!(accounted("stderr_expanded"), [json!("missing"), json!("/home/ann/logs/killed-12.out")]);
    assert_eq!(accounted("stdin_expanded"), [json!("missing"), json!("/dev/null")]);
}
