//! `squall explain CODE`: every code that messages end with, in more words than a message has room for.

use super::wrong_call;
use crate::failure::{Advice, Failure};
use crate::invocation::Invocation;
use crate::terminal::escaped;

/// A code, what it is about, and what to do.
struct Entry {
    code: &'static str,
    title: &'static str,
    text: &'static str,
}

const fn entry(code: &'static str, title: &'static str, text: &'static str) -> Entry {
    Entry { code, title, text }
}

pub fn run(invocation: &mut Invocation<'_>, words: &[String]) -> Result<i32, Failure> {
    let [code] = words else { return Err(wrong_call("explain")) };
    let wanted = code.to_ascii_uppercase();
    let wanted = if wanted.starts_with("SQ") { wanted } else { format!("SQ{wanted}") };
    let found = ENTRIES.iter().find(|entry| entry.code == wanted).ok_or_else(|| {
        Failure::error("squall", format_args!("there is no code '{}'", escaped(code))).advising(Advice {
            try_this: "squall explain SQ0001, as the last line of a message has it".to_owned(),
            ..Advice::default()
        })
    })?;
    writeln!(invocation.out, "{}  {}\n\n{}", found.code, found.title, found.text)?;
    Ok(0)
}

/// In the order of their numbers: 0 commands, 1 jobs, 2 rights, 3 nodes, 4 joining, 5 inside the controller,
/// 6 configuration.
static ENTRIES: &[Entry] = &[
    entry(
        "SQ0001",
        "An option's value means nothing",
        "The command did not ask the controller anything: the value of an option cannot be read, or is out of its range.\n\
         The message names the option, what it takes, and a value that would be read.",
    ),
    entry(
        "SQ0002",
        "An option or command is not supported",
        "Slurm has it, and running on as if it had not been given would do something else than was asked. Options that\n\
         only give hints are accepted without effect instead. `squall compat` lists what becomes of each option.",
    ),
    entry(
        "SQ0004",
        "A request for GPUs or other generic resources",
        "The only generic resource is \"gpu\", with a model or without. Several options about GPUs must all hold together:\n\
         --gpus is over all nodes, --gres and --gpus-per-node are for each node, --gpus-per-task for each task. What is\n\
         asked for each GPU (--cpus-per-gpu, --mem-per-gpu) needs one of them.",
    ),
    entry(
        "SQ0005",
        "An array's indices",
        "Numbers and ranges with commas between, a step after a colon, and after % how many may run at once:\n\
         --array=0-15, --array=1,3,5, --array=0-30:2%4. Indices are below MaxArraySize (scontrol show config).",
    ),
    entry(
        "SQ0006",
        "A dependency",
        "TYPE:JOB[:JOB...] with commas (all must hold) or question marks (one is enough) between. Types are after, afterany,\n\
         afterok, afternotok, aftercorr, afterburstbuffer; singleton stands alone.",
    ),
    entry(
        "SQ0007",
        "A constraint",
        "Names of features with & (both), | (either), parentheses, [a|b] (the same one on all nodes) and name*count (so many\n\
         nodes of each). `sinfo -o '%P %f'` lists the features that nodes have or could have.",
    ),
    entry(
        "SQ0008",
        "A list of nodes",
        "Names with commas between; numbers in brackets stand for many: n[1-4,7],login. `scontrol show hostnames LIST` shows\n\
         what a list means.",
    ),
    entry(
        "SQ0009",
        "The environment is too large",
        "A job begins with the environment of the command that submits it, up to a limit. --export=NAME,... passes on what\n\
         the job needs and nothing else.",
    ),
    entry(
        "SQ0010",
        "The script is too large",
        "A script is kept with its job, up to a limit. Data belongs in files beside it.",
    ),
    entry(
        "SQ0011",
        "The script begins with a byte order mark",
        "Some editors write three invisible bytes before the first line. The kernel then does not find the #! and would run\n\
         the script with another interpreter, or not at all.",
    ),
    entry("SQ0012", "The script has a NUL byte", "Shells end a line there. The file is probably no script, or UTF-16."),
    entry(
        "SQ0013",
        "The script has DOS line breaks",
        "The interpreter's name would end with an invisible character, and so would the last word of every line.",
    ),
    entry(
        "SQ0014",
        "Directives of another batch system",
        "The script has #PBS or #BSUB lines and no #SBATCH lines, so that everything it asks for would be left out. Write the\n\
         same as #SBATCH lines, or say --ignore-pbs if defaults are what you want.",
    ),
    entry(
        "SQ0015",
        "A field of accounting",
        "`sacct --helpformat` lists all fields. Case does not count; %20 or %-20 behind one is its width.",
    ),
    entry(
        "SQ0016",
        "A command's name is taken",
        "Another program stands where the link would be. Put the links into a folder of their own, and that folder before\n\
         the other in PATH.",
    ),
    entry(
        "SQ0018",
        "The crontab cannot be read",
        "Nothing has changed. An entry is five fields of times, or a word like @daily, and a command on one line; #SCRON \
         lines before it are options of sbatch, but none that say when it begins.",
    ),
    entry(
        "SQ1001",
        "The job is not known",
        "No job has this number, or it ended longer ago than ended jobs are kept at hand (MinJobAge). `sacct -j JOB` knows\n\
         ended jobs for as long as accounting keeps them.",
    ),
    entry(
        "SQ1003",
        "The submission cannot be kept",
        "The message could not be stored as it is. This is a mistake of the client: please report it.",
    ),
    entry(
        "SQ1010",
        "The operation is not possible for this job",
        "Only batch jobs that may be requeued can be; --no-requeue forbids it.",
    ),
    entry("SQ1011", "The job is over", "An ended job changes no more and never runs again. Submit it anew."),
    entry("SQ1012", "The job no longer waits", "What decides where a job runs can be changed only while it waits."),
    entry("SQ1013", "The job has not started", "Only a job that runs can be run again; this one will run in any case."),
    entry(
        "SQ1014",
        "The job is suspended",
        "Its processes hear no signal before it is resumed. scancel without a signal ends it all the same; scontrol resume is for admins.",
    ),
    entry("SQ1015", "The job is not suspended", "Only what is suspended can be resumed; this one runs."),
    entry(
        "SQ1016",
        "The job belongs to a crontab",
        "It would come back. scancel --cron cancels it and makes its line in the crontab a comment; scrontab -e edits it.",
    ),
    entry("SQ1017", "The job belongs to a crontab", "Its crontab says what it is: change it there, with scrontab -e."),
    entry("SQ1018", "The user is not known", "The controller's machine has to know a user whose jobs it is to run."),
    entry(
        "SQ1019",
        "Not for one component alone",
        "Components of a heterogeneous job start together or not at all. Before they run, and to run them again, name the whole by the id of the first.",
    ),
    entry("SQ1020", "No step can start", "A step needs a running job, and a node of that job that it may use."),
    entry(
        "SQ1021",
        "The step asks for more nodes than the job has",
        "A step runs inside its job: ask for as many nodes as the job has, or for a larger job.",
    ),
    entry("SQ1022", "The step has too many tasks", "There is a limit on the tasks of one step. Start several steps."),
    entry("SQ1023", "The step waits", "No step starts in a suspended job. srun waits until an admin has resumed it."),
    entry(
        "SQ1030",
        "No more jobs are taken now",
        "The cluster holds as many jobs as it may, or its disk is nearly full. Jobs that are there go on. An array counts once.",
    ),
    entry(
        "SQ1031",
        "A text is too long",
        "Names, paths, comments and arguments have limits; the message says which and by how much.",
    ),
    entry("SQ1032", "A text has a NUL byte", "Names, paths and arguments of programs end at NUL."),
    entry("SQ1033", "A batch job without a script", "Give sbatch a file, a script on standard input, or --wrap."),
    entry(
        "SQ1034",
        "The request contradicts itself",
        "Two parts of the request cannot both hold. The message names them.",
    ),
    entry(
        "SQ1035",
        "There is no such reservation",
        "A job that names a reservation runs inside it or not at all, and this cluster has none of that name.",
    ),
    entry(
        "SQ1036",
        "There is no such license",
        "A job that needs a license waits until one is free, and this cluster has none of that name.",
    ),
    entry(
        "SQ1040",
        "The account is not known",
        "Whoever is in an account submits under one of hers: `sacctmgr show associations user=NAME` lists them, and\n\
         `sacctmgr add user NAME account=ACCOUNT` is how an admin or a coordinator adds one. Whoever is in none submits\n\
         under the default account, where the configuration does not ask for more (enforce).",
    ),
    entry(
        "SQ1041",
        "No partition",
        "No partition was named and none is the default. `sinfo` lists them; -p chooses one.",
    ),
    entry("SQ1042", "The partition is not known", "`sinfo -o %R` lists the partitions that there are."),
    entry(
        "SQ1043",
        "The account may not use the partition",
        "A partition can be for some accounts alone: `scontrol show partition NAME`, AllowAccounts.",
    ),
    entry(
        "SQ1044",
        "The quality of service is not yours",
        "`sacctmgr show qos` lists what there is, `sacctmgr show associations user=NAME format=account,qos` what you may\n\
         use. An admin gives more: sacctmgr modify user NAME set qos+=QOS.",
    ),
    entry(
        "SQ1045",
        "Your group may not use the partition",
        "A partition can be for some groups alone: `scontrol show partition NAME`, AllowGroups. `id` lists yours; the\n\
         controller's machine has to know of them.",
    ),
    entry(
        "SQ1046",
        "The partition does not take the quality of service",
        "`scontrol show partition NAME`, AllowQos and DenyQos, says which it takes.",
    ),
    entry(
        "SQ1050",
        "The time limit exceeds the partition's",
        "`sinfo -o '%P %l'` lists the longest time of each partition. Ask for less, or for a partition that allows more.",
    ),
    entry(
        "SQ1060",
        "The array is too large",
        "Indices are below MaxArraySize: `scontrol show config`. Split it, or let each element do more.",
    ),
    entry(
        "SQ1061",
        "The dependency cannot be",
        "A job can depend on jobs that are known, on not too many of them, and not on itself.",
    ),
    entry(
        "SQ1070",
        "The job could never run",
        "No node that exists or could be bought is large enough, has the features, or costs as little as was asked. The message\n\
         names the number that refuses it and a request that would work. `sinfo -o '%P %c %m %G %f'` lists what there is.",
    ),
    entry(
        "SQ1080",
        "A limit of an account or a quality of service",
        "The job alone exceeds what the message names, so that it would wait for ever; or there are as many jobs as may be\n\
         submitted. `sacctmgr show associations` and `sacctmgr show qos` list all limits. A job that only has to wait for\n\
         others is taken, and `squall why JOB` says for what.",
    ),
    entry(
        "SQ1090",
        "The query means nothing",
        "A condition or page of the query cannot be read. This is a mistake of the client: please report it.",
    ),
    entry(
        "SQ1091",
        "A setting of accounts means nothing",
        "`man sacctmgr` lists what can be set of accounts, users and qualities of service. What Slurm has and is not kept\n\
         here is refused: a limit that is taken and not kept would be a lie.",
    ),
    entry(
        "SQ1092",
        "Jobs stand on it",
        "An account, a user or a quality of service goes when none of its jobs waits or runs: scancel, or wait.",
    ),
    entry(
        "SQ1093",
        "Accounts cannot be changed so",
        "The message says what is there already, what is missing, or what would stand below itself. Of several changes in\n\
         one command nothing was made.",
    ),
    entry(
        "SQ1095",
        "The site's submit hook refuses the job",
        "A program of this site looks at every submission. The first line of the message is its own.",
    ),
    entry(
        "SQ1096",
        "The site's submit hook failed",
        "It gave no answer that can be read, in the time that it has. An admin finds the reason in the controller's log;\n\
         submit_hook.on_failure = \"accept\" lets jobs pass without it.",
    ),
    entry(
        "SQ2001",
        "Not your job",
        "Only its owner, root on the controller's host, and configured admins may change or see into a job.",
    ),
    entry(
        "SQ2002",
        "For admins",
        "Root on the controller's host and the users under admins in the configuration may do this.",
    ),
    entry("SQ2003", "Not your node", "An agent speaks for its own node alone."),
    entry(
        "SQ2004",
        "Not from there",
        "This kind of caller may not ask this. Users ask over the controller's socket or with their own certificate.",
    ),
    entry(
        "SQ2005",
        "Not with this token",
        "Tokens are made, listed and revoked by the user whom they stand for, on a host of the cluster and outside of jobs. \
         An admin may list and revoke those of others. A token ends by itself, and there is a limit to how many one has.",
    ),
    entry(
        "SQ2006",
        "For those who look after the accounts",
        "Admins and users with an AdminLevel change everything about accounts; a coordinator changes what stands below the\n\
         account that was entrusted to her: `sacctmgr show account withcoord`. A job changes nothing of it.",
    ),
    entry(
        "SQ3001",
        "The node is not known",
        "`sinfo -N` lists the nodes that there are. Nodes that are gone are kept in the ledger, not here.",
    ),
    entry(
        "SQ3002",
        "The node cannot be brought into this state",
        "A machine of one's own is not given back, and what is on its way out stays so. Drain it instead.",
    ),
    entry(
        "SQ3003",
        "The machine is not configured",
        "Machines of one's own and login hosts join only under names that the configuration has.",
    ),
    entry(
        "SQ4001",
        "The node may not join",
        "Its secret is wrong, used up or too old, or the order that it belongs to is over. The controller's log names it.",
    ),
    entry(
        "SQ5001",
        "The plan was out of date",
        "Inside the controller, a placement had been overtaken. It is planned again at once; nothing has to be done.",
    ),
    entry(
        "SQ5002",
        "The plan was out of date",
        "Inside the controller, a node had changed in between. It is planned again at once; nothing has to be done.",
    ),
    entry(
        "SQ5003",
        "The plan was out of date",
        "Inside the controller, a purchase had been overtaken. It is planned again at once; nothing has to be done.",
    ),
    entry(
        "SQ5004",
        "A limit of accounts came between",
        "Inside the controller: between a plan and its step a limit was reached or changed. The plan is made again.",
    ),
    entry(
        "SQ5005",
        "Only some components would have been placed",
        "Inside the controller: a step of a plan did not name all components of a heterogeneous job. The plan is made again.",
    ),
    entry(
        "SQ5010",
        "The controller is busy",
        "More is asked than it takes in at once. The same request may be repeated after a moment; a submission is repeated by itself.",
    ),
    entry(
        "SQ5011",
        "The controller is stopping",
        "It takes nothing new. Running jobs go on; ask again when it is back.",
    ),
    entry(
        "SQ6001",
        "The configuration has mistakes",
        "Nothing of it was taken over: the old one holds. `squall config check FILE` lists the mistakes with their lines.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    #[test]
    fn codes_are_in_order_and_explained_once() {
        let codes: Vec<&str> = ENTRIES.iter().map(|entry| entry.code).collect();
        let mut sorted = codes.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(codes, sorted);
        assert!(ENTRIES.iter().all(|entry| entry.text.ends_with('.') && !entry.title.ends_with('.')));
    }

    #[test]
    fn every_code_that_is_told_is_explained() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut told = BTreeSet::new();
        for folder in ["src", "../core/src", "../engine/src", "../controller/src"] {
            collect(&here.join(folder), &mut told);
        }
        let known: BTreeSet<String> = ENTRIES.iter().map(|entry| entry.code.to_owned()).collect();
        let unexplained: Vec<&String> = told.difference(&known).collect();
        assert!(unexplained.is_empty(), "add to scheduler/cli/src/squall/explain.rs: {unexplained:?}");
    }

    /// Every `"SQ…"` in the sources but those of tests and of this file.
    fn collect(folder: &Path, told: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).expect("a folder of sources").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                collect(&path, told);
            } else if name.ends_with(".rs") && !name.contains("tests") && name != "explain.rs" {
                let text = fs::read_to_string(&path).expect("a source");
                let codes = text.match_indices("\"SQ").filter_map(|(at, _)| text.get(at + 1..at + 7));
                told.extend(
                    codes.filter(|code| code[2..].bytes().all(|byte| byte.is_ascii_digit())).map(str::to_owned),
                );
            }
        }
    }
}
