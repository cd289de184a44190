//! Where the controller is. Inside a job nothing but the job's number is needed: the node's agent serves its jobs.

use crate::invocation::Environment;
use serde::Deserialize;
use squall_proto::connect::{Identity, Target, Trust, node_socket_name};
use squall_types::NodeName;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Beats everything else: `unix:/path`, `/path` or `https://host:port`.
pub const CONTROLLER_VARIABLE: &str = "SQUALL_CONTROLLER";
/// The cluster CA's certificate for an `https` address in [`CONTROLLER_VARIABLE`].
pub const CA_VARIABLE: &str = "SQUALL_CA";
/// A file with this user's token for an `https` address, instead of `token_file`.
pub const TOKEN_VARIABLE: &str = "SQUALL_TOKEN_FILE";
/// A token file is longer by no means.
const MAX_TOKEN: u64 = 4096;
const SYSTEM_FILE: &str = "/etc/squall/client.toml";
const SYSTEM_SOCKET: &str = "/run/squall/ctld.sock";
const SYSTEM_RUNTIME: &str = "/run/squall";
/// Sockets of one job on one machine that are tried at most.
const MAX_JOB_SOCKETS: usize = 64;

/// Where to try, in this order, and why there.
#[derive(Clone, Debug, Default)]
pub struct Found {
    pub targets: Vec<Target>,
    /// What was looked for in vain, for the message when nobody answers.
    pub missing: Vec<String>,
}

/// `client.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientFile {
    controller: String,
    /// File with the cluster CA's certificate in PEM.
    ca: Option<PathBuf>,
    /// SHA-256 of that certificate, in hexadecimal.
    ca_pin: Option<String>,
    /// Files with this user's certificate chain and key in PEM.
    certificate: Option<PathBuf>,
    /// File with this user's token, which nobody else may read.
    token_file: Option<PathBuf>,
    key: Option<PathBuf>,
}

/// Looks where a controller may be, without talking to anybody.
///
/// # Errors
/// What is wrong with the variable or file that names it.
pub fn find(environment: &Environment, uid: u32, home: &Path) -> Result<Found, String> {
    if let Some(named) = environment.filled(CONTROLLER_VARIABLE) {
        let target = by_variable(environment, named).map_err(|why| format!("{CONTROLLER_VARIABLE}={named}: {why}"))?;
        let target = with_token(target, environment, named, None, uid)?;
        return Ok(Found { targets: vec![target], missing: Vec::new() });
    }
    let mut found = Found::default();
    if let Some(job) = environment.filled("SLURM_JOB_ID").or_else(|| environment.filled("SLURM_JOBID")) {
        job_sockets(environment, uid, job, &mut found);
        if !found.targets.is_empty() {
            return Ok(found);
        }
    }
    for file in client_files(environment, home) {
        match fs::read_to_string(&file) {
            Ok(text) => {
                let told = |why: String| format!("{}: {why}", file.display());
                let (target, named, token_file) = by_file(&text).map_err(told)?;
                found.targets.push(with_token(target, environment, &named, token_file.as_deref(), uid)?);
                return Ok(found);
            }
            Err(_) => found.missing.push(file.display().to_string()),
        }
    }
    for socket in [PathBuf::from(SYSTEM_SOCKET), personal_socket(environment, home)] {
        match Target::unix(&socket) {
            Ok(target) if socket.exists() => {
                found.targets.push(target);
                return Ok(found);
            }
            _ => found.missing.push(format!("unix:{}", socket.display())),
        }
    }
    Ok(found)
}

/// Where a user's own cluster keeps its state.
pub fn personal_state(environment: &Environment, home: &Path) -> PathBuf {
    match environment.filled("XDG_STATE_HOME") {
        Some(folder) => Path::new(folder).join("squall"),
        None => home.join(".local/state/squall"),
    }
}

fn personal_socket(environment: &Environment, home: &Path) -> PathBuf {
    personal_state(environment, home).join("ctld.sock")
}

/// The user's file is more to the point than the machine's.
fn client_files(environment: &Environment, home: &Path) -> [PathBuf; 2] {
    let folder = environment.filled("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
    [folder.join("squall/client.toml"), PathBuf::from(SYSTEM_FILE)]
}

fn by_variable(environment: &Environment, named: &str) -> Result<Target, String> {
    let trust = match environment.filled(CA_VARIABLE) {
        Some(file) => Some(Trust::Ca(fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?)),
        None => None,
    };
    let address = if named.starts_with('/') { format!("unix:{named}") } else { named.to_owned() };
    Target::parse(&address, trust).map_err(|error| error.to_string())
}

/// With the user's token, where the controller is somewhere on the network: on this machine the kernel says who asks.
fn with_token(
    target: Target,
    environment: &Environment,
    controller: &str,
    configured: Option<&Path>,
    uid: u32,
) -> Result<Target, String> {
    let named = environment.filled(TOKEN_VARIABLE).map(Path::new);
    let Some(file) = named.or(configured).filter(|_| controller.starts_with("https://")) else { return Ok(target) };
    let told = |why: String| format!("{}: {why}", file.display());
    let opened = fs::File::open(file).map_err(|error| told(error.to_string()))?;
    let metadata = opened.metadata().map_err(|error| told(error.to_string()))?;
    if metadata.uid() != uid || metadata.mode() & 0o077 != 0 {
        let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
        return Err(told(format!(
            "the token has mode {mode:04o} and belongs to uid {owner}: nobody but you may read it. Revoke it with \
             `squall token revoke`, make another, and chmod 0600 its file"
        )));
    }
    let mut token = String::new();
    opened.take(MAX_TOKEN).read_to_string(&mut token).map_err(|error| told(error.to_string()))?;
    Ok(target.with_bearer(token.trim()))
}

fn by_file(text: &str) -> Result<(Target, String, Option<PathBuf>), String> {
    let file: ClientFile = toml::from_str(text).map_err(|error| error.to_string())?;
    let read = |path: &PathBuf| fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()));
    let trust = match (&file.ca, &file.ca_pin) {
        (Some(path), _) => Some(Trust::Ca(read(path)?)),
        (None, Some(pin)) => Some(Trust::pin(pin).map_err(|error| error.to_string())?),
        (None, None) => None,
    };
    let target = Target::parse(&file.controller, trust).map_err(|error| error.to_string())?;
    let target = match (&file.certificate, &file.key) {
        (Some(chain), Some(key)) => target.with_identity(Identity { chain_pem: read(chain)?, key_pem: read(key)? }),
        (None, None) => target,
        _ => return Err("certificate and key belong together".to_owned()),
    };
    Ok((target, file.controller, file.token_file))
}

/// Folders in which an agent on this machine may keep its jobs' sockets. The agent may run as another user than the
/// job, so that all of them are looked at.
fn runtime_folders(environment: &Environment, uid: u32) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    folders.extend(environment.filled("SQUALL_RUNTIME_DIR").map(PathBuf::from));
    folders.push(PathBuf::from(SYSTEM_RUNTIME));
    folders.extend(environment.filled("XDG_RUNTIME_DIR").map(|folder| Path::new(folder).join("squall")));
    folders.push(PathBuf::from(format!("/tmp/squall-{uid}")));
    folders
}

/// Where the agent of a node may serve clients on this machine, if it is here: in a folder in which nobody could have put
/// a socket but root and the user.
pub fn node_sockets(environment: &Environment, uid: u32, node: &NodeName, ca_pem: &str) -> Vec<Target> {
    let name = node_socket_name(node, ca_pem);
    let folders = runtime_folders(environment, uid).into_iter();
    let found = folders.map(|folder| (folder.join(&name), folder)).filter(|(socket, _)| socket.exists());
    found.filter(|(_, folder)| is_ours(folder, uid)).filter_map(|(socket, _)| Target::unix(&socket).ok()).collect()
}

fn is_ours(folder: &Path, uid: u32) -> bool {
    fs::metadata(folder).is_ok_and(|folder| folder.uid() == 0 || folder.uid() == uid)
}

/// `job-<id>.<node>.<agent>.sock`, those of this node first where the environment still names it.
fn job_sockets(environment: &Environment, uid: u32, job: &str, found: &mut Found) {
    if job.parse::<u32>().is_err() {
        return;
    }
    let start = format!("job-{job}.");
    let here = environment.filled("SLURMD_NODENAME").map(|node| format!("{start}{node}."));
    for folder in runtime_folders(environment, uid) {
        let mut names = sockets_in(&folder, uid, &start);
        names.sort_by_key(|name| (!here.as_ref().is_some_and(|here| name.starts_with(here)), name.clone()));
        if names.is_empty() {
            found.missing.push(format!("unix:{}/{start}*.sock", folder.display()));
        }
        let targets = names.iter().filter_map(|name| Target::unix(&folder.join(name)).ok());
        found.targets.extend(targets);
        found.targets.truncate(MAX_JOB_SOCKETS);
    }
}

/// Only in a folder of root's or the user's own: in a shared folder anybody could have put a socket.
fn sockets_in(folder: &Path, uid: u32, start: &str) -> Vec<String> {
    let ours = is_ours(folder, uid);
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| ours && name.starts_with(start) && name.ends_with(".sock")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::new(variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
    }

    fn targets(found: &Found) -> Vec<String> {
        found.targets.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn inside_a_job_its_number_alone_leads_to_the_agent() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["job-7.n2.a.sock", "job-7.n1.b.sock", "job-70.n1.b.sock", "job-8.n1.b.sock", "job-7.n3.pid"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let runtime = folder.path().to_str().unwrap();
        let uid = fs::metadata(folder.path()).unwrap().uid();
        let found = find(&environment(&[("SQUALL_RUNTIME_DIR", runtime), ("SLURM_JOB_ID", "7")]), uid, folder.path());
        let expected = [format!("unix:{runtime}/job-7.n1.b.sock"), format!("unix:{runtime}/job-7.n2.a.sock")];
        assert_eq!(targets(&found.unwrap()), expected);
        let here = [("SQUALL_RUNTIME_DIR", runtime), ("SLURM_JOB_ID", "7"), ("SLURMD_NODENAME", "n2")];
        let found = find(&environment(&here), uid, folder.path()).unwrap();
        assert_eq!(targets(&found)[0], format!("unix:{runtime}/job-7.n2.a.sock"));
    }

    #[test]
    fn a_node_of_this_machine_is_known_by_its_name_and_its_cluster() {
        let folder = tempfile::tempdir().unwrap();
        let uid = fs::metadata(folder.path()).unwrap().uid();
        let around = environment(&[("SQUALL_RUNTIME_DIR", folder.path().to_str().unwrap())]);
        let found = |node: &str, ca: &str, uid| node_sockets(&around, uid, &NodeName(node.to_owned()), ca).len();
        assert_eq!(found("n1", "one", uid), 0);
        fs::write(folder.path().join(node_socket_name(&NodeName("n1".to_owned()), "one")), "").unwrap();
        assert_eq!((found("n1", "one", uid), found("n1", "one\n", uid)), (1, 1));
        assert_eq!((found("n1", "two", uid), found("n", "one", uid), found("n1.x", "one", uid)), (0, 0, 0));
        // What root laid there is everybody's to use; what another user did is not.
        assert_eq!(found("n1", "one", uid + 1), usize::from(uid == 0));
    }

    #[test]
    fn outside_a_job_the_variable_beats_the_file_beats_the_personal_cluster() {
        let home = tempfile::tempdir().unwrap();
        let personal = home.path().join(".local/state/squall");
        fs::create_dir_all(&personal).unwrap();
        fs::write(personal.join("ctld.sock"), "").unwrap();
        let plain = environment(&[]);
        if !Path::new(SYSTEM_SOCKET).exists() && !Path::new(SYSTEM_FILE).exists() {
            let expected = format!("unix:{}/ctld.sock", personal.display());
            assert_eq!(targets(&find(&plain, 1, home.path()).unwrap()), [expected]);
        }
        fs::create_dir_all(home.path().join(".config/squall")).unwrap();
        fs::write(home.path().join(".config/squall/client.toml"), "controller = \"unix:/a/b\"").unwrap();
        assert_eq!(targets(&find(&plain, 1, home.path()).unwrap()), ["unix:/a/b"]);
        let named = environment(&[(CONTROLLER_VARIABLE, "/c/d")]);
        assert_eq!(targets(&find(&named, 1, home.path()).unwrap()), ["unix:/c/d"]);
    }

    #[test]
    fn a_token_that_others_can_read_is_refused_and_one_is_sent_over_the_network_alone() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("token");
        fs::write(&file, "squall-user-1\n").unwrap();
        let mode = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let uid = fs::metadata(&file).unwrap().uid();
        let pin = "ab".repeat(32);
        fs::create_dir_all(home.path().join(".config/squall")).unwrap();
        let write = |controller: &str| {
            let text = format!("controller = \"{controller}\"\nca_pin = \"{pin}\"\ntoken_file = {file:?}\n");
            fs::write(home.path().join(".config/squall/client.toml"), text).unwrap();
        };
        write("https://head:6820");
        for wide in [0o644, 0o640, 0o604, 0o660] {
            mode(wide);
            let error = find(&environment(&[]), uid, home.path()).unwrap_err();
            assert!(error.contains(&format!("mode {wide:04o}")) && !error.contains("squall-user-1"), "{error}");
        }
        mode(0o600);
        let error = find(&environment(&[]), uid + 1, home.path()).unwrap_err();
        assert!(error.contains(&format!("belongs to uid {uid}")), "{error}");
        let found = find(&environment(&[]), uid, home.path()).unwrap();
        assert!(found.targets[0].has_bearer() && !format!("{found:?}").contains("squall-user-1"), "{found:?}");
        write("unix:/a/b");
        assert!(!find(&environment(&[]), uid, home.path()).unwrap().targets[0].has_bearer());
    }

    #[test]
    fn a_wrong_file_is_told_by_name() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join(".config/squall")).unwrap();
        fs::write(home.path().join(".config/squall/client.toml"), "controler = \"unix:/a/b\"").unwrap();
        let error = find(&environment(&[]), 1, home.path()).unwrap_err();
        assert!(error.contains("client.toml") && error.contains("controler"), "{error}");
    }
}
