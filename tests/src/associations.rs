//! Files of associations that nobody wrote, loaded one over the other: the controller takes each as a whole, and what is
//! dumped afterwards is what the last one said.

use crate::stage::{Stage, elastic};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;
use std::fmt::Write;

const FILES: u64 = 40;
const ACCOUNTS: [&str; 7] = ["astro", "bio", "chem", "data", "earth", "fluid", "geo"];
/// Settings of an account or an association.
const LIMITS: [&str; 8] = [
    "MaxJobs=4",
    "MaxSubmitJobs=-1",
    "GrpTRES=cpu=64,gres/gpu=8",
    "GrpNodes=3",
    "MaxWallDurationPerJob=90",
    "Fairshare=7",
    "QOS='+fast'",
    "DefaultQOS='fast':QOS='normal,fast'",
];

/// People whom this machine knows, and who are not told apart by the configuration.
fn people() -> Vec<String> {
    let text = std::fs::read_to_string("/etc/passwd").expect("this machine has users");
    let names = text.lines().filter_map(|line| line.split(':').next()).filter(|name| *name != "root");
    names.filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric())).take(6).map(str::to_owned).collect()
}

/// What a file says, as far as it is compared: accounts with their parents, and users with accounts and partitions.
type Said = BTreeSet<(String, String, String)>;

/// A file, and what it says.
fn file(seed: u64, people: &[String]) -> (String, Said) {
    let random = &mut ChaCha8Rng::seed_from_u64(seed);
    let limits = |random: &mut ChaCha8Rng| -> String {
        LIMITS.iter().filter(|_| random.random_bool(0.2)).map(|limit| format!(":{limit}")).collect()
    };
    let (mut text, mut said) = (format!("Cluster - 'stage'{}\n", limits(random)), Said::new());
    let mut names: Vec<&str> = ACCOUNTS.to_vec();
    names.sort_by_key(|_| random.random::<u32>());
    names.truncate(random.random_range(0..=ACCOUNTS.len()));
    let mut above = vec!["root"];
    for name in &names {
        let parent = above[random.random_range(0..above.len())];
        // Writing into a string cannot fail.
        let _ = writeln!(text, "Parent - '{parent}'\nAccount - '{name}'{}", limits(random));
        said.insert(((*name).to_owned(), parent.to_owned(), String::new()));
        above.push(name);
    }
    let chosen: Vec<&String> = people.iter().filter(|_| random.random_bool(0.7)).collect();
    for user in chosen {
        let within: Vec<&str> = above.iter().copied().filter(|_| random.random_bool(0.4)).collect();
        let Some(default) = within.first() else { continue };
        let mut own = format!(":DefaultAccount='{default}'");
        if random.random_bool(0.3) {
            own.push_str(":AdminLevel='Operator'");
        }
        if random.random_bool(0.3) {
            own.push_str(&format!(":Coordinator='{}'", above[random.random_range(0..above.len())]));
        }
        for account in &within {
            let places: &[&str] = [&["", "cloud"][..], &[""], &["cloud"]][random.random_range(0..3)];
            for partition in places {
                let place = if partition.is_empty() { String::new() } else { format!(":Partition='{partition}'") };
                let _ = writeln!(text, "Parent - '{account}'\nUser - '{user}'{place}{own}{}", limits(random));
                said.insert((user.clone(), (*account).to_owned(), (*partition).to_owned()));
            }
        }
    }
    (text, said)
}

/// What a dump says.
fn said(text: &str) -> Said {
    let (mut parent, mut said) = ("", Said::new());
    for line in text.lines() {
        let Some((title, rest)) = line.split_once(" - '") else { continue };
        let (name, settings) = rest.split_once('\'').expect("a name in quotes");
        match title {
            "Parent" => parent = name,
            "Account" | "User" => {
                let place = settings.strip_prefix(":Partition='").and_then(|rest| rest.split('\'').next());
                said.insert((name.to_owned(), parent.to_owned(), place.unwrap_or_default().to_owned()));
            }
            _ => {}
        }
    }
    said
}

#[test]
fn any_file_is_loaded_over_any_other_and_dumped_as_it_was() {
    let stage = Stage::set(|dir| elastic(dir, 1).replace("cluster = ", "default_account = \"root\"\ncluster = "));
    stage.up();
    stage.call(&["sacctmgr", "-i", "-Q", "add", "qos", "fast"]);
    let people = people();
    for seed in 0..FILES {
        let (text, wanted) = file(seed, &people);
        stage.script("file", &text);
        let loaded = stage.call(&["sacctmgr", "-i", "load", "file", "clean"]);
        assert_eq!((loaded.code, loaded.err.as_str()), (Some(0), ""), "seed {seed}:\n{text}\n{}", loaded.out);
        stage.call(&["sacctmgr", "dump", "stage", "file=dump"]).good();
        let dumped = stage.read("dump");
        assert_eq!(said(&dumped), wanted, "seed {seed}:\n{text}\n{dumped}");
        for words in [&["load", "file", "clean"][..], &["load", "dump", "clean"], &["load", "dump"]] {
            let again = stage.call(&[&["sacctmgr", "-i"], words].concat()).good();
            assert_eq!(again, "For cluster stage\n Nothing new added.\n", "seed {seed}:\n{text}\n{dumped}");
        }
        // Over what is there, with nothing taken away.
        let (more, others) = file(seed + FILES, &people);
        stage.script("more", &more);
        let loaded = stage.call(&["sacctmgr", "-i", "load", "more"]);
        assert_eq!((loaded.code, loaded.err.as_str()), (Some(0), ""), "seed {seed}:\n{dumped}\n{more}\n{}", loaded.out);
        stage.call(&["sacctmgr", "dump", "stage", "file=dump"]).good();
        let members = |said: &Said| -> Said {
            let is_account = |name: &String| ACCOUNTS.contains(&name.as_str());
            said.iter().filter(|(name, ..)| !is_account(name)).cloned().collect()
        };
        let all: Said = members(&wanted).union(&members(&others)).cloned().collect();
        assert_eq!(members(&said(&stage.read("dump"))), all, "seed {seed}:\n{dumped}\n{more}");
    }
    stage.ends_empty();
}
