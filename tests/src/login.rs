//! A login host: enrolled with a token that an admin made, its daemon speaks for the host's users, whom the kernel
//! names, and for nobody else.

use crate::stage::{Said, Stage, elastic, program};
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Users of the host, one who is not, and the daemon's own.
const ALICE: u32 = 20_001;
const BOB: u32 = 20_002;
const STRANGER: u32 = 30_000;
const DAEMON: u32 = 29_999;

struct Host {
    stage: Stage,
    daemon: Option<Child>,
}

impl Host {
    fn set() -> Host {
        let stage = Stage::set(|dir| elastic(dir, 1) + "\n[login_hosts.login1]\nuids = \"20000-29999\"\n");
        // Other users get to their files, and to programs wherever these were built.
        let open = |path: &Path, owner| {
            set_permissions(path, Permissions::from_mode(0o755)).expect("a mode");
            chown(path, Some(owner), Some(owner)).expect("an owner");
        };
        open(stage.dir(), 0);
        open(&stage.path("work"), ALICE);
        std::fs::create_dir(stage.path("login")).expect("a folder");
        open(&stage.path("login"), DAEMON);
        for (name, copy) in [("squall", "bin/squall-copy"), ("squalld", "bin/squalld-copy")] {
            std::fs::copy(program(name), stage.path(copy)).expect("a program can be copied");
        }
        stage.up();
        Host { stage, daemon: None }
    }

    fn socket(&self) -> PathBuf {
        self.stage.path("login/ctld.sock")
    }

    /// The command that was printed with the token, with its blanks filled in, and where to listen.
    fn login(&self, printed: &str, state: &str, secret: &str) -> Command {
        let words = printed.split_whitespace().skip_while(|word| *word != "login").filter(|word| *word != "\\");
        let (state, secret) = (self.stage.path("login").join(state), self.stage.path("login").join(secret));
        let mut command = self.stage.command(self.stage.path("bin/squalld-copy"));
        for word in words {
            match word {
                "/var/lib/squall" => command.arg(&state),
                "FILE" => command.arg(&secret),
                word => command.arg(word),
            };
        }
        command.arg("--socket").arg(self.socket()).uid(DAEMON).gid(DAEMON);
        command
    }

    fn token(&self, file: &str) -> String {
        let said = self.stage.call(&["squall", "join-token", "--login-host", "login1"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        let file = self.stage.path("login").join(file);
        std::fs::write(&file, &said.out).expect("a secret");
        chown(&file, Some(DAEMON), Some(DAEMON)).expect("an owner");
        said.err
    }

    fn start(&mut self, mut command: Command) {
        let log = std::fs::OpenOptions::new().append(true).create(true).open(self.stage.path("login.log"));
        let log = log.expect("a log");
        command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        let mut daemon = command.spawn().expect("the daemon can be executed");
        self.stage.eventually("the login host answers", || {
            let ended = daemon.try_wait().expect("a child can be asked");
            let log = std::fs::read_to_string(self.stage.path("login.log")).unwrap_or_default();
            assert_eq!(ended, None, "{log}");
            (self.call(ALICE, &["scontrol", "ping"]).code == Some(0)).then_some(())
        });
        self.daemon = Some(daemon);
    }

    fn kill(&mut self) {
        let mut daemon = self.daemon.take().expect("it runs");
        daemon.kill().expect("it can be killed");
        daemon.wait().expect("it can be waited for");
    }

    /// A command as that user types it on the login host.
    fn call(&self, uid: u32, words: &[&str]) -> Said {
        let mut command = self.stage.command(self.stage.path("bin/squall-copy"));
        command.args(words).env("SQUALL_CONTROLLER", self.socket()).uid(uid).gid(uid);
        command.output().expect("a command can be executed").into()
    }

    /// It says no, and why.
    #[track_caller]
    fn refuses(&self, uid: u32, words: &[&str], why: &str) {
        let said = self.call(uid, words);
        assert!(said.code == Some(1) && said.out.is_empty() && said.err.contains(why), "{uid} {words:?}: {said:?}");
    }
}

#[test]
fn a_login_host_speaks_for_its_users_and_for_nobody_else() {
    if !nix::unistd::geteuid().is_root() {
        println!("NOT TESTED: users of a login host can only be played by root");
        return;
    }
    let mut host = Host::set();
    let printed = host.token("secret");
    let without: Said = host.login(&printed, "state", "nosuch").output().expect("the daemon can be executed").into();
    assert!(without.code == Some(1) && without.err.contains("nosuch"), "{without:?}");
    let command = host.login(&printed, "state", "secret");
    host.start(command);

    // Jobs run as who submitted them, whether they are batch jobs or not.
    let wrap = "--wrap=id -u; id -g; exit 3";
    let said = host.call(ALICE, &["sbatch", "--parsable", "--wait", "--output=who", wrap]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert_eq!(host.stage.read("who"), format!("{ALICE}\n{ALICE}\n"));
    let owner = host.stage.path("work/who").metadata().expect("its output").uid();
    assert_eq!(owner, ALICE);
    for _ in 0..4 {
        let srun = host.call(ALICE, &["srun", "--ntasks=2", "id", "-u"]);
        assert_eq!((srun.code, srun.out.as_str()), (Some(0), format!("{ALICE}\n{ALICE}\n").as_str()), "{srun:?}");
    }

    // Nobody acts for another, for root, or from outside of the range.
    let waiting = host.call(ALICE, &["sbatch", "--parsable", "--hold", "--wrap=true"]).good();
    host.refuses(BOB, &["scancel", waiting.trim()], "Access/permission denied");
    host.refuses(BOB, &["scontrol", "write", "batch_script", waiting.trim(), "-"], "ermission denied");
    host.refuses(ALICE, &["scontrol", "reconfigure"], "");
    host.refuses(ALICE, &["squall", "join-token", "--login-host", "login1"], "");
    host.refuses(STRANGER, &["sbatch", "--wrap=true"], "may vouch for uids 20000-29999, not for 30000");
    host.refuses(0, &["sbatch", "--wrap=true"], "cannot vouch for root or an admin");
    host.call(ALICE, &["scancel", waiting.trim()]).good();
    let users = host.stage.call(&["sacct", "-X", "-n", "-P", "--allusers", "--format=UID"]).good();
    assert_eq!(users.lines().collect::<Vec<_>>(), vec![ALICE.to_string(); 6], "only these were accepted");

    // It needs its token no more, and nobody else can use it.
    host.kill();
    std::fs::remove_file(host.stage.path("login/secret")).expect("the secret");
    let command = host.login(&printed, "state", "secret");
    host.start(command);
    let again = host.token("again");
    let first = std::fs::read(host.stage.path("login/again")).expect("a secret");
    host.kill();
    let command = host.login(&again, "other", "again");
    host.start(command);
    std::fs::write(host.stage.path("login/stolen"), first).expect("a secret");
    set_permissions(host.stage.path("login/stolen"), Permissions::from_mode(0o644)).expect("a mode");
    let stolen: Said = host.login(&again, "third", "stolen").output().expect("the daemon can be executed").into();
    assert!(stolen.code == Some(1) && stolen.err.contains("was used by another machine"), "{stolen:?}");
    // The host that enrolled anew has replaced the one before, whose certificate is worth nothing now.
    host.kill();
    let mut before = host.login(&printed, "state", "secret");
    let mut before = before.stderr(Stdio::null()).spawn().expect("the daemon can be executed");
    host.stage.eventually("the first one listens", || host.socket().exists().then_some(()));
    host.stage.eventually("it is told that it was replaced", || {
        host.call(ALICE, &["sbatch", "--wrap=true"]).err.contains("enrolled again").then_some(())
    });
    before.kill().expect("it can be killed");
    before.wait().expect("it can be waited for");
    host.stage.ends_empty();
}
