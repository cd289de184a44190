//! The environment that a job begins with: what `--export` lets through, and what says where it came from.

use crate::failure::{Advice, Failure};
use crate::invocation::Invocation;
use crate::options::Given;
use crate::terminal::{self, escaped};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// The largest environment of a job.
pub const MAX_ENVIRONMENT: usize = 4 * 1024 * 1024;

/// Printed before the environment of a login shell, so that what its start-up files print is not taken for it.
const MARK: &[u8] = b"\0SQUALL-ENVIRONMENT\0";

/// How long a login shell may take to start.
const SHELL_TIMEOUT: Duration = Duration::from_secs(10);

/// What a job has that gets nothing from where it was submitted.
const BARE_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables that describe the job in which the command runs. In the next job they would be lies, and a task number
/// in a job without array makes programs believe that there is one.
const OF_THE_OUTER_JOB: [&str; 28] = [
    "SLURMD_NODENAME",
    "SLURM_CPUS_ON_NODE",
    "SLURM_CPUS_PER_TASK",
    "SLURM_DISTRIBUTION",
    "SLURM_GPUS",
    "SLURM_GPUS_ON_NODE",
    "SLURM_GPUS_PER_NODE",
    "SLURM_GPUS_PER_TASK",
    "SLURM_GTIDS",
    "SLURM_JOBID",
    "SLURM_LOCALID",
    "SLURM_MEM_PER_CPU",
    "SLURM_MEM_PER_GPU",
    "SLURM_MEM_PER_NODE",
    "SLURM_NNODES",
    "SLURM_NODEID",
    "SLURM_NODELIST",
    "SLURM_NPROCS",
    "SLURM_NTASKS",
    "SLURM_NTASKS_PER_NODE",
    "SLURM_OPEN_MODE",
    "SLURM_PROCID",
    "SLURM_RESTART_COUNT",
    "SLURM_SUBMIT_DIR",
    "SLURM_SUBMIT_HOST",
    "SLURM_TASKS_PER_NODE",
    "SLURM_TASK_PID",
    "SLURM_UMASK",
];
const PREFIXES_OF_THE_OUTER_JOB: [&str; 3] = ["SLURM_ARRAY_", "SLURM_STEP", "SLURM_JOB_"];

type Text<'a> = Cow<'a, [u8]>;
type Variables<'a> = BTreeMap<Text<'a>, Text<'a>>;

/// The environment of the job as `NAME=value` strings, each ended by NUL.
///
/// # Errors
/// A name that no variable can have, a file that cannot be read, or too much in all.
pub fn exported(invocation: &Invocation<'_>, given: &Given) -> Result<Vec<u8>, Failure> {
    let mut variables = chosen(invocation, given)?;
    let caller = &invocation.caller;
    let mut set = |name: &'static str, value| variables.insert(Cow::Borrowed(name.as_bytes()), value);
    set("SLURM_SUBMIT_DIR", Cow::Borrowed(invocation.directory.as_os_str().as_bytes()));
    set("SLURM_SUBMIT_HOST", Cow::Borrowed(caller.host.as_bytes()));
    set("SLURM_UMASK", Cow::Owned(format!("{:04o}", super::umask(invocation)?).into_bytes()));
    // `srun` in the job opens its files in the same way, as those who requeue themselves rely on.
    if given.has("open-mode") && invocation.command == crate::command::Command::Sbatch {
        let append = super::open_mode(invocation, given)? == squall_types::OpenMode::Append;
        set("SLURM_OPEN_MODE", Cow::Borrowed(if append { b"a" } else { b"t" }));
    }
    if let Some(export) = given.text("export") {
        set("SLURM_EXPORT_ENV", Cow::Borrowed(export.as_bytes()));
    }
    encoded(invocation.name(), &variables)
}

/// What cron gives to what it runs, and the variables of the crontab; nothing of where the crontab was edited.
pub fn bare(user: &str, home: &Path, variables: &[(String, String)]) -> Vec<u8> {
    let home = home.to_string_lossy();
    let base = [("HOME", &*home), ("LOGNAME", user), ("USER", user), ("SHELL", "/bin/sh"), ("PATH", BARE_PATH)];
    let mut all: BTreeMap<&str, &str> = base.into_iter().collect();
    all.extend(variables.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    all.into_iter().flat_map(|(name, value)| format!("{name}={value}\0").into_bytes()).collect()
}

fn encoded(command: &str, variables: &Variables<'_>) -> Result<Vec<u8>, Failure> {
    let mut blob = Vec::new();
    for (name, value) in variables {
        blob.extend_from_slice(name);
        blob.push(b'=');
        blob.extend_from_slice(value);
        blob.push(0);
    }
    if blob.len() > MAX_ENVIRONMENT {
        return Err(Failure::error(command, "Environment is too large").advising(Advice {
            asked: format!("{} variables with {} bytes in all", variables.len(), blob.len()),
            limit: format!("a job begins with at most {MAX_ENVIRONMENT} bytes"),
            try_this: "--export=NAME,... with what the job needs".to_owned(),
            code: "SQ0009",
            ..Advice::default()
        }));
    }
    Ok(blob)
}

fn chosen<'a>(invocation: &'a Invocation<'_>, given: &Given) -> Result<Variables<'a>, Failure> {
    if let Some(file) = given.text("export-file") {
        return from_file(invocation, file);
    }
    let here = || -> Variables<'a> {
        let all = invocation.environment.all().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let own = all.filter(|(name, _)| !is_of_the_outer_job(name));
        own.map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value))).collect()
    };
    let of_slurm = || -> Variables<'a> {
        let is_ours = |name: &[u8]| name.starts_with(b"SLURM_") || name.starts_with(b"SPANK_");
        here().into_iter().filter(|(name, _)| is_ours(name)).collect()
    };
    let all = || if given.has("get-user-env") { login_environment(invocation) } else { here() };
    let Some(text) = given.text("export") else { return Ok(all()) };
    match text {
        "" | "ALL" => return Ok(all()),
        "NIL" => return Ok(of_slurm()),
        "NONE" => return Ok(of_slurm().into_iter().chain(login_environment(invocation)).collect()),
        _ => {}
    }
    let items = split(invocation.name(), text)?;
    let mut variables = if items.iter().any(|item| item == "ALL") { all() } else { of_slurm() };
    for item in items.iter().filter(|item| *item != "ALL") {
        let (name, value) = match item.split_once('=') {
            Some((name, value)) => (name, Some(value.as_bytes().to_vec())),
            None => (item.as_str(), named(invocation, item)),
        };
        if name.is_empty() || name.contains('\0') {
            return Err(super::invalid(
                invocation.name(),
                "export",
                text,
                "a variable has a name",
                "--export=ALL,KEY=value",
            ));
        }
        if let Some(value) = value {
            variables.insert(Cow::Owned(name.as_bytes().to_vec()), Cow::Owned(value));
        }
    }
    Ok(variables)
}

fn named(invocation: &Invocation<'_>, wanted: &str) -> Option<Vec<u8>> {
    let mut all = invocation.environment.all();
    all.find(|(name, _)| *name == wanted).map(|(_, value)| value.as_bytes().to_vec())
}

fn is_of_the_outer_job(name: &[u8]) -> bool {
    OF_THE_OUTER_JOB.iter().any(|outer| outer.as_bytes() == name)
        || PREFIXES_OF_THE_OUTER_JOB.iter().any(|prefix| name.starts_with(prefix.as_bytes()))
}

/// Items between commas; quotes hold commas together and vanish.
fn split(command: &str, text: &str) -> Result<Vec<String>, Failure> {
    let (mut items, mut item, mut quote) = (Vec::new(), String::new(), None);
    for letter in text.chars() {
        match (letter, quote) {
            (letter, Some(open)) if letter == open => quote = None,
            ('"' | '\'', None) => quote = Some(letter),
            (',', None) => items.push(std::mem::take(&mut item)),
            (letter, _) => item.push(letter),
        }
    }
    if quote.is_some() {
        return Err(super::invalid(command, "export", text, "a quote is never closed", "--export=ALL,KEY='a,b'"));
    }
    items.push(item);
    Ok(items.into_iter().filter(|item| !item.is_empty()).collect())
}

/// `NAME=value` strings, each ended by NUL (or, where there is none, by the end of the line).
fn from_file(invocation: &Invocation<'_>, file: &str) -> Result<Variables<'static>, Failure> {
    let path = match file.parse::<u16>() {
        Ok(descriptor) => std::path::PathBuf::from(format!("/dev/fd/{descriptor}")),
        Err(_) => invocation.directory.join(file),
    };
    let mut content = Vec::new();
    let read = File::open(path).and_then(|opened| opened.take(MAX_ENVIRONMENT as u64 + 1).read_to_end(&mut content));
    read.map_err(|error| {
        let first = format!("Could not open user environment file {}", escaped(file));
        Failure::error(invocation.name(), first)
            .advising(Advice { cause: terminal::plain(&error), ..Advice::default() })
    })?;
    let end = if content.contains(&0) { 0 } else { b'\n' };
    Ok(content.split(|byte| *byte == end).filter_map(assignment).collect())
}

fn assignment<'a>(text: &[u8]) -> Option<(Text<'a>, Text<'a>)> {
    let at = text.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
    Some((Cow::Owned(text[..at].to_vec()), Cow::Owned(text[at + 1..].to_vec())))
}

/// What a login shell of the caller makes of an empty environment; the barest one where the shell cannot say.
pub fn login_environment<'a>(invocation: &'a Invocation<'_>) -> Variables<'a> {
    let caller = &invocation.caller;
    let bare: [(&str, &[u8]); 5] = [
        ("HOME", caller.home.as_os_str().as_bytes()),
        ("LOGNAME", caller.name.as_bytes()),
        ("PATH", BARE_PATH.as_bytes()),
        ("SHELL", caller.shell.as_os_str().as_bytes()),
        ("USER", caller.name.as_bytes()),
    ];
    let mut variables: Variables<'a> =
        bare.into_iter().map(|(name, value)| (name.as_bytes().into(), value.into())).collect();
    let mut shell = Command::new(&caller.shell);
    shell.args(["-l", "-c", r"printf '\0SQUALL-ENVIRONMENT\0'; exec env -0"]).env_clear();
    shell.stdin(Stdio::null()).stderr(Stdio::null()).current_dir("/");
    for (name, value) in bare {
        shell.env(name, std::ffi::OsStr::from_bytes(value));
    }
    let output = output_of(shell);
    if let Some(begins) = output.windows(MARK.len()).position(|window| window == MARK) {
        let found = output[begins + MARK.len()..].split(|byte| *byte == 0).filter_map(assignment);
        variables.extend(found.filter(|(name, _)| !matches!(name.as_ref(), b"_" | b"SHLVL" | b"PWD" | b"OLDPWD")));
    }
    variables
}

/// What the program prints within its time; a start-up file that waits for input must not hold up a submission.
fn output_of(mut program: Command) -> Vec<u8> {
    let Ok(mut child) = program.stdout(Stdio::piped()).spawn() else { return Vec::new() };
    let Some(printed) = child.stdout.take() else { return Vec::new() };
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut output = Vec::new();
        let read = printed.take(MAX_ENVIRONMENT as u64).read_to_end(&mut output);
        // Nobody listens any more where the time is up.
        let _ = tell.send(read.map(|_| output).unwrap_or_default());
    });
    let output = told.recv_timeout(SHELL_TIMEOUT).unwrap_or_default();
    // It may be over already, and is to be in any case.
    let _ = child.kill();
    let _ = child.wait();
    output
}
